from __future__ import annotations

import asyncio
import time

import pytest

from pytest_ragcheck.timeouts import attempt_timeout


async def expires(seconds, work):
    async with attempt_timeout(seconds):
        await work


def test_work_in_time_is_left_alone():
    asyncio.run(expires(30, asyncio.sleep(0)))


def test_no_limit():
    asyncio.run(expires(None, asyncio.sleep(0)))


def test_work_beyond_the_limit_ends_with_a_timeout():
    with pytest.raises(TimeoutError):
        asyncio.run(expires(0.01, asyncio.Event().wait()))


def test_the_works_own_timeout_is_told_apart():
    async def give_up():
        async with attempt_timeout(30) as limit:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0) as inner:
                    await asyncio.Event().wait()
            return inner.expired(), limit.expired()

    assert asyncio.run(give_up()) == (True, False)


def test_a_loop_that_stood_still_beyond_the_limit_reads_first_what_had_arrived():
    async def serve(reader, writer):
        writer.write(b"reply\n")
        await writer.drain()
        writer.close()

    async def ask(port):
        async with attempt_timeout(0.2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            line = await reader.readline()
            for _ in range(20):  # what is read passes through many turns of the loop
                await asyncio.sleep(0)
            writer.close()
            return line

    with asyncio.Runner() as runner:

        async def start():
            server = await asyncio.start_server(serve, "127.0.0.1", 0)
            return server, asyncio.create_task(ask(server.sockets[0].getsockname()[1]))

        server, asking = runner.run(start())
        time.sleep(0.5)  # a test's body: the loop stands still

        async def finish():
            line = await asking
            server.close()
            return line

        assert runner.run(finish()) == b"reply\n"


def test_after_standing_still_the_limit_holds_again():
    with asyncio.Runner() as runner:

        async def start():
            return asyncio.create_task(expires(0.1, asyncio.Event().wait()))

        task = runner.run(start())
        time.sleep(0.4)

        async def finish():
            await task

        with pytest.raises(TimeoutError):
            runner.run(finish())

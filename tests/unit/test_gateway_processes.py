"""Two processes on one store, and processes that are killed: nothing is paid twice, nothing that arrived is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

from pytest_ragcheck.store import Store
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi

# Over a wire of its own, as importing the SDK in every process takes longer than all the rest.
RUN = """
import asyncio, json, sys
from pathlib import Path
from pytest_ragcheck.gateway import Gateway, ModelRequest
from pytest_ragcheck.gateway.transport import Response
from pytest_ragcheck.store import Store
path, url, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
class PlainTransport:
    async def send(self, body, *, seconds):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        data = json.dumps(body).encode()
        head = ("POST /v1/messages HTTP/1.1", "host: 127.0.0.1", "connection: close", "anthropic-version: 2026-10-21",
                "content-type: application/json", f"content-length: {len(data)}")
        writer.write("\\r\\n".join(head).encode() + b"\\r\\n\\r\\n" + data)
        answer = await reader.read()
        writer.close()
        head, _, content = answer.partition(b"\\r\\n\\r\\n")
        status = int(head.split()[1])
        return Response(status=status, headers={"content-type": "application/json"}, body=content)
    async def close(self):
        pass
def request(number):
    return ModelRequest(model="claude-haiku-5-5", messages=[{"role": "user", "content": f"question {number}"}])
async def main():
    with Store(path) as store:
        async with Gateway(base_url=url, store=store, concurrency=8, transport=PlainTransport()) as gateway:
            print("ready", flush=True)
            replies = await asyncio.gather(*(gateway.complete(request(number)) for number in range(count)))
            print(len(replies), sum(reply.cached for reply in replies), store.notices, flush=True)
asyncio.run(main())
"""


def start(path, url, count):
    environment = {**os.environ, "ANTHROPIC_API_KEY": "sk-ant-unit-0123456789"}
    command = [sys.executable, "-c", RUN, str(path), url, str(count)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def finish(process):
    last = process.communicate(timeout=300)[0].splitlines()[-1]
    assert process.returncode == 0
    count, cached, notices = last.split(maxsplit=2)
    assert notices == "[]"
    return int(count), int(cached)


def test_two_processes_make_each_call_once(tmp_path):
    with MessagesApi(Behaviour(latency=0.03)) as api:
        both = [start(tmp_path / "cache.sqlite", api.url, 60) for _ in range(2)]
        (count, cached), (other_count, other_cached) = (finish(process) for process in both)
        stats = api.stats
    assert stats.requests == stats.distinct_bodies == 60
    assert count == other_count == 60
    assert cached + other_cached == 60


def test_kill_at_any_moment_then_again_costs_only_what_was_in_flight(tmp_path):
    moments = random.Random(5)
    with MessagesApi(Behaviour(latency=0.03)) as api:
        for number, replies in enumerate([0, moments.randrange(2, 30), moments.randrange(30, 59)]):
            path = tmp_path / f"cache{number}.sqlite"
            api.reset_stats()
            victim = start(path, api.url, 60)
            deadline = time.monotonic() + 300
            while api.stats.replies < replies or not api.stats.requests:
                assert time.monotonic() < deadline
                time.sleep(0.001)
            os.kill(victim.pid, signal.SIGKILL)
            victim.communicate()
            with Store(path) as store:
                kept = store.size().entries.get("model-reply", 0)
            sent = api.stats.requests
            assert replies - 8 <= kept <= sent <= kept + 8, "at most what was in flight is not there"
            count, cached = finish(start(path, api.url, 60))
            assert (count, cached) == (60, kept)
            assert api.stats.requests == 60 + sent - kept

"""The fixture ``ragcheck_pipeline`` in the ways that users write it."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

NEEDS_ASYNCIO = pytest.mark.skipif(find_spec("pytest_asyncio") is None, reason="needs pytest-asyncio")
NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")

LOOP_BOUND = """
import asyncio

import pytest
import pytest_asyncio


class Pool:
    '''Connections that belong to the loop in which they were opened.'''

    def __init__(self, connections):
        self.loop = asyncio.get_running_loop()
        self.free = asyncio.Queue()
        for connection in connections:
            self.free.put_nowait(connection)

    async def ask(self, question):
        reader, writer = await self.free.get()
        writer.write(question.encode() + b"\\n")
        answer = await reader.readline()
        self.free.put_nowait((reader, writer))
        return answer.decode().strip()


async def serve(reader, writer):
    while line := await reader.readline():
        await asyncio.sleep(0)
        writer.write(b"The answer is " + line.strip()[-2:-1] + b".\\n")
    writer.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def pool():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    yield Pool(connections)
    for _, writer in connections:
        writer.close()
        await writer.wait_closed()
    server.close()
    await server.wait_closed()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ragcheck_pipeline(pool):
    async def ask(question):
        return await pool.ask(question), ["a context"]

    await asyncio.sleep(0)
    return ask
"""
SYNC_AND_ASYNC_TESTS = """
import asyncio

import pytest


def test_sync(ragcheck_result):
    ragcheck_result.assert_passed()


@pytest.mark.asyncio
async def test_in_a_loop_of_its_own(ragcheck_result, ragcheck_question):
    await asyncio.sleep(0)
    assert ragcheck_question == ragcheck_result.question
    ragcheck_result.assert_passed()


@pytest.mark.asyncio(loop_scope="session")
async def test_in_the_session_loop(ragcheck_answer, pool):
    assert asyncio.get_running_loop() is pool.loop
    assert await pool.ask("Number 7?") == "The answer is 7."
    assert ragcheck_answer.text.startswith("The answer is")


def test_sync_again(ragcheck_result):
    ragcheck_result.assert_passed()
"""


@NEEDS_ASYNCIO
@pytest.mark.parametrize(
    "lines",
    [
        ["asyncio_default_fixture_loop_scope = function"],
        ["asyncio_default_fixture_loop_scope = session", "asyncio_mode = auto"],
        ["asyncio_default_fixture_loop_scope = function", "asyncio_default_test_loop_scope = session"],
    ],
    ids=["strict", "auto", "tests in the session loop"],
)
def test_clients_that_belong_to_the_session_loop(own_system, lines):
    own_system.set_up_pytest(*lines)
    own_system.write("conftest.py", LOOP_BOUND)
    own_system.write("test_own.py", SYNC_AND_ASYNC_TESTS)

    result = own_system.run()

    result.assert_outcomes(passed=16)


@NEEDS_ASYNCIO
def test_an_unset_loop_scope(own_system):
    own_system.set_up_pytest(warnings="default")
    own_system.write("conftest.py", LOOP_BOUND)
    own_system.write("test_own.py", SYNC_AND_ASYNC_TESTS)

    own_system.run().assert_outcomes(passed=16)


@pytest.mark.skipif(find_spec("anyio") is None, reason="needs anyio")
@pytest.mark.parametrize("arguments", [["-p", "no:asyncio"], []], ids=["alone", "beside pytest-asyncio"])
def test_anyio_tests(own_system, asked, arguments):
    if arguments:
        own_system.set_up_pytest()
    own_system.write(
        "test_own.py",
        """\
        import anyio
        import pytest


        @pytest.mark.anyio
        async def test_own(ragcheck_result):
            await anyio.sleep(0)
            ragcheck_result.assert_passed()


        def test_sync(ragcheck_result):
            ragcheck_result.assert_passed()


        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        """,
    )

    own_system.run(*arguments).assert_outcomes(passed=8)
    assert len(asked()) == 4


@pytest.mark.parametrize("workers", [[], pytest.param(["-n", "2"], marks=NEEDS_XDIST)], ids=["serial", "two workers"])
def test_two_systems_are_compared_by_params(own_system, asked, workers):
    own_system.write(
        "conftest.py",
        """\
        from pathlib import Path

        import pytest


        @pytest.fixture(scope="session", params=["small", "large"])
        def model(request):
            return request.param


        @pytest.fixture(scope="session")
        def ragcheck_pipeline(model):
            def ask(question):
                with Path(__file__).with_name("asked.log").open("a") as log:
                    log.write(f"{model} {question}\\n")
                return f"The {model} answer is {question[-2]}.", []

            return ask
        """,
    )
    own_system.write(
        "test_own.py",
        """\
        import pytest


        @pytest.mark.parametrize("least", [0.5, 1.0])
        def test_own(ragcheck_pipeline, model, ragcheck_result, least):
            assert model in ragcheck_result.answer.text
            assert ragcheck_result.scores["reference_coverage"].value >= least
        """,
    )

    result = own_system.run(*workers)

    result.assert_outcomes(passed=16)
    assert sorted(asked()) == sorted(f"{model} Question number {n}?" for model in ("large", "small") for n in range(4))
    result.stdout.fnmatch_lines(["8 questions: 8 passed"])


def test_params_that_no_item_has_are_told_in_one_line(own_system):
    own_system.write(
        "conftest.py",
        """\
        import pytest

        @pytest.fixture(scope="session", params=["small", "large"])
        def ragcheck_pipeline(request):
            return lambda question: (request.param, [])
        """,
    )

    result = own_system.run("-k", "q0")

    result.assert_outcomes(errors=1, deselected=3)
    result.stdout.fnmatch_lines(
        ["fixture ragcheck_pipeline has params; name ragcheck_pipeline among the arguments of *"]
    )
    assert "pytest_ragcheck/" not in result.stdout.str()


@pytest.mark.parametrize(
    ("scope", "place", "outcome"),
    [
        ("function", "conftest.py", "errors"),
        ("module", "conftest.py", "errors"),
        ("function", "test_own.py", "errors"),
        ("module", "test_own.py", "passed"),
        ("package", "conftest.py", "passed"),
    ],
)
def test_a_pipeline_must_outlive_the_items_that_it_answers(own_system, scope, place, outcome):
    own_system.write("conftest.py", "")
    own_system.write("test_own.py", "")
    pipeline = f"""\
import pytest

@pytest.fixture(scope="{scope}")
def ragcheck_pipeline():
    client = ["open"]
    yield lambda question: (f"The answer is {{question[-2]}}, the client {{client[0]}}.", [])
    client.clear()

"""
    own_system.write(place, pipeline)
    with (own_system.path / "test_own.py").open("a") as tests:
        tests.write("def test_own(ragcheck_result):\n    ragcheck_result.assert_passed()\n")

    result = own_system.run()

    result.assert_outcomes(**{outcome: 4})
    if outcome == "errors":
        result.stdout.fnmatch_lines(
            [f'fixture ragcheck_pipeline in * has scope "{scope}", but *; write @pytest.fixture(scope="session")']
        )


def test_a_pipeline_that_cannot_be_made_is_an_error_of_each_item(own_system):
    own_system.write(
        "conftest.py",
        """\
        import pytest

        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            raise ConnectionError("no database at 127.0.0.1:1")
        """,
    )

    result = own_system.run()

    result.assert_outcomes(errors=4)
    result.stdout.fnmatch_lines(['>       raise ConnectionError("no database at 127.0.0.1:1")'])
    assert "pytest_ragcheck/" not in result.stdout.str()
    assert "ragcheck_answers" not in result.stdout.str()


def test_items_whose_marks_keep_them_from_running_cost_nothing(own_system, asked):
    own_system.write(
        "test_own.py",
        """\
        import pytest

        @pytest.mark.skip(reason="not now")
        def test_skip(ragcheck_result): ...

        @pytest.mark.skipif("1 + 1 == 2", reason="not here")
        def test_skipif(ragcheck_result): ...

        @pytest.mark.xfail(run=False)
        def test_xfail(ragcheck_result): ...
        """,
    )

    own_system.run().assert_outcomes(skipped=8, xfailed=4)
    assert asked() == []


def test_a_fixture_asked_for_too_late_where_the_question_was_asked_for_in_time(own_system):
    own_system.write(
        "test_own.py",
        "def test_late(ragcheck_question, request):\n    request.getfixturevalue('ragcheck_result')\n",
    )

    result = own_system.run("-k", "q0")

    result.assert_outcomes(failed=1, deselected=3)
    result.stdout.fnmatch_lines(["*name it among the test's arguments*"])


@pytest.mark.skipif(find_spec("pytest_rerunfailures") is None, reason="needs pytest-rerunfailures")
def test_reruns_neither_ask_again_nor_count_twice(own_system, asked):
    own_system.write(
        "test_own.py",
        """\
        tries = []

        def test_own(ragcheck_result, ragcheck_question):
            tries.append(ragcheck_question.id)
            assert tries.count(ragcheck_question.id) == 3
        """,
    )

    result = own_system.run("--reruns", "2", "-p", "rerunfailures")

    assert result.ret == 0
    assert len(asked()) == 4
    result.stdout.fnmatch_lines(["4 questions: 4 passed"])
    properties = [entry.get("name") for entry in own_system.test_cases()["test_own[q0]"].iter("property")]
    assert sorted(properties) == ["ragcheck.reference_coverage", "ragcheck.state"]

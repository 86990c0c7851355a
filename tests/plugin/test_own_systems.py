"""Systems of users that the configuration names, retrieval alone, recorded answers, kept answers, conversations."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.util import find_spec

import pytest

from pytest_ragcheck.testing.http1 import LoopbackServer, encode_head

NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
WAYS = pytest.mark.parametrize("workers", [[], pytest.param(["-n", "2"], marks=NEEDS_XDIST)], ids=["serial", "workers"])
TOKEN = "tok-0123456789abcdef"
PLAIN = {"documents": None, "embedder": None, "metrics": {"reference_coverage": 1.0}}


@pytest.fixture
def system(own_system):
    """Four questions, and no pipeline but the one that the configuration names."""
    (own_system.path / "conftest.py").unlink()
    return own_system


@pytest.fixture
def service():
    """Answers with the question's number, and keeps what it was sent."""
    requests = []

    async def handle(request, connection):
        requests.append(request)
        status, body = 401, {"detail": f"unknown token {request.headers.get('authorization')}"}
        if request.headers.get("authorization") == f"Bearer {TOKEN}":
            asked = json.loads(request.body)
            answer = f"The answer is {asked['messages'][-1]['content'][-2]}; you sent {TOKEN}."
            status, body = 200, {"data": {"answer": answer}, "hits": [{"text": "a context", "file": "a.md"}]}
        data = json.dumps(body).encode()
        connection.send(encode_head(status, [("content-type", "application/json")], length=len(data)) + data)

    server = LoopbackServer(handle)
    server.requests = requests
    yield server
    server.close()


def endpoint(url, **more):
    lines = ['questions = "questions.json"', f'generator = "{url}/ask"', *(f"{k} = {v}" for k, v in more.items())]
    return "\n".join(
        [
            *lines,
            "[endpoint]",
            'request = {messages = ["$history", {role = "user", content = "$question"}]}',
            'headers = {Authorization = "Bearer $RAG_TOKEN"}',
            'answer = "data.answer"',
            'contexts = "hits[*].text"',
            'sources = "hits[*].file"',
            "[metrics]",
            "reference_coverage = 1.0\n",
        ]
    )


def written_files(path):
    return [file for file in path.rglob("*") if file.is_file() and ".git" not in file.parts]


@WAYS
def test_an_address(system, service, workers):
    system.write("ragcheck.toml", endpoint(service.url))
    questions = json.loads((system.path / "questions.json").read_text())
    questions[3]["history"] = [{"user": "Is there an answer?", "assistant": "There is."}]
    system.questions(questions)

    result = system.run("-v", *workers, environment={"RAG_TOKEN": TOKEN})

    result.assert_outcomes(passed=4)
    bodies = [json.loads(request.body)["messages"] for request in service.requests]
    assert sorted(len(messages) for messages in bodies) == [1, 1, 1, 3]
    assert [{"role": "user", "content": "Is there an answer?"}, {"role": "assistant", "content": "There is."}] in [
        messages[:-1] for messages in bodies
    ]
    result.stdout.fnmatch_lines(["*user: Is there an answer?", "*The answer is ?; you sent [[]key].", "*1  -  a.md"])
    assert TOKEN not in result.stdout.str() + result.stderr.str()
    assert [file for file in written_files(system.path) if TOKEN.encode() in file.read_bytes()] == []


def test_what_is_wrong_with_an_address_is_told_before_anything_is_asked(system, service):
    def first_error():
        result = system.run(environment=environment)
        assert result.ret == 4
        [line] = [line for line in result.errlines + result.outlines if "ragcheck.toml" in line or "questions" in line]
        return line.removeprefix("ERROR: ")

    environment = {}
    system.write("ragcheck.toml", endpoint(service.url))
    assert first_error() == (
        "ragcheck: ragcheck.toml: endpoint.headers.Authorization: the environment variable RAG_TOKEN is not set; "
        "set it, or write a dollar sign as $$"
    )

    environment = {"RAG_TOKEN": TOKEN}
    system.write("ragcheck.toml", endpoint(service.url).replace("$question", "$quesion"))
    assert "endpoint.request: unknown $quesion; did you mean 'question'?" in first_error()

    system.write("ragcheck.toml", endpoint(service.url).replace('["$history", ', "["))
    system.questions([{"id": "q", "question": "1?", "reference": "1", "history": [{"user": "a", "assistant": "b"}]}])
    assert first_error().endswith(
        'questions.json:2: history: the endpoint would not get it; put "$history" into [endpoint] request'
    )
    assert service.requests == []


def test_refused_credentials_and_an_address_where_nobody_listens_end_the_session(system, service):
    system.write("ragcheck.toml", endpoint(service.url, concurrency=1))

    refused = system.run(environment={"RAG_TOKEN": "another-token"})
    url = service.url
    service.close()
    unreachable = system.run(environment={"RAG_TOKEN": TOKEN})

    assert (refused.ret, unreachable.ret) == (4, 4)
    told = f"ragcheck: {re.escape(url)}/ask: status 401: .*unknown token Bearer \\[key\\].*: the credentials were refused; check the environment variable RAG_TOKEN"
    assert re.search(told, refused.stdout.str())
    assert "another-token" not in refused.stdout.str() + refused.stderr.str()
    told = f"ragcheck: {re.escape(url)}/ask: cannot be reached \\(.*\\); start the service, or correct the address"
    assert re.search(told, unreachable.stdout.str())


def test_an_address_is_neither_asked_in_a_plan_nor_where_only_the_store_may_answer(system, service):
    system.write("ragcheck.toml", endpoint(service.url))

    plan = system.run("--ragcheck-plan")
    only = system.run("--ragcheck-cache", "only")

    plan.assert_outcomes(skipped=4)
    only.assert_outcomes(skipped=4)
    assert service.requests == []


LIBRARY = """
from pathlib import Path

LOG = Path(__file__).with_name("asked.log")


def log(text):
    with LOG.open("a") as file:
        file.write(f"{text}\\n")


class Library:
    def __init__(self):
        log("made")

    async def __call__(self, question):
        log(question)
        return {"answer": f"The answer is {question[-2]}.", "contexts": ["a context"]}

    async def aclose(self):
        log("closed")


def make_library():
    return Library()
"""


@pytest.mark.parametrize("name", ["Library", "make_library"])
def test_an_object_by_its_import_path(system, name):
    system.write("app/library.py", LIBRARY)
    system.configure(generator=f"app.library:{name}", **PLAIN)

    system.run("--import-mode=importlib").assert_outcomes(passed=4)

    log = (system.path / "app" / "asked.log").read_text().splitlines()
    assert (log[0], log[-1]) == ("made", "closed")
    assert sorted(log[1:-1]) == [f"Question number {n}?" for n in range(4)]


def test_an_object_that_cannot_answer_ends_the_session(system):
    system.write("app/library.py", LIBRARY)
    system.configure(generator="app.library:librarian", **PLAIN)

    result = system.run()

    assert result.ret == 4
    assert (
        "ragcheck: ragcheck.toml: generator = 'app.library:librarian': module 'app.library' has no 'librarian'"
        in result.stdout.str()
    )
    assert "pytest_ragcheck/" not in result.stdout.str()


def test_nobody_generates(project):
    project.configure(generator="none", metrics={"hit_rate": 1.0, "mrr": 0.5})
    measured = project.run("-v")
    project.configure(generator="none", metrics={})
    by_itself = project.run()
    project.configure(generator="none", metrics={"groundedness": 1.0})
    with_answer = project.run()

    measured.assert_outcomes(passed=4)
    measured.stdout.no_fnmatch_line("answer (*")
    by_itself.assert_outcomes(passed=4)
    assert "groundedness" not in by_itself.stdout.str()
    assert with_answer.ret == 4
    with_answer.stderr.fnmatch_lines(
        ["*ragcheck.toml: metric 'groundedness' needs an answer, and generator = \"none\" gives none; leave the *"]
    )


def test_a_retriever_of_the_users(system):
    system.questions(
        [{"id": f"q{n}", "question": f"Number {n}?", "gold": f"this is the text number {n}"} for n in range(4)]
    )
    system.configure(documents=None, embedder=None, metrics={"hit_rate": 1.0})
    system.write(
        "conftest.py",
        """\
        import pytest

        class Retriever:
            def retrieve(self, question):
                return [f"this is the text number {question[-2]}", {"text": "another"}]

        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            return Retriever()
        """,
    )

    good = system.run()
    system.configure(documents=None, embedder=None, metrics={"hit_rate": 1.0, "refusal": 1.0})
    bad = system.run()

    good.assert_outcomes(passed=4)
    assert bad.ret == 4
    assert re.search(
        "ragcheck: the pipeline gives contexts alone, and there is no answer for refusal to measure; configure metrics",
        bad.stdout.str(),
    )


def test_contexts_that_nobody_told_are_no_missed_contexts(system):
    system.questions([{"id": "q", "question": "Number 1?", "gold": "this is the text number 1", "reference": "1"}])
    system.configure(
        documents=None, embedder=None, metrics={"hit_rate": 1.0, "groundedness": 0.5, "reference_coverage": 1.0}
    )
    system.write(
        "conftest.py",
        """\
        import pytest

        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            return lambda question: "1"
        """,
    )

    result = system.run()

    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "hit_rate could not be measured (and 1 other metric): the pipeline does not*",
            "*pass   reference_coverage  1.00*",
            "*(the pipeline does not tell which it used)",
        ]
    )


def recorded(system, *rows):
    return system.write("answers.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


ROWS = [
    {"id": "q0", "answer": "The answer is 0.", "contexts": ["a context"]},
    {"question": "Question  number 1?", "actual_output": "The answer is 1.", "retrieval_context": []},
    {"id": "other", "input": "Question number 2?", "response": "Not that.", "retrieved_contexts": [{"text": "c", "source": "a.md"}]},
    {"id": "nobody", "question": "What?", "answer": "unasked"},
]  # fmt: skip


def test_recorded_answers(system):
    recorded(system, *ROWS)
    system.configure(answers="answers.jsonl", **PLAIN)

    result = system.run("--ragcheck-trials", "3")

    result.assert_outcomes(passed=2, failed=1, errors=1)
    assert system.outcomes() == {
        "test_own[q0]": "passed", "test_own[q1]": "passed", "test_own[q2]": "failed", "test_own[q3]": "error",
    }  # fmt: skip
    result.stdout.fnmatch_lines(
        [
            "no answer: answers.jsonl: no answer to 'q3' (1 row belongs to no question,",
            "  the first in line 4); record it*",
        ]
    )


def test_recorded_answers_are_measured_in_a_plan_too(system):
    recorded(system, *ROWS)
    system.configure(answers="answers.jsonl", documents=None, embedder=None, metrics={"reference_coverage": "report"})

    result = system.run("--ragcheck-plan", "-k", "q0")

    result.assert_outcomes(passed=1, deselected=3)


def test_two_recorded_answers_to_one_question_are_told_before_anything_else(system):
    recorded(system, ROWS[0], ROWS[0])
    system.configure(answers="answers.jsonl", **PLAIN)

    result = system.run()

    assert result.ret == 4
    result.stderr.fnmatch_lines(["ERROR: ragcheck: answers.jsonl:2: 'q0' is answered in line 1 too; keep one of them"])


def test_answers_of_an_own_system_are_kept_by_the_files_that_it_is_made_of(own_system, asked):
    own_system.write("prompts/system.txt", "Be brief.")
    own_system.configure(fingerprint=["*.py", "prompts/*"], **PLAIN)

    def asked_in(*arguments):
        before = len(asked())
        own_system.run(*arguments).assert_outcomes(passed=4)
        return len(asked()) - before

    assert [asked_in(), asked_in("--ragcheck-cache", "only")] == [4, 0]
    own_system.write("prompts/system.txt", "Be verbose.")
    assert asked_in() == 4


def test_with_uncommitted_changes_nothing_is_kept_and_that_is_told(own_system, asked):
    subprocess.run(["git", "-C", own_system.path, "init", "-q"], check=True)
    own_system.configure(fingerprint="git", **PLAIN)

    result = own_system.run()

    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        ['ragcheck: ragcheck.toml: fingerprint = "git": there are uncommitted changes, so answers are neither*']
    )


def test_kept_answers_of_two_systems_stay_apart(own_system, asked):
    own_system.configure(fingerprint="1", **PLAIN)
    own_system.write(
        "conftest.py",
        """\
        import pytest

        @pytest.fixture(scope="session", params=["small", "large"])
        def ragcheck_pipeline(request):
            return lambda question: (f"The {request.param} answer is {question[-2]}.", [])
        """,
    )
    own_system.write(
        "test_own.py",
        """\
        def test_own(ragcheck_pipeline, ragcheck_answer, request):
            assert request.node.callspec.id.split("-")[0] in ragcheck_answer.text
        """,
    )

    for _ in range(2):
        own_system.run().assert_outcomes(passed=8)


def test_a_conversation(own_system):
    turns = [{"role": "user", "content": "Is there an answer?"}, {"role": "assistant", "content": "There is."}]
    own_system.questions(
        [{"id": "first", "question": "Is it 1?", "reference": "1"},
         {"id": "then", "question": "Is it 2?", "reference": "There is", "history": turns}]
    )  # fmt: skip
    own_system.write(
        "conftest.py",
        """\
        import pytest

        @pytest.fixture(scope="session")
        def ragcheck_pipeline():
            def ask(question, history):
                return " ".join([message["content"] for message in history]) + question, []

            return ask
        """,
    )

    result = own_system.run("-v")

    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["earlier turns", "  user: Is there an answer?", "  assistant: There is."])

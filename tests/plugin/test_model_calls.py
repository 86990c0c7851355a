"""Answers by a model: what a run calls, costs, keeps and tells. The server counts, on a loopback socket."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import sys
import termios
import threading
from importlib.util import find_spec

import pytest

from pytest_ragcheck.report import figures
from pytest_ragcheck.testing.messages_api import Behaviour, MessagesApi
from pytest_ragcheck.testing.stats import MESSAGES_PATH

pytest.importorskip("anthropic", minversion="2.6")

NEEDS_XDIST = pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
MODEL = "claude-haiku-5-5"
KEY = "sk-ant-test-of-the-session-0123456789"


class ModelProject:
    """A project whose answers come from the loopback API, and the API."""

    def __init__(self, project, api, warm_sdk):
        self.project = project
        self.api = api
        self._plain = project._warm
        project._warm = self._sdk = warm_sdk
        self.set_up_for([])

    def set_up_for(self, arguments):
        """pytest's settings for a run with these arguments."""
        has_asyncio = find_spec("pytest_asyncio") is not None and "no:asyncio" not in arguments
        lines = ["asyncio_default_fixture_loop_scope = function"] if has_asyncio else []
        self.project.set_up_pytest(*lines)

    def configure(self, **values):
        """``generation`` and ``prices`` are tables."""
        tables = {name: values.pop(name) for name in ("generation", "prices") if name in values}
        path = self.project.configure(**{"generator": f"anthropic:{MODEL}", **values})
        lines = []
        for name, table in tables.items():
            lines += [f"[{name}]", *(f"{json.dumps(key)} = {_toml(value)}" for key, value in table.items())]
        path.write_text(path.read_text() + "\n".join(lines) + "\n")

    def ask(self, count):
        """That many questions, each for the same passage."""
        self.project.questions(
            [
                {"id": f"q{n}", "question": f"How many days of leave, asked as number {n}?", "gold": ["docs/leave.md"]}
                for n in range(count)
            ]
        )

    def run(self, *arguments, key=KEY, imported=True, **options):
        """``imported`` False: in a process that has not imported the SDK."""
        self.project._warm = self._sdk if imported else self._plain
        return self.project.run(*arguments, environment=self.environment(key), **options)

    def environment(self, key=KEY):
        environment = {"ANTHROPIC_BASE_URL": self.api.url}
        return environment if key is None else environment | {"ANTHROPIC_API_KEY": key}

    def calls(self):
        """The model calls that the server has seen so far."""
        return [line for line in self.api.stats.log if line.path == MESSAGES_PATH]

    def last_run(self):
        """The newest run's file."""
        paths = (self.project.path / ".ragcheck" / "runs").glob("*.json")
        return json.loads(max(paths, key=lambda path: path.stat().st_mtime_ns).read_text())

    def skipped(self):
        """Why items of the last run were skipped, by their names."""
        cases = self.project.test_cases().items()
        return {name: element.get("message") for name, case in cases for element in case.iter("skipped")}

    def answers(self):
        """The answers in the last run, by question."""
        results = self.last_run()["results"]
        return {one["question"]["id"]: one["answer"] and one["answer"]["text"] for one in results}


def _toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value)


@pytest.fixture
def api():
    with MessagesApi(Behaviour(latency=0.02)) as api:
        yield api


@pytest.fixture
def model(project, api, warm_sdk, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "ANTHROPIC_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    model = ModelProject(project, api, warm_sdk)
    model.configure()
    return model


def total(calls, name):
    return sum(call[name] for call in calls)


# ---- Answers and the store -------------------------------------------------------------------


def test_answers_are_measured_accounted_and_never_asked_for_again(model):
    model.configure(metrics={"hit_rate": 1.0, "reference_coverage": 0.5})

    first = model.run()

    first.assert_outcomes(passed=4)
    assert len(model.calls()) == len({line.digest for line in model.calls()}) == 4
    first.stdout.fnmatch_lines(["4 model calls, 0 from the cache", "tokens: * in, * out", "cost: $0.0*"])
    run = model.last_run()
    assert model.answers()["meals"] == "Meals are paid up to 40 euros a day."
    calls = [call for result in run["results"] for call in result["calls"]]
    assert len(calls) == 4
    for call in calls:
        assert (call["purpose"], call["model"], call["attempts"], call["cached"]) == ("generation", MODEL, 1, False)
        assert 0 < call["wire"] < 5
        assert call["queued"] >= 0
        assert call["backoff"] == 0
        assert call["cost"] > 0
        assert call["request_id"].startswith("req_loopback")
    for result in run["results"]:
        assert result["answer"]["latency"] <= result["timing"]["generation"]
        begin, end = result["timing"]["generation_span"]
        assert all(begin <= call["started"] <= end for call in result["calls"])
        assert result["scores"]["reference_coverage"]["value"] >= 0.5
    totals = run["model_calls"]
    assert (totals["asked"], totals["cached"], totals["failed"], totals["unpriced"]) == (4, 0, 0, 0)
    assert totals["cost"] == pytest.approx(total(calls, "cost"))
    for name, tokens in totals["usage"].items():
        assert tokens == sum(call["usage"][name] for call in calls)
    assert totals["usage"]["input_tokens"] > 0

    model.project.write(
        "conftest.py",
        """\
        import sys
        from pathlib import Path

        def pytest_unconfigure():
            wanted = ("anthropic", "httpx2", "aiohttp", "genai_prices")
            found = [name for name in wanted if name in sys.modules]
            Path(__file__).with_name("imported.txt").write_text(" ".join(found))
        """,
    )
    for arguments in ([], ["--ragcheck-cache", "only"]):
        again = model.run(*arguments, key=None, imported=False)

        again.assert_outcomes(passed=4)
        assert len(model.calls()) == 4
        assert (model.project.path / "imported.txt").read_text() == ""
        again.stdout.fnmatch_lines(["4 model calls, 4 from the cache", "cost: $0.00; the cache saved $0.0*"])
        assert model.last_run()["model_calls"]["saved"] == pytest.approx(totals["cost"])
        assert model.answers()["meals"] == "Meals are paid up to 40 euros a day."


def test_what_can_change_the_reply_is_asked_again_and_nothing_else(model):
    model.ask(2)
    changes = [
        {"generation": {"prompt": "$contexts\n\nTell me: $question"}},
        {"generation": {"system": "Answer in one sentence."}},
        {"generation": {"max_tokens": 77}},
        {"generation": {"parameters": {"stop_sequences": ["END"]}}},
        {"generator": "anthropic:claude-opus-5-5"},
        {"top_k": 1},
    ]
    model.run().assert_outcomes(passed=2)
    for change in changes:
        model.configure(**change)
        plan = model.run("--ragcheck-plan", imported=False)
        plan.stdout.fnmatch_lines(["  2 model calls to make, 0 from the cache"])
    model.run().assert_outcomes(passed=2)
    assert len(model.calls()) == 4
    model.configure(metrics={"hit_rate": 0.5, "groundedness": "report"}, concurrency=1, request_timeout=7.5)
    model.run(imported=False).assert_outcomes(passed=2)
    assert len(model.calls()) == 4


def test_the_configured_request_is_what_is_sent(model):
    seen = []
    asked = {
        "prompt": "$contexts\nFor $$5: $question",
        "system": "Be short.",
        "max_tokens": 77,
        "parameters": {"stop_sequences": ["END"], "metadata": {"user_id": "tests"}},
    }
    with MessagesApi(reply=seen.append) as model.api:
        model.configure(generation=asked)
        model.run("-k", "meals").assert_outcomes(passed=1, deselected=3)

    (body,) = seen
    assert body["messages"][0]["content"].endswith("\nFor $5: Up to how many euros a day are meals paid?")
    assert body["system"] == "Be short."
    assert body["max_tokens"] == 77
    assert body["stop_sequences"] == ["END"]
    assert body["metadata"] == {"user_id": "tests"}


def test_cache_modes(model):
    said = ["first"]
    with MessagesApi(reply=lambda _: f"the {said[0]} answer") as model.api:
        only = model.run("--ragcheck-cache", "only")
        only.assert_outcomes(skipped=4)
        assert model.calls() == []
        assert "not in the store" in model.skipped()["test_handbook[meals]"]

        model.run("--ragcheck-cache", "off").assert_outcomes(passed=4)
        model.run().assert_outcomes(passed=4)
        assert len(model.calls()) == 8, "what --ragcheck-cache off asked was kept"

        said[0] = "second"
        model.run("--ragcheck-cache", "refresh").assert_outcomes(passed=4)
        assert set(model.answers().values()) == {"the second answer"}
        assert len(model.calls()) == 12

        said[0] = "third"
        model.run("--ragcheck-cache", "off").assert_outcomes(passed=4)
        assert set(model.answers().values()) == {"the third answer"}
        assert len(model.calls()) == 16

    model.project.questions([*json.loads((model.project.path / "questions.json").read_text()), *new_question()])
    partly = model.run("--ragcheck-cache", "only", key=None)
    partly.assert_outcomes(passed=4, skipped=1)
    partly.stdout.fnmatch_lines(["4 model calls, 4 from the cache"])
    kept = {answer for name, answer in model.answers().items() if name != "new"}
    assert kept == {"the second answer"}, "--ragcheck-cache off wrote to the store"


def new_question():
    return [{"id": "new", "question": "When does leave expire?", "gold": ["docs/leave.md"]}]


# ---- Keys ------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], pytest.param(["-n", "2"], marks=NEEDS_XDIST)], ids=["serial", "workers"])
def test_a_missing_key_is_one_line(model, arguments):
    result = model.run(*arguments, key=None)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.outlines + result.errlines if line]
    assert line.startswith(f"ERROR: ragcheck: no API key for {model.api.url}: set ANTHROPIC_API_KEY")
    assert model.api.stats.requests == 0


def test_a_key_that_turns_out_to_be_missing(model):
    """The store has some replies, so that it might have had all."""
    model.run().assert_outcomes(passed=4)
    model.project.questions(new_question())

    result = model.run(key=None)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.stdout.str().count("no API key for") == 1
    assert len(model.calls()) == 4


@pytest.mark.parametrize(
    "arguments",
    [[], ["-p", "no:asyncio"], pytest.param(["-n", "2"], marks=NEEDS_XDIST)],
    ids=["serial", "own event loop", "workers"],
)
def test_a_refused_key_is_one_line(model, arguments):
    model.set_up_for(arguments)
    model.ask(40)
    model.api.behaviour = Behaviour(latency=0.02, api_key="another")

    result = model.run(*arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert text.count("refused the API key (status 401): check ANTHROPIC_API_KEY") == 1
    assert "ERROR" not in text.replace("INTERNALERROR", "INTERNAL")
    assert "INTERNALERROR" not in text
    assert KEY not in text
    assert 1 <= model.api.stats.requests <= 3
    assert not (model.project.path / ".ragcheck" / "runs").exists()


@pytest.mark.parametrize("arguments", [[], pytest.param(["-n", "2"], marks=NEEDS_XDIST)], ids=["serial", "workers"])
def test_a_model_that_is_not_there_is_one_line(model, arguments):
    model.set_up_for(arguments)
    model.ask(40)
    model.api.behaviour = Behaviour(faults={"not_found": 1.0})

    result = model.run("--ragcheck-concurrency", "2", *arguments)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    text = result.stdout.str() + result.stderr.str()
    assert text.count("it was retired or is misspelt; name another one") == 1
    assert "INTERNALERROR" not in text
    assert 1 <= len(model.calls()) <= 4


# ---- Errors of one call ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "cause"),
    [("bad_request", 400, "invalid_request_error"), ("too_large", 413, "invalid_request_error")],
)
def test_errors_that_no_retry_mends(model, fault, status, cause):
    model.api.behaviour = Behaviour(faults={fault: 1.0})

    result = model.run()

    result.assert_outcomes(errors=4)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert len(model.calls()) == 4, "tried again"
    for line, message in zip(model.calls(), sorted(model.project.messages().values()), strict=True):
        assert f"no answer: {MODEL}: {status} {cause}" in message
        assert f"status: {status}\n" in message
        assert "attempts: 1\n" in message
        assert re.search(r"seconds: \d", message)
        assert line.request_id in "".join(model.project.messages().values())
    result.stdout.fnmatch_lines(["4 model calls, 0 from the cache, 4 without a usable reply"])


def test_one_failing_question_is_one_error_and_each_end_of_a_reply_is_its_own_state(model):
    ends = {
        "meals": {"type": "message", "stop_reason": "max_tokens"},
        "remote work": {"type": "message", "stop_reason": "refusal", "content": []},
    }

    def reply(params):
        question = params["messages"][0]["content"].rpartition("Question: ")[2]
        if "carried over" in question:
            raise LookupError("out of order")
        return next((end for word, end in ends.items() if word in question), None)

    with MessagesApi(reply=reply) as model.api:
        result = model.run()
        again = model.run()
        calls = len(model.calls())

    result.assert_outcomes(passed=1, errors=3)
    again.assert_outcomes(passed=1, errors=3)
    assert calls == 4 + 1, "a reply that is cut short is a reply; only the failed call is made again"
    messages = model.project.messages()
    assert "the reply was cut off at max_tokens = 1024; raise it [meals]" in one_line(messages["test_handbook[meals]"])
    assert "the model refused to reply [remote-days]" in one_line(messages["test_handbook[remote-days]"])
    assert "500 api_error" in messages["test_handbook[carry-over]"]
    errors = {one["question"]["id"]: one["error"] and one["error"]["kind"] for one in model.last_run()["results"]}
    expected = {"meals": "truncated", "remote-days": "refused", "carry-over": "api-error", "days-of-leave": None}
    assert errors == expected


def one_line(text):
    return " ".join(text.split())


@pytest.mark.parametrize(
    "fault", [None, "overloaded", "server_error", "reset", "truncated_json", "hang"], ids=lambda fault: fault or "none"
)
def test_faults_end_in_answers_and_the_key_is_nowhere(model, fault):
    """A fifth of all requests; what is retried comes through, and no body that was cut is taken for an answer."""
    model.configure(request_timeout=3.0 if fault == "hang" else 60.0, metrics={"hit_rate": 1.0})
    model.ask(20)
    model.api.behaviour = Behaviour(seed=3, faults={} if fault is None else {fault: 0.2})

    result = model.run("--log-level=DEBUG", "-o", "log_file=everything.log", "-o", "junit_logging=all", "-v")

    outcomes = set(model.project.outcomes().values())
    assert outcomes == {"passed"}
    assert set(model.answers().values()) == {"Staff have 25 days of annual leave a year."}
    run = model.last_run()["model_calls"]
    met, again = model.api.stats.by_outcome.get(fault, 0), len(model.calls()) - 20
    assert run["retries"] == again
    assert met == again or (fault == "hang" and met < again), "of the calls that do not hang, a busy machine loses some"
    assert (met > 0) is (fault is not None)
    calls = [call for one in model.last_run()["results"] for call in one["calls"]]
    assert total(calls, "attempts") == 20 + again
    assert run["cost"] == pytest.approx(total(calls, "cost"))
    if fault not in {None, "hang"}:  # after a hang there is no pause
        assert total(calls, "backoff") > 0
    assert (model.project.path / "everything.log").stat().st_size > 0
    assert KEY not in result.stdout.str() + result.stderr.str()
    assert files_with(KEY, model.project.path) == []


def files_with(text, folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    assert len(paths) > 15
    return [path for path in paths if text.encode() in path.read_bytes()]


# ---- Money -----------------------------------------------------------------------------------

DEAR = {MODEL: {"input": 0.0, "output": 1000.0}}
"""A tenth of a cent for each token that the model writes."""


@pytest.mark.parametrize("arguments", [[], pytest.param(["-n", "2"], marks=NEEDS_XDIST)], ids=["serial", "workers"])
def test_the_budget_is_kept(model, arguments):
    model.configure(generation={"max_tokens": 100}, prices=DEAR, concurrency=4)
    model.ask(30)

    result = model.run("--ragcheck-max-cost", "0.25", *arguments)

    run = model.last_run()
    outcomes = list(model.project.outcomes().values())
    passed = outcomes.count("passed")
    result.assert_outcomes(passed=passed, skipped=30 - passed)
    assert result.ret == pytest.ExitCode.OK
    assert len(model.calls()) == passed
    cost = run["model_calls"]["cost"]
    assert cost == pytest.approx(sum(call["cost"] for one in run["results"] for call in one["calls"]))
    assert 0.22 < cost <= 0.25, "the worst case of a call is 0.1, and replies are seen to cost a tenth of that"
    assert 20 < passed < 30
    assert all(reason.startswith("budget spent: 0.2") for reason in model.skipped().values())
    told = [f"30 questions: {passed} passed, {30 - passed} not run", f"{passed} model calls, 0 from the cache"]
    result.stdout.fnmatch_lines([*told, f"cost: ${cost:.2f}"])

    more = model.run("--ragcheck-max-cost", "0.25")
    assert passed < list(model.project.outcomes().values()).count("passed"), "what was paid for is paid for"
    assert more.ret == pytest.ExitCode.OK


def test_several_configurations_share_the_budget(model):
    model.configure(generation={"max_tokens": 100}, prices=DEAR)
    model.ask(20)
    folder = model.project.path
    for name in ("one", "other"):
        (folder / name).mkdir()
        for path in ("docs", "questions.json", "ragcheck.toml", "embedder.py"):
            (folder / name / path).symlink_to(folder / path)
        (folder / name / f"test_{name}.py").write_text((folder / "test_handbook.py").read_text())

    result = model.run("one", "other", "--ragcheck-max-cost", "0.3")

    assert result.ret == pytest.ExitCode.OK
    run = json.loads(next((folder / ".ragcheck" / "runs").glob("*.json")).read_text())
    assert 0.1 < run["model_calls"]["cost"] <= 0.3
    assert set(result.parseoutcomes()) == {"passed", "skipped"}


@NEEDS_XDIST
def test_what_a_lost_worker_paid_is_in_the_accounts(model):
    model.configure(generation={"max_tokens": 100}, prices=DEAR)
    model.project.write(
        "test_handbook.py",
        """\
        import os
        import signal
        from pathlib import Path


        def test_handbook(ragcheck_result):
            ragcheck_result.assert_passed()
            if ragcheck_result.question.id == "q2" and not Path("died").exists():
                Path("died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        """,
    )
    model.ask(6)

    lost = model.run("-n", "1")

    assert len(model.calls()) == 6
    assert lost.parseoutcomes() == {"passed": 5, "failed": 1}
    counts = model.last_run()["model_calls"]
    paid = sum(call["cost"] for one in model.last_run()["results"] for call in one["calls"])
    assert counts["asked"] == 6
    assert counts["cost"] >= paid > 0
    lost.stdout.fnmatch_lines(["6 model calls, 0 from the cache", f"cost: ${counts['cost']:.2f}"])


def test_a_budget_of_nothing_calls_nothing(model):
    result = model.run("--ragcheck-max-cost", "0")

    result.assert_outcomes(skipped=4)
    assert model.calls() == []


def test_an_unknown_price_is_told_mended_and_never_counts_as_nothing(model):
    model.configure(generator="anthropic:house-model")
    result = model.run("-k", "meals")
    result.assert_outcomes(passed=1, deselected=3)
    result.stdout.fnmatch_lines(["cost: unknown for 1 call (no price for the model; set it under [[]prices])"])

    capped = model.run("--ragcheck-max-cost", "5")
    assert capped.ret == pytest.ExitCode.USAGE_ERROR
    assert capped.stdout.str().count("the price of house-model is unknown, so --ragcheck-max-cost cannot be kept") == 1
    assert len(model.calls()) == 1

    model.configure(generator="anthropic:house-model", prices={"house-model": {"input": 10.0, "output": 20.0}})
    priced = model.run("--ragcheck-max-cost", "5")
    priced.assert_outcomes(passed=4)
    usage, cost = model.last_run()["model_calls"]["usage"], model.last_run()["model_calls"]["cost"]
    assert cost == pytest.approx((10 * usage["input_tokens"] + 20 * usage["output_tokens"]) / 1e6)


@pytest.mark.parametrize(
    ("prices", "told"),
    [
        ({MODEL: {"input": 1.0}}, "output is missing"),
        ({MODEL: {"input": -1.0, "output": 1.0}}, "input must be US dollars per million tokens, not -1.0"),
        ({MODEL: {"input": 1.0, "output": 1.0, "inptu": 1.0}}, "unknown key 'inptu'; did you mean 'input'?"),
        ({MODEL: {"input": "cheap", "output": 1.0}}, "must be a number, got 'cheap'"),
        ({MODEL: 3}, "got 3"),
    ],
)
def test_bad_prices_are_one_line(model, prices, told):
    model.configure(prices=prices)

    result = model.run(imported=False)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.outlines + result.errlines if line]
    assert line.startswith("ERROR: ragcheck: ragcheck.toml")
    assert line.endswith(told)
    assert model.api.stats.requests == 0


@pytest.mark.parametrize("amount", ["-1", "nan", "inf", "much"])
def test_a_budget_that_is_none(model, amount):
    result = model.run(f"--ragcheck-max-cost={amount}", imported=False)

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--ragcheck-max-cost: expected an amount in US dollars, got '{amount}'"])


# ---- The plan --------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], pytest.param(["-n", "2"], marks=NEEDS_XDIST)], ids=["serial", "workers"])
def test_the_plan_calls_nothing_and_foresees(model, arguments):
    model.configure(generation={"max_tokens": 100}, prices=DEAR, metrics={"reference_coverage": 1.0, "hit_rate": 1.0})
    model.run("-k", "meals").assert_outcomes(passed=1, deselected=3)
    runs = len(list((model.project.path / ".ragcheck" / "runs").iterdir()))

    result = model.run("--ragcheck-plan", *arguments, key=None, imported=False)

    assert result.ret == pytest.ExitCode.OK
    result.assert_outcomes(skipped=4)
    assert set(model.skipped().values()) == {"--ragcheck-plan calls nothing"}
    assert len(model.calls()) == 1
    assert model.api.stats.requests == 2  # the run's own look at the key
    assert len(list((model.project.path / ".ragcheck" / "runs").iterdir())) == runs, "a plan was kept as a run"
    result.stdout.fnmatch_lines(["plan: nothing was called", "  3 model calls to make, 1 from the cache"])
    lines = dict(line.strip().split(": ", 1) for line in result.outlines if line.startswith("  ") and ": " in line)
    assert lines["cost"] == "$0.03 to $0.30"
    least, most = re.fullmatch(r"(\d+) to ([\d,]+) in, 30 to 300 out", lines["tokens"].replace(",", "", 0)).groups()
    model.run()
    spent = model.last_run()["model_calls"]["usage"]["input_tokens"]
    assert int(least) <= spent <= int(most.replace(",", ""))
    assert float(lines["minutes"].partition(" to ")[0]) < 1


def test_two_suites_that_ask_the_same_are_planned_as_the_run_would_ask(model):
    model.project.write(
        "test_second.py",
        """\
        import pytest

        @pytest.mark.ragcheck(metrics={"mrr": 0.1})
        def test_second(ragcheck_result):
            ragcheck_result.assert_passed()
        """,
    )
    model.run("--ragcheck-plan").stdout.fnmatch_lines(["  4 model calls to make, 4 from the cache"])
    model.run().assert_outcomes(passed=8)
    assert len(model.calls()) == 4


def test_the_plan_of_a_run_that_asks_no_model(project):
    project.configure(metrics={"hit_rate": 1.0, "groundedness": 1.0})
    result = project.run("--ragcheck-plan")
    result.assert_outcomes(skipped=4)
    result.stdout.fnmatch_lines(["plan: nothing was called", "  no model is configured, so a run calls none"])


def test_the_calls_of_a_pipeline_of_the_users_own_cannot_be_foreseen(own_system, asked):
    result = own_system.run("--ragcheck-plan")

    result.assert_outcomes(skipped=4)
    assert asked() == []
    line = "  4 questions for a pipeline of your own, whose calls cannot be foreseen"
    result.stdout.fnmatch_lines(["plan: nothing was called", line])


def test_an_own_pipeline_beside_a_configured_model_is_no_plan_of_no_calls(own_system):
    own_system.configure(documents=None, embedder=None, generator="anthropic:any", metrics={"reference_coverage": 1.0})

    result = own_system.run("--ragcheck-plan")

    assert "model calls to make" not in result.stdout.str()
    result.stdout.fnmatch_lines(["  4 questions for a pipeline of your own, whose calls cannot be foreseen"])


# ---- Concurrency -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "peak"),
    [(["--ragcheck-concurrency", "3"], 3), (["--ragcheck-sequential"], 1), ([], 9)],
    ids=["cap", "sequential", "default"],
)
def test_calls_in_flight(model, reply_at, arguments, peak):
    model.ask(9)
    model.api.behaviour = Behaviour(latency=0.1, latency_spread=0.0)
    reply_at(model.api, peak)

    model.run(*arguments).assert_outcomes(passed=9)

    assert model.api.stats.peak_in_flight == peak


def test_what_concurrency_buys(model, reply_at):
    model.ask(6)
    model.api.behaviour = Behaviour(latency=0.1, latency_spread=0.0)
    reply_at(model.api, 2)

    model.run("--ragcheck-cache", "refresh").assert_outcomes(passed=6)
    concurrent = model.last_run()["wall"]
    assert model.api.stats.peak_in_flight > 1
    model.api.reset_stats()
    model.api._reply = None
    result = model.run("--ragcheck-cache", "refresh", "--ragcheck-sequential")

    sequential = model.last_run()["wall"]
    assert model.api.stats.peak_in_flight == 1
    assert len(model.calls()) == 6
    assert sequential >= 6 * 0.1
    result.stdout.fnmatch_lines(["timing, sequential against concurrent (run of *"])
    (line,) = [line for line in result.outlines if line.strip().startswith("all questions")]
    told = [figures.seconds(sequential), figures.seconds(concurrent), figures.ratio(sequential, concurrent)]
    assert line.split() == ["all", "questions", *" ".join(told).split()]


# ---- Progress --------------------------------------------------------------------------------


class Screen:
    """What a terminal shows after all that was written, and what stood in it on the way."""

    def __init__(self):
        self.lines = [""]
        self.shown = []
        self._row = self._column = 0

    def feed(self, text):
        for part in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+|\x1b", text):
            if part == "\r":
                self._column = 0
            elif part == "\n":
                self._row += 1
                self.lines += [""] * (self._row - len(self.lines) + 1)
            elif part == "\x1b[2K":
                self.lines[self._row] = ""
            elif part == "\x1b[1A":
                self._row -= 1
            elif part.startswith("\x1b") and part.endswith("C"):
                self._column += int(part[2:-1])
            elif part.startswith("\x1b"):
                assert part.endswith("m"), part
            else:
                self._write(part)

    def _write(self, text):
        before = self.lines[self._row].ljust(self._column)
        self.lines[self._row] = before[: self._column] + text + before[self._column + len(text) :]
        self._column += len(text)
        self.shown.append(self.lines[self._row])


def in_terminal(model, *arguments, pieces):
    """Run pytest with a terminal of 80 columns, of which ``pieces`` is what was written so far; the screen."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    project, screen = model.project, Screen()

    def read():
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                return
            if not piece:
                return
            pieces.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    request = {
        "cwd": str(project.path),
        "env": project.environment() | model.environment() | {"TERM": "xterm"},
        "args": project.arguments(*arguments),
        "stdout": os.ttyname(theirs),
        "stderr": os.ttyname(theirs),
    }
    server = model._sdk._server
    server.stdin.write(json.dumps(request).encode() + b"\n")
    server.stdout.readline()
    status = int(server.stdout.readline())
    os.close(theirs)
    reader.join(120)
    os.close(ours)
    screen.feed(b"".join(pieces).decode())
    sys.stdout.write("\n".join(screen.lines))  # shown if the test fails
    return status, screen


IMPATIENT = """\
from pytest_ragcheck.session import progress, progress_displays

progress.EVERY = 0.05
progress_displays.FIRST_AFTER = 0.2
progress_displays.LOG_LEAST = 0.1
"""
PROGRESS = re.compile(r"ragcheck \[[=> ]*\] \d+/4 questions")


@pytest.mark.parametrize("arguments", [[], ["-q"], ["-v"], ["-p", "no:asyncio"]], ids="".join)
def test_a_terminal_has_a_line_that_is_rewritten_and_cleared(model, reply_when, arguments):
    model.set_up_for(arguments)
    model.project.write("conftest.py", IMPATIENT)
    pieces = []
    reply_when(model.api, lambda: b"".join(pieces).count(b" in flight") >= 2)

    status, screen = in_terminal(model, "--ragcheck-concurrency", "2", *arguments, pieces=pieces)

    assert status == 0
    shown = [line for line in screen.shown if PROGRESS.search(line)]
    assert len(shown) >= 2
    assert any(re.search(r"\d s, .*\d+ calls? in flight", line) for line in shown)
    assert not [line for line in screen.lines if PROGRESS.search(line)], "it is still there"
    assert screen.lines[-2].strip("= ").startswith("4 passed")
    if arguments == ["-v"]:
        assert (
            sum(bool(re.match(r"test_handbook\.py::test_handbook\[.*\] PASSED ", line)) for line in screen.lines) == 4
        )
    else:
        assert [line for line in screen.lines if re.fullmatch(r"(test_handbook\.py )?\.{4}( +\[100%\])?", line)]


def test_without_a_terminal_reporter_there_is_no_progress(model):
    model.project.write("conftest.py", IMPATIENT)
    model.api.behaviour = Behaviour(latency=0.3, latency_spread=0.0)

    status, screen = in_terminal(model, "-p", "no:terminal", pieces=[])

    assert status == 0
    assert not any(PROGRESS.search(line) for line in screen.shown)


@pytest.mark.parametrize("arguments", [[], ["-q"], ["-v"], ["-s"]], ids="".join)
def test_a_log_has_lines_of_their_own(model, reply_when, arguments):
    model.project.write("conftest.py", IMPATIENT)
    log = model.project.path / "stdout"
    reply_when(
        model.api,
        lambda: all(f" {done}/4 questions" in log.read_text() for done in range(1, model.api.stats.replies + 1)),
    )

    result = model.run("--ragcheck-concurrency", "1", *arguments)

    result.assert_outcomes(passed=4)
    told = [line for line in result.outlines if "questions, " in line and "in flight" in line]
    assert [re.match(r"ragcheck: ([1-3])/4 questions, \d+ s", line)[1] for line in told] == ["1", "2", "3"]
    assert "\r" not in result.stdout.str()


def test_a_fast_run_tells_nothing(model):
    result = model.run()

    assert "/4 questions" not in result.stdout.str()


# ---- Users' own tests ------------------------------------------------------------------------


def test_a_rehearsal_without_a_key(bare_project):
    bare_project.write(
        "test_rehearsal.py",
        """\
        from anthropic import AsyncAnthropic

        from pytest_ragcheck import generate_answer

        def test_rehearsal(ragcheck_messages_api):
            client = AsyncAnthropic(base_url=ragcheck_messages_api.url, api_key="any")

            assert generate_answer("What is paid?", "Meals are paid. Trips are not.", client=client) == "Meals are paid."
            assert ragcheck_messages_api.stats.replies == 1

        def test_each_test_has_an_api_of_its_own(ragcheck_messages_api):
            assert ragcheck_messages_api.stats.requests == 0
        """,
    )

    bare_project.run(ragcheck=False).assert_outcomes(passed=2)


# ---- The gate ----------------------------------------------------------------------------------


def test_earlier_runs_show_the_gate_how_far_runs_lie_apart(model):
    """The server says more in one run and less in another; two runs alone would look like a change of the system."""
    words = [f"word{number:02}" for number in range(20)]
    model.configure(metrics={"reference_coverage": 0.1})
    model.project.questions(
        [{"id": f"q{n}", "question": f"What of number {n}?", "reference": " ".join(words)} for n in range(12)]
    )
    model.project.write("test_own.py", "def test_own(ragcheck_result):\n    ragcheck_result.assert_passed()\n")

    def run(mood, *arguments):
        def say(params):
            number = int(re.search(r"number (\d+)", json.dumps(params["messages"]))[1])
            return "Said " + " ".join(words[: 12 + mood + (number * (mood + 5)) % 3])

        model.api._reply = say
        done = model.run("--ragcheck-cache", "refresh", *arguments)
        return done.ret, next((line.split(": ")[1] for line in done.outlines if line.startswith("gate: ")), None)

    gated = ("--ragcheck-fail-on", "regression", "--ragcheck-report", "run.json")
    for mood in (3, 0, 4, 1, 3):
        run(mood)
    run(3, "--ragcheck-update-baseline")

    assert run(1, *gated) == (0, "inconclusive")
    spread = json.loads((model.project.path / "run.json").read_text())["comparison"]["metrics"]["reference_coverage"]
    assert 0.05 < spread["run_spread"] < 0.2
    for path in (model.project.path / ".ragcheck" / "runs").glob("*.json"):
        path.unlink()
    assert run(1, *gated) == (1, "regressed")

"""Metrics that a model judges, in a whole run. The judge is the loopback Messages API; the server counts."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec

import pytest

from pytest_ragcheck.testing.messages_api import Behaviour

pytestmark = pytest.mark.skipif(find_spec("deepeval") is None, reason="needs deepeval")

MODEL = "claude-haiku-5-5"
RAG_METRICS = (
    "faithfulness",
    "answer_relevancy",
    "contextual_precision",
    "contextual_recall",
    "contextual_relevancy",
)
EARLY = {"contextual_precision", "contextual_recall", "contextual_relevancy"}
CONTEXTS = 5

WATCHER = '''
"""Writes down every connection, look-up and file that is opened for writing, and the modules there were at the end."""
import atexit, json, os, sys

seen = {"connect": [], "lookup": [], "written": []}


def watch(event, arguments):
    if event == "socket.connect":
        seen["connect"].append(str(arguments[1]))
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        seen["lookup"].append(str(arguments[0]))
    elif event == "open" and isinstance(arguments[0], str) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        seen["written"].append(os.path.abspath(arguments[0]))
    elif event == "os.mkdir":
        seen["written"].append(os.path.abspath(os.fsdecode(arguments[0])))


sys.addaudithook(watch)


def pytest_unconfigure():
    for name in [name for name in os.environ if name.startswith("DEEPEVAL_")]:
        del os.environ[name]  # as a fixture does that puts the environment back


@atexit.register
def write():
    seen["modules"] = sorted({name.partition(".")[0] for name in sys.modules})
    with open("watched.json", "w") as file:
        json.dump(seen, file)
'''


def all_pass(params):
    """A judge that finds one of everything, and everything right; it asks for room for what is long."""
    schema = params["output_config"]["format"]["schema"]
    prompt = params["messages"][0]["content"]
    claims = {
        "claims": ["Item 0 has colour 0."],
        "truths": ["Item 0 has colour 0."],
        "statements": ["It has a colour."],
    }
    found = {name: value for name, value in claims.items() if name in schema["properties"]}
    if found:
        return found
    if "verdicts" in schema["properties"]:
        count = CONTEXTS if "Retrieval Context" in prompt and "node" in prompt else 1
        return {"verdicts": [{"statement": "a colour", "verdict": "yes", "reason": "it is so"}] * count}
    return {"reason": "the judge's own words"}


def passing(api):
    api._reply = all_pass


# ---- Calls and the store ---------------------------------------------------------------------


def test_no_more_calls_than_the_scores_need_and_none_the_second_time(judged):
    passing(judged.api)
    judged.configure(dict.fromkeys(RAG_METRICS, 0.5))

    first = judged.run()

    first.assert_outcomes(passed=3)
    assert len(judged.calls()) <= 12 * 3
    for scores in judged.scores().values():
        assert {name: scores[name]["value"] for name in RAG_METRICS} == dict.fromkeys(RAG_METRICS, 1.0)
    made = [call for result in judged.last_run()["results"] for call in result["calls"]]
    assert len(made) <= 12 * 3
    assert {call["purpose"] for call in made} == set(RAG_METRICS)
    before = judged.scores()

    judged.api.reset_stats()
    judged.run().assert_outcomes(passed=3)
    assert judged.calls() == []
    assert judged.scores() == before


def test_a_run_without_anything_new_imports_neither_deepeval_nor_the_sdk(cold):
    cold.project.write("watcher.py", WATCHER)
    cold.configure(dict.fromkeys(RAG_METRICS, "report"))
    cold.run("-p", "watcher").assert_outcomes(passed=3)
    watched = json.loads((cold.project.path / "watched.json").read_text())
    assert {"deepeval", "anthropic"} <= set(watched["modules"])
    assert len(cold.calls()) > 0

    cold.api.reset_stats()
    cold.configure(dict.fromkeys(RAG_METRICS, 0.0), judging={"near": 0.0})  # thresholds do not change a score
    cold.run("-p", "watcher").assert_outcomes(passed=3)
    again = json.loads((cold.project.path / "watched.json").read_text())
    assert not {"deepeval", "anthropic"} & set(again["modules"])
    assert cold.calls() == []


def test_a_judged_run_speaks_to_the_judge_alone_and_writes_nothing_of_deepevals(cold):
    cold.project.write("watcher.py", WATCHER)
    cold.project.write(".env", "ANTHROPIC_API_KEY=sk-ant-from-a-file-nobody-named\nFROM_DOTENV=1\n")
    cold.configure({"faithfulness": "report", "hallucination": "report", "correctness": "report"})

    ran = cold.run("-p", "watcher", "-s")

    ran.assert_outcomes(passed=3)
    watched = json.loads((cold.project.path / "watched.json").read_text())
    port = cold.api.url.rpartition(":")[2]
    assert watched["connect"]
    assert {place for place in watched["connect"] if f"'127.0.0.1', {port}" not in place} == set()
    assert {name for name in watched["lookup"] if name not in {"127.0.0.1", "b'127.0.0.1'"}} == set()
    written = [path for path in watched["written"] if "__pycache__" not in path]
    assert [path for path in written if "deepeval" in path.lower()] == []
    assert not list(cold.project.path.rglob(".deepeval*"))
    output = ran.stdout.str() + ran.stderr.str()
    assert "deepeval" not in output.replace("no:deepeval", "").lower()  # the command line may be repeated
    assert "Confident" not in output


def test_a_changed_answer_is_judged_anew_but_not_its_contexts(judged):
    passing(judged.api)
    judged.configure(dict.fromkeys(RAG_METRICS, 0.5))
    judged.run().assert_outcomes(passed=3)
    judged.api.reset_stats()
    judged.answer(said="is of colour 0.")

    judged.run().assert_outcomes(passed=3)

    purposes = {call["purpose"] for result in judged.last_run()["results"] for call in result["calls"]}
    assert purposes == {"faithfulness", "answer_relevancy"}
    assert judged.calls()


def test_refresh_asks_again_and_off_keeps_nothing(judged):
    passing(judged.api)
    judged.configure({"answer_relevancy": 0.5})
    judged.run("--ragcheck-cache", "off").assert_outcomes(passed=3)
    judged.run().assert_outcomes(passed=3)
    judged.run("--ragcheck-cache", "refresh").assert_outcomes(passed=3)
    assert len(judged.calls()) == 3 * 2 * 3
    judged.run("--ragcheck-cache", "only").assert_outcomes(passed=3)
    assert len(judged.calls()) == 3 * 2 * 3


@pytest.mark.skipif(find_spec("xdist") is None, reason="needs pytest-xdist")
def test_the_workers_of_xdist_share_the_judge(judged):
    judged.configure(dict.fromkeys(RAG_METRICS, "report"))
    judged.run("-n", "2").assert_outcomes(passed=3)
    assert len(judged.calls()) == len({line.digest for line in judged.calls()})
    assert all(len(scores) == len(RAG_METRICS) for scores in judged.scores().values())


# ---- Reasons ---------------------------------------------------------------------------------


def test_reasons_are_asked_for_only_where_they_are_read(judged):
    def judge(params):
        said = all_pass(params)
        if "statements" in said:
            said["statements"] = ["It has a colour.", "It is old."]
        elif "verdicts" in said:
            asked_of = "no" if "item 1" in params["messages"][0]["content"] else "yes"
            said["verdicts"] = [{"verdict": "yes", "reason": None}, {"verdict": asked_of, "reason": "who asked?"}]
        return said

    judged.api._reply = judge
    judged.configure({"answer_relevancy": 0.8})

    ran = judged.run()

    assert judged.project.outcomes() == {"test_own[q0]": "passed", "test_own[q1]": "failed", "test_own[q2]": "passed"}
    assert len(judged.calls()) == 2 * 3 + 1
    failed = judged.scores()["q1"]["answer_relevancy"]
    assert failed["value"] == 0.5
    assert failed["reason"] == "the judge's own words"
    assert failed["details"]["rejected"] == [{"claim": "It is old.", "reason": "who asked?"}]
    assert failed["details"]["judge"] == "claude-haiku-5-5"
    ran.stdout.fnmatch_lines(["*the judge's own words*", '*rejected: "It is old." (who asked?)*'])

    judged.api.reset_stats()
    judged.run("-v")
    assert len(judged.calls()) == 2, "the two other reasons, and nothing is measured again"
    assert {one["answer_relevancy"]["reason"] for one in judged.scores().values()} == {"the judge's own words"}


def test_a_threshold_of_the_question_decides_too(judged):
    passing(judged.api)
    judged.ask(1, thresholds={"answer_relevancy": 1.0})
    judged.configure({"answer_relevancy": 0.1})
    judged.run().assert_outcomes(passed=1)
    assert len(judged.calls()) == 3, "a score that just passes is near its threshold"


# ---- Vacuous scores and degenerate input -----------------------------------------------------


def test_a_score_without_evidence_keeps_its_number_and_says_so(judged):
    def judge(params):
        said = all_pass(params)
        return {name: [] if name in {"claims", "verdicts"} else value for name, value in said.items()}

    judged.api._reply = judge
    judged.ask(1)
    judged.configure({"faithfulness": 0.8, "answer_relevancy": "report", "contextual_precision": "report"})
    judged.run().assert_outcomes(passed=1)
    scores = judged.scores()["q0"]
    assert scores["faithfulness"]["value"] == 1.0
    assert scores["faithfulness"]["details"]["vacuous"] == "the judge found no claim in the answer"
    assert scores["faithfulness"]["reason"].startswith("vacuous: the judge found no claim in the answer")
    assert scores["answer_relevancy"]["details"]["vacuous"] == "the judge gave 0 verdicts for 1 statement"
    assert scores["contextual_precision"]["value"] == 0.0
    assert scores["contextual_precision"]["details"]["vacuous"] == "the judge gave 0 verdicts for 5 contexts"

    judged.api.reset_stats()
    judged.run("--ragcheck-strict-evidence").assert_outcomes(errors=1)
    error = judged.scores()["q0"]["faithfulness"]["error"]
    assert (error["kind"], error["message"]) == (
        "vacuous",
        "the score is vacuous: the judge found no claim in the answer",
    )
    assert judged.calls() == []


def test_an_empty_answer_is_an_error_before_a_call_is_paid(judged):
    passing(judged.api)
    judged.ask(4)
    judged.configure({"answer_relevancy": 0.5, "faithfulness": 0.5})
    judged.run()
    assert judged.project.outcomes()["test_own[q3]"] == "error"
    errors = {name: score["error"]["message"] for name, score in judged.scores()["q3"].items()}
    assert errors == dict.fromkeys(("answer_relevancy", "faithfulness"), "the answer is empty")
    assert 0 < len(judged.calls()) <= 3 * 5


def test_without_contexts_nothing_is_paid(judged):
    passing(judged.api)
    judged.answer(contexts=0)
    judged.configure({**dict.fromkeys(EARLY, 0.5), "hallucination": 0.5})
    judged.run().assert_outcomes(failed=3)
    assert judged.calls() == []
    assert {score["reason"] for scores in judged.scores().values() for score in scores.values()} == {
        "there are no contexts"
    }


# ---- Faults ----------------------------------------------------------------------------------

TROUBLE = {"overloaded": 0.08, "reset": 0.04, "malformed_json": 0.04, "empty_reply": 0.04}


def test_faults_never_change_a_score(judged):
    judged.configure(dict.fromkeys((*RAG_METRICS, "hallucination", "correctness"), "report"))
    judged.run("--ragcheck-cache", "off").assert_outcomes(passed=3)
    sound = judged.scores()
    judged.api.behaviour = Behaviour(faults=TROUBLE, stop_reasons={"max_tokens": 0.05, "refusal": 0.03}, seed=7)
    judged.api.reset_stats()

    judged.run("--ragcheck-cache", "off").assert_outcomes(passed=3)

    stats = judged.api.stats
    assert sum(count for name, count in stats.by_outcome.items() if name in TROUBLE) >= 5
    pairs = [(sound[id_][name], score) for id_, scores in judged.scores().items() for name, score in scores.items()]
    assert len(pairs) == 3 * 7
    assert all(score["error"] or score["value"] == before["value"] for before, score in pairs)
    assert any(score["error"] is None for _, score in pairs)


def test_a_truncated_reply_gets_more_room_once(judged):
    limits = []

    def judge(params):
        limits.append(params["max_tokens"])
        if params["max_tokens"] == 100:
            return {"type": "message", "content": [{"type": "text", "text": '{"statem'}], "stop_reason": "max_tokens"}
        return all_pass(params)

    judged.api._reply = judge
    judged.ask(1)
    judged.configure({"answer_relevancy": 0.5}, judging={"max_tokens": 100})
    judged.run().assert_outcomes(passed=1)
    assert limits == [100, 400, 100, 400]


def test_what_cannot_be_measured_leaves_the_other_metrics_alone(judged):
    def judge(params):
        if "truths" in params["output_config"]["format"]["schema"]["properties"]:
            return {"type": "message", "content": [], "stop_reason": "refusal"}
        return all_pass(params)

    judged.api._reply = judge
    judged.ask(1)
    judged.configure({"faithfulness": 0.5, "answer_relevancy": 0.5})
    judged.run()
    scores = judged.scores()["q0"]
    assert judged.project.outcomes() == {"test_own[q0]": "error"}
    assert scores["faithfulness"]["value"] is None
    assert scores["faithfulness"]["error"]["kind"] == "refused"
    assert scores["answer_relevancy"]["value"] == 1.0


def test_what_deepeval_makes_of_an_error_is_undone(judged):
    """deepeval takes some words in an error for a context window that was exceeded, and tells nothing else."""
    judged.api.behaviour = Behaviour(faults={"bad_request": 1.0})
    judged.api._reply = None
    judged.ask(1)
    judged.configure({"answer_relevancy": 0.5})
    judged.run()
    error = judged.scores()["q0"]["answer_relevancy"]["error"]
    assert (error["kind"], error["details"]["status"]) == ("api-error", 400)
    assert "refused on purpose" in error["message"]


def test_json_of_another_shape_is_an_error_and_no_score(judged):
    def judge(params):
        said = all_pass(params)
        return {"verdicts": [{"verdict": "perhaps", "reason": "?"}]} if "verdicts" in said else said

    judged.api._reply = judge
    judged.ask(1)
    judged.configure({"answer_relevancy": 0.5})
    judged.run()
    error = judged.scores()["q0"]["answer_relevancy"]["error"]
    assert error["kind"] == "invalid-reply"
    assert "does not follow the schema" in error["message"]


def test_a_grade_off_the_scale_is_an_error(judged):
    judged.api._reply = lambda params: (
        {"steps": ["Compare."]}
        if "steps" in params["output_config"]["format"]["schema"]["properties"]
        else {"reason": "more than all", "score": 11}
    )
    judged.ask(1)
    judged.configure({"correctness": 0.5})
    judged.run()
    assert judged.scores()["q0"]["correctness"]["error"]["kind"] == "wrong-value"


# ---- Correctness -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("judging", "calls"), [({"criteria": "Colours agree."}, 1 + 3), ({"evaluation_steps": ["Compare the colours."]}, 3)]
)
def test_what_counts_as_correct_can_be_said(judged, judging, calls):
    prompts = []

    def judge(params):
        prompts.append(params["messages"][0]["content"])
        steps = "steps" in params["output_config"]["format"]["schema"]["properties"]
        return {"steps": ["Compare."]} if steps else {"reason": "nearly", "score": 8}

    judged.api._reply = judge
    judged.configure({"correctness": 0.9}, judging=judging)
    judged.run().assert_outcomes(failed=3)
    assert {scores["correctness"]["value"] for scores in judged.scores().values()} == {0.8}
    assert {scores["correctness"]["reason"] for scores in judged.scores().values()} == {"nearly"}
    assert len(prompts) == calls, "the steps are asked for once"
    said = judging.get("criteria") or judging["evaluation_steps"][0]
    assert any(said in prompt for prompt in prompts)


# ---- Configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metrics", "settings", "told"),
    [
        ({"faithfulness": 0.5}, {"judge": None}, "metric 'faithfulness' needs a judge; set `judge = "),
        ({"faithfulness": 0.5}, {"judge": "gpt-5"}, "ragcheck.toml:2: judge = 'gpt-5' is not known"),
        ({"faithfulnes": 0.5}, {}, "unknown metric 'faithfulnes'; did you mean 'faithfulness'?"),
        ({"correctness": 0.5}, {"judging": {"criterion": "x"}}, "unknown key 'judging.criterion'; did you mean"),
        ({"correctness": 0.5}, {"judging": {"criteria": ""}}, "judging.criteria: "),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_asked(judged, metrics, settings, told):
    judged.configure(metrics, **settings)
    ran = judged.run()
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in ran.stderr.lines if told in line]
    assert len(ran.stderr.lines) <= 2
    assert judged.api.stats.requests == 0


def test_a_metric_that_needs_references_where_there_are_none(judged):
    judged.ask(2, reference=None)
    judged.configure({"contextual_recall": 0.5})
    ran = judged.run()
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert re.search(r"metric 'contextual_recall' needs reference, and no question of \S+ has any", ran.stderr.str())
    assert judged.api.stats.requests == 0


def test_nothing_is_judged_unasked(judged):
    judged.project.configure(documents=None, embedder=None, metrics={}, judge=f"anthropic:{MODEL}")
    judged.run()
    assert judged.api.stats.requests == 0
    assert not {name for scores in judged.scores().values() for name in scores} & {*RAG_METRICS, "correctness"}


def test_without_a_key_nothing_is_asked(judged):
    judged.configure({"faithfulness": 0.5})
    ran = judged.project.run(environment={"ANTHROPIC_BASE_URL": judged.api.url})
    assert ran.ret == pytest.ExitCode.USAGE_ERROR
    assert "no API key" in ran.stderr.str() + ran.stdout.str()
    assert judged.calls() == []


def test_a_plan_counts_what_would_be_judged(project, api):
    """Contexts are known without a call; answers are not, so that what judging them takes is estimated."""
    metrics = ("faithfulness", "answer_relevancy", "contextual_recall", "contextual_relevancy", "correctness")
    project.configure(metrics=dict.fromkeys(metrics, 0.5), judge=f"anthropic:{MODEL}", top_k=2)
    environment = {"ANTHROPIC_BASE_URL": api.url}

    ran = project.run("--ragcheck-plan", environment=environment)

    each = 3 + 2 + 1 + 2 + 1
    ran.stdout.fnmatch_lines(["plan: nothing was called", f"  {4 * each} model calls to make, 4 from the cache"])
    assert api.stats.requests == 0


def price(judged, output):
    """US dollars per million tokens; what goes in is free."""
    path = judged.project.path / "ragcheck.toml"
    path.write_text(path.read_text() + f'[prices."{MODEL}"]\ninput = 0.0\noutput = {output}\n')


def test_a_plan_brackets_the_price_of_a_judged_run(project, api):
    project.configure(metrics={"faithfulness": "report", "contextual_relevancy": "report"}, judge=f"anthropic:{MODEL}")
    environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test-of-plans-0123456789"}
    planned = project.run("--ragcheck-plan", environment=environment).stdout.str()
    low, high = map(float, re.search(r"cost: \$([\d.]+) to \$([\d.]+)", planned).groups())
    project.run(environment=environment).assert_outcomes(passed=4)
    path = max((project.path / ".ragcheck" / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)

    assert low <= json.loads(path.read_text())["model_calls"]["cost"] <= high


def test_a_plan_after_a_run_narrows_the_price_to_what_calls_of_that_run_took(project, api):
    """Other questions of the same kind: the bracket holds the price, and is no wider than a factor of 3."""
    metrics = ("faithfulness", "answer_relevancy", "contextual_relevancy")
    models = {"generator": f"anthropic:{MODEL}", "judge": f"anthropic:{MODEL}"}
    project.configure(metrics=dict.fromkeys(metrics, "report"), top_k=2, **models)
    path = project.path / "ragcheck.toml"
    path.write_text(path.read_text() + f'[prices."{MODEL}"]\ninput = 1.0\noutput = 5.0\n')
    environment = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test-of-plans-0123456789"}

    def planned():
        text = project.run("--ragcheck-plan", environment=environment).stdout.str()
        return [float(bound) for bound in re.search(r"cost: \$([\d.]+) to \$([\d.]+)", text).groups()]

    def cost():
        project.run(environment=environment)
        runs = sorted((project.path / ".ragcheck" / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return json.loads(runs[-1].read_text())["model_calls"]["cost"]

    def ask(count, about):
        """Questions and contexts that no other one shares."""
        rows = [{"id": f"{about}{n}", "question": f"How much {about} is on ship {n}?"} for n in range(count)]
        project.questions(rows)
        for n in range(count):
            project.write(
                f"docs/{about}-{n}.md", f"# {about}\n\nHow much {about} is on ship {n}? {7 * n + 2} crates.\n"
            )

    ask(12, "salt")
    first = planned()
    assert first[0] <= cost() <= first[1]
    assert first[1] > 3 * first[0], "before any run only the longest reply is known"
    ask(12, "rice")
    low, high = planned()
    assert low <= cost() <= high
    assert high < 3 * low


@pytest.mark.parametrize("mark", ["", "@pytest.mark.xfail(reason='known')"])
def test_a_judge_that_may_not_be_asked_leaves_questions_not_run(judged, mark):
    """Nothing was measured, and nothing was meant to be: as where no answer may be asked for."""
    test = f"import pytest\n\n\n{mark}\ndef test_own(ragcheck_result):\n    ragcheck_result.assert_passed()\n"
    judged.project.write("test_own.py", test)
    judged.configure({"faithfulness": 0.5})
    result = judged.run("--ragcheck-cache", "only")

    assert (result.ret, result.parseoutcomes()) == (0, {"skipped": 3})
    assert judged.calls() == []
    result.stdout.fnmatch_lines(["3 questions: 0 passed, 3 not run"])
    assert {case.find("skipped").get("message") for case in judged.project.test_cases().values()} == {
        f"faithfulness: {MODEL}: the reply is not in the store, and --ragcheck-cache only forbids the call"
    }


def test_a_miss_is_a_miss_though_the_judge_may_not_be_asked(judged):
    judged.ask(3, reference="Nothing of the kind.")
    judged.configure({"faithfulness": 0.5, "reference_coverage": 1.0})
    result = judged.run("--ragcheck-cache", "only")

    assert (result.ret, result.parseoutcomes()) == (1, {"failed": 3})


@pytest.mark.parametrize("mark", ["", "@pytest.mark.xfail(reason='known')"])
def test_a_judge_that_fails_is_an_error_whatever_is_expected(judged, mark):
    test = f"import pytest\n\n\n{mark}\ndef test_own(ragcheck_result):\n    ragcheck_result.assert_passed()\n"
    judged.project.write("test_own.py", test)
    judged.configure({"faithfulness": 0.5})
    judged.api._reply = lambda params: {"neither": "claims nor verdicts"}
    result = judged.run()

    assert (result.ret, result.parseoutcomes()) == (1, {"errors": 3})


def test_a_small_budget_judges_what_it_pays_for(judged):
    """The worst case of one call is twice the budget."""
    passing(judged.api)
    judged.project.questions([{"id": f"q{n}", "question": f"Colour of item {n}?"} for n in range(10, 30)])
    judged.configure({"answer_relevancy": 0.5}, concurrency=8, judging={"max_tokens": 600})
    price(judged, 10.0)
    judged.run("--ragcheck-max-cost", "100").assert_outcomes(passed=20)
    whole = judged.last_run()["model_calls"]["cost"]

    (judged.project.path / ".ragcheck" / "cache.sqlite").unlink()
    limit = whole / 2
    assert 1.5 * limit < 600 * 10.0 / 1e6
    result = judged.run("--ragcheck-max-cost", f"{limit:.6f}")
    outcomes = result.parseoutcomes()

    assert result.ret == 0
    assert outcomes.keys() == {"passed", "skipped"}
    assert outcomes["passed"] >= 8
    assert judged.last_run()["model_calls"]["cost"] <= limit + 1e-9  # sums of floats


def test_any_other_metric_of_deepevals_can_use_the_judge(judged):
    conftest = judged.project.path / "conftest.py"
    conftest.write_text(
        """
import pytest_ragcheck


@pytest_ragcheck.metric
async def unbiased(question, answer, judge):
    model = await judge.for_deepeval()
    from deepeval.metrics import GEval
    from deepeval.test_case import LLMTestCase, SingleTurnParams

    metric = GEval(
        name="unbiased",
        model=model,
        evaluation_steps=["Look for opinions."],
        evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT],
    )
    await metric.a_measure(LLMTestCase(input=question.question, actual_output=answer.text), _show_indicator=False)
    return metric.score
"""
        + conftest.read_text()
    )
    judged.api._reply = lambda params: {"reason": "a fact", "score": 10}
    judged.configure({"unbiased": "report"})
    judged.run().assert_outcomes(passed=3)
    given = [scores["unbiased"] for scores in judged.scores().values()]
    assert [score["error"] for score in given] == [None] * 3
    assert {score["value"] for score in given} == {1.0}
    assert {line.status for line in judged.calls()} == {200}
    assert {call["purpose"] for result in judged.last_run()["results"] for call in result["calls"]} == {"unbiased"}


def test_a_judge_that_never_follows_the_form_is_asked_twice_and_the_error_names_the_way_out(judged):
    judged.configure({"answer_relevancy": 0.5})
    judged.api.behaviour = Behaviour(faults={"malformed_json": 1.0})

    result = judged.run()

    assert result.ret == 1
    assert set(judged.project.outcomes().values()) == {"error"}
    asked = [line.digest for line in judged.calls()]
    assert {asked.count(digest) for digest in asked} == {2}
    for message in judged.project.messages().values():
        assert "the reply is not the JSON that was asked for" in " ".join(message.split())
        assert "use a model that replies with JSON to a schema" in " ".join(message.split())

"""The fixtures that tests ask for."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pytest_ragcheck.model import Answer, Question, Result
    from pytest_ragcheck.rag.index import Index
    from pytest_ragcheck.session.answers import LiveAnswers
    from pytest_ragcheck.session.item_result import ItemResult
    from pytest_ragcheck.session.jobs import ConfiguredPipeline
    from pytest_ragcheck.session.pipeline_gateway import PipelineGateway
    from pytest_ragcheck.session.selection import Entry
    from pytest_ragcheck.session.suites import Suite
    from pytest_ragcheck.session.workers import SharedAnswers
    from pytest_ragcheck.testing.messages_api import MessagesApi

ENTRY = "_ragcheck_entry"
"""The parameter that carries an item's question."""
ASKED_TOO_LATE = (
    "a ragcheck fixture was asked for while the test ran; name it among the test's arguments, "
    "so that there can be one item for each question"
)
OFF_REASON = "a RAG item: add --ragcheck to run it"


@pytest.fixture(name=ENTRY)
def _ragcheck_entry() -> Entry:
    pytest.fail(ASKED_TOO_LATE, pytrace=False)


@pytest.fixture
def ragcheck_question(_ragcheck_entry: Entry) -> Question:
    """The item's question: id, question, reference, gold, tags, answerable, thresholds.

    A ``pytest_ragcheck.Question``. A test that asks for this alone has one item for each question and asks
    the pipeline nothing.
    """
    return _ragcheck_entry.question


@pytest.fixture
def ragcheck_answer(request: pytest.FixtureRequest, _ragcheck_entry: Entry, _ragcheck_result: Result) -> Answer:
    """The answer to the item's question: text, contexts, refused, latency.

    A ``pytest_ragcheck.Answer``, for assertions of your own; thresholds play no part. The item is an error
    where the pipeline gave no answer, and skipped where the question was not run. Of several trials it is the first
    answer that came out as the question as a whole did.
    """
    if _ragcheck_result.not_run is not None:
        pytest.skip(_ragcheck_result.not_run)
    if _ragcheck_result.answer is None:
        from pytest_ragcheck.session.recorder import fail_unmeasured

        fail_unmeasured(request.node, _describe(request, _ragcheck_entry.suite)(_ragcheck_result))
    return _ragcheck_result.answer


@pytest.fixture
def ragcheck_result(request: pytest.FixtureRequest, _ragcheck_entry: Entry, _ragcheck_result: Result) -> ItemResult:
    """The item's answer and scores: ``assert_passed()`` fails below any threshold.

    A ``pytest_ragcheck.Result``: ``question``, ``answer``, ``scores`` by metric name, ``timing``, and ``trials``:
    with ``--ragcheck-trials`` each repetition's own Result, while ``scores`` are their means. The item is
    an error where there is no answer, or where a metric with a threshold could not be measured and no other one was
    below its threshold; it is skipped where the question was not run.
    """
    from pytest_ragcheck.model import State
    from pytest_ragcheck.session.item_result import ItemResult
    from pytest_ragcheck.session.recorder import fail_unmeasured

    describe = _describe(request, _ragcheck_entry.suite)
    if _ragcheck_result.state is State.NOT_RUN:
        pytest.skip(_ragcheck_result.why_not_run or "")
    if _ragcheck_result.state is State.ERROR:
        fail_unmeasured(request.node, describe(_ragcheck_result))
    return ItemResult.of(_ragcheck_result, describe, _excuse(request))


@pytest.fixture
def _ragcheck_result(
    request: pytest.FixtureRequest, _ragcheck_entry: Entry, ragcheck_answers: LiveAnswers | SharedAnswers
) -> Result:
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.session.recorder import RECORDER, fail_unmeasured, record, stop_if_misconfigured

    __tracebackhide__ = True
    request.config.stash[RECORDER].check_process(request.node)
    try:
        result = ragcheck_answers.obtain(request, _ragcheck_entry)
    except ConfigurationError as problem:
        fail_unmeasured(request.node, str(problem))
    key = (ragcheck_answers.batch_of(request.node), *_ragcheck_entry.key)
    result = replace(result, variant=ragcheck_answers.variant_of(request.node, _ragcheck_entry))
    record(request.node, result, key)
    stop_if_misconfigured(request.config, result)
    return result


@pytest.fixture(scope="session")
def ragcheck_answers(request: pytest.FixtureRequest) -> LiveAnswers | SharedAnswers:
    """The batch: asks all selected questions at once, hands each item its result when it is ready.

    Tests have no need to name it; ``ragcheck_answer`` and ``ragcheck_result`` rest on it.
    """
    _run_nothing_unasked(request)
    answers: LiveAnswers | SharedAnswers = request.getfixturevalue("_ragcheck_live")
    return answers


@pytest.fixture(scope="session")
def ragcheck_index(request: pytest.FixtureRequest) -> Index:
    """The vector index over the configured documents: ``search(text, top_k)`` gives contexts.

    Built once and kept on disk. ``search_many(texts, top_k)`` embeds and searches for several texts in one call.
    Each ``pytest_ragcheck.Context`` has its text, rank, score (cosine), source and offsets.
    """
    from pytest_ragcheck.errors import RagcheckError
    from pytest_ragcheck.session.selection import catalog_of, suite_of_session

    _run_nothing_unasked(request)
    try:
        return suite_of_session(request.session, catalog_of(request.config), "ragcheck_index").index
    except RagcheckError as problem:
        raise pytest.fail.Exception(str(problem), pytrace=False) from None


@pytest.fixture(scope="session")
def ragcheck_pipeline() -> ConfiguredPipeline:
    """Override it to test your own system: return a callable ``question -> Answer | (text, contexts)``.

    The callable is sync or async, a function or an object with ``__call__``, or a pipeline of LangChain, LlamaIndex
    or Haystack. It gets the question's text, or the ``pytest_ragcheck.Question`` where its first parameter is
    annotated with it, and the earlier turns where it has a parameter ``history``. Contexts are texts,
    ``pytest_ragcheck.Context`` or ``pytest_ragcheck.Chunk`` objects, or documents of a library, best first. Keep the
    fixture's scope ``session``. Without an override the configuration's ``generator`` answers.
    """
    from pytest_ragcheck.session.jobs import ConfiguredPipeline

    return ConfiguredPipeline()


@pytest.fixture(scope="session")
def ragcheck_metrics() -> Sequence[Any]:
    """Override it to measure with metrics of yours beside the configured ones: return a list of them.

    Each is a metric object or class of deepeval's, a function that makes such an object from ``model`` (the judge), or
    a function or class as for ``pytest_ragcheck.metric``. It is called by its own name. The ``threshold`` of a deepeval
    metric is its least value; an object is copied for each question. Keep the fixture's scope ``session``.
    """
    return ()


@pytest.fixture(scope="session")
def ragcheck_judge(request: pytest.FixtureRequest) -> Any:
    """The configured judge, as the metrics of deepeval take it: ``GEval(..., model=ragcheck_judge)``.

    A ``DeepEvalBaseLLM`` for the objects that ``ragcheck_metrics`` returns. It answers while they measure a question.
    """
    from pytest_ragcheck.errors import RagcheckError
    from pytest_ragcheck.metrics.judged.library import Library
    from pytest_ragcheck.metrics.judged.models import stand_in

    _run_nothing_unasked(request)
    try:
        Library().load()
    except RagcheckError as problem:
        raise pytest.fail.Exception(str(problem), pytrace=False) from None
    return stand_in()


@pytest.fixture(scope="session")
def ragcheck_gateway(request: pytest.FixtureRequest) -> PipelineGateway:
    """Model calls for your own pipeline, with the judge's limits, retries, cache, budget and accounts.

    ``await ragcheck_gateway.complete(model=..., messages=[...], system=..., max_tokens=...)`` gives a reply with
    ``text``, ``usage`` and ``model``; ``ragcheck_gateway.complete_sync(...)`` the same in a sync pipeline. Other
    arguments go into the request's body; streams are not supported.
    """
    from pytest_ragcheck.errors import RagcheckError
    from pytest_ragcheck.session.pipeline_gateway import PipelineGateway
    from pytest_ragcheck.session.selection import catalog_of, suite_of_session

    _run_nothing_unasked(request)
    try:
        suite = suite_of_session(request.session, catalog_of(request.config), "ragcheck_gateway")
        return PipelineGateway(suite.pipeline_gateway)
    except RagcheckError as problem:
        raise pytest.fail.Exception(str(problem), pytrace=False) from None


@pytest.fixture
def ragcheck_messages_api() -> Iterator[MessagesApi]:
    """A Messages API on 127.0.0.1, to rehearse against without a key and without a bill.

    A ``pytest_ragcheck.testing.messages_api.MessagesApi``: point a client at its ``url`` with any key; ``stats`` counts
    what it saw, ``behaviour`` sets latency, limits and faults. Each test has one of its own.
    """
    from pytest_ragcheck.testing.messages_api import MessagesApi

    with MessagesApi() as api:
        yield api


def new_answers(request: pytest.FixtureRequest) -> LiveAnswers | SharedAnswers:
    """What a session's items get their results from."""
    from pytest_ragcheck.session.answers import LiveAnswers
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.session.recorder import RECORDER
    from pytest_ragcheck.session.roles import is_worker

    options = Options.read(request.config)
    if is_worker(request.config):
        from pytest_ragcheck.session.workers import SharedAnswers
        from pytest_ragcheck.session.workers_watch import SHARED_FOLDER

        factory: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
        # The parent of a worker's folder is shared by the workers of this run, and by them alone.
        shared = SharedAnswers(request.session, options, factory.getbasetemp().parent / SHARED_FOLDER)
        request.config.stash[RECORDER].live = shared.live
        return shared
    live = LiveAnswers(request.session, options)
    request.config.stash[RECORDER].live = live
    return live


async def await_result(
    answers: LiveAnswers | SharedAnswers, request: pytest.FixtureRequest, entry: Entry
) -> Callable[[], Result]:
    """Return what gives the requesting item's result.

    asyncio's Runner makes the repr of what a task returned twice, and that of a result is as long as its contexts.
    """
    result = await answers.result(request.node, entry)
    return lambda: result


def _run_nothing_unasked(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("ragcheck"):
        pytest.skip(OFF_REASON)
    if request.config.getoption("setuponly"):
        pytest.skip("nothing is asked under --setup-only")


def _describe(request: pytest.FixtureRequest, suite: Suite) -> Callable[[Result], str]:
    config, nodeid = request.config, request.node.nodeid

    def describe(result: Result) -> str:
        from pytest_ragcheck.report.question import question_report
        from pytest_ragcheck.session.earlier_scores import earlier_scores
        from pytest_ragcheck.session.terminal import report_width

        earlier = earlier_scores(config, suite, result)
        return question_report(
            result, width=report_width(config), rerun=_rerun_command(config, nodeid), earlier=earlier
        )

    return describe


def _excuse(request: pytest.FixtureRequest) -> Callable[[Result], str | None]:
    """Under ``--ragcheck-fail-on regression`` a question below its threshold is what the gate decides about.

    What the user marked xfail stays that, for the user's reason.
    """
    from pytest_ragcheck.report.question import first_line
    from pytest_ragcheck.session.expected import LEFT_TO_THE_GATE

    if request.config.getoption("ragcheck_fail_on") != "regression" or _is_expected_to_fail(request.node):
        return lambda _: None
    return lambda result: f"{first_line(result)}; {LEFT_TO_THE_GATE}"


def _is_expected_to_fail(item: pytest.Item) -> bool:
    """By a mark without a condition; one with a condition might not apply."""
    return any(not mark.args and "condition" not in mark.kwargs for mark in item.iter_markers("xfail"))


def _rerun_command(config: pytest.Config, nodeid: str) -> str:
    path, separator, rest = nodeid.partition("::")
    place = config.rootpath / path
    invocation = config.invocation_params.dir
    shown = place.relative_to(invocation) if place.is_relative_to(invocation) else Path(place)
    trials = config.getoption("ragcheck_trials")
    repeated = f" --ragcheck-trials {trials}" if trials > 1 else ""
    return f"pytest --ragcheck{repeated} {shlex.quote(f'{shown}{separator}{rest}')}"

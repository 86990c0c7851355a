from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.model import Answer, Chunk, Context, Question, Turn
from pytest_ragcheck.rag.pipeline import ASYNC_CALLS_AT_ONCE, SYNC_CALLS_AT_ONCE, as_pipeline

QUESTION = Question(id="q", question="How long?")
FOLLOW_UP = Question(
    id="q", question="And then?", history=(Turn(role="user", text="What now?"), Turn(role="assistant", text="Tea."))
)


def answer_of(function, **options):
    return asyncio.run(as_pipeline(function, **options).generate(QUESTION, None))


def test_a_sync_callable_gets_the_text():
    answer = answer_of(lambda question: (question.upper(), ["one", "two"]))

    assert answer.text == "HOW LONG?"
    assert [(context.rank, context.text) for context in answer.contexts] == [(1, "one"), (2, "two")]


def test_an_async_callable():
    async def ask(question):
        return question, []

    assert answer_of(ask).text == "How long?"


def test_an_object_with_an_async_call():
    class System:
        async def __call__(self, question):
            return question, []

    assert answer_of(System()).text == "How long?"


def test_a_sync_callable_that_returns_an_awaitable():
    async def ask(prefix, question):
        return prefix + question, []

    assert answer_of(lambda question: ask("> ", question)).text == "> How long?"


def test_a_partial():
    def ask(prefix, question):
        return prefix + question, []

    assert answer_of(partial(ask, "> ")).text == "> How long?"


def test_a_parameter_annotated_with_question_gets_the_whole_question():
    def ask(question: Question):
        return question.id, []

    assert answer_of(ask).text == "q"


def test_an_answer_passes_through():
    own = Answer(text="a week", contexts=(Context(text="c", rank=3),), latency=0.5)

    assert answer_of(lambda question: own) is own


@pytest.mark.asyncio
async def test_an_answer_tells_how_long_it_took_without_the_wait_for_a_place():
    async def ask(question):
        await asyncio.sleep(0.2 if question == "long" else 0)
        return "yes"

    pipeline = as_pipeline(ask, at_once=1)
    asked = (pipeline.generate(Question(id=text, question=text), None) for text in ("long", "short"))
    long, short = await asyncio.gather(*asked)

    assert short.latency < long.latency, "its turn came when the long one was over"


def test_chunks_become_contexts_with_their_place():
    chunk = Chunk(id="a#0-4", text="text", source="a.md", start=0, end=4)

    [context] = answer_of(lambda question: ("yes", [chunk])).contexts

    assert (context.source, context.start, context.end, context.chunk_id) == ("a.md", 0, 4, "a#0-4")


@pytest.mark.parametrize(
    ("returned", "named"),
    [
        (None, "NoneType"),
        (("text", "contexts as a str"), "tuple"),
        ((1, []), "tuple"),
        (("text", [object()]), "object"),
    ],
)
def test_what_is_no_answer_is_named(returned, named):
    with pytest.raises(MeasurementError, match=named) as caught:
        answer_of(lambda question: returned)

    assert caught.value.kind == "wrong-return"


def test_what_cannot_be_called_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match=r"must be a callable that takes a question, .*; got str"):
        as_pipeline("not callable")


def test_a_hanging_answer_is_given_up():
    async def hang(question):
        await asyncio.Event().wait()

    with pytest.raises(MeasurementError, match=r"no answer within 0\.01 s") as caught:
        answer_of(hang, timeout=0.01)

    assert caught.value.kind == "timeout"


def test_a_timeout_of_the_pipeline_itself_is_its_own_error():
    async def give_up(question):
        raise TimeoutError("the database did")

    with pytest.raises(TimeoutError, match="the database did"):
        answer_of(give_up, timeout=60)


def in_flight_peak(at_once):
    """The peak of sync calls in flight, each of which waits until no more come."""
    lock, running, peak = threading.Lock(), 0, 0
    enough = threading.Event()

    def ask(question):
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
            if running == min(at_once or SYNC_CALLS_AT_ONCE, 40):
                enough.set()
        assert enough.wait(120)
        with lock:
            running -= 1
        return question, []

    async def ask_all():
        pipeline = as_pipeline(ask, at_once=at_once)
        await asyncio.gather(*(pipeline.generate(QUESTION, None) for _ in range(40)))

    asyncio.run(ask_all())
    return peak


@pytest.mark.parametrize("at_once", [1, 7, None])
def test_sync_calls_run_side_by_side_up_to_a_bound(at_once):
    assert in_flight_peak(at_once) == (at_once or SYNC_CALLS_AT_ONCE)


def test_threads_do_not_keep_the_process_alive():
    seen = []

    def ask(question):
        seen.append(threading.current_thread().daemon)
        return question, []

    answer_of(ask)

    assert seen == [True]


@pytest.mark.parametrize("at_once", [7, None])
def test_async_calls_run_side_by_side_up_to_a_bound(at_once):
    running = peak = 0

    async def ask(question):
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1
        return question, []

    async def ask_all():
        pipeline = as_pipeline(ask, at_once=at_once)
        await asyncio.gather(*(pipeline.generate(QUESTION, None) for _ in range(2 * ASYNC_CALLS_AT_ONCE)))

    asyncio.run(ask_all())
    assert peak == (at_once or ASYNC_CALLS_AT_ONCE)


def test_an_error_in_a_thread_arrives():
    def ask(question):
        raise ValueError("inner")

    with pytest.raises(ValueError, match="inner"):
        answer_of(ask)


def test_stop_iteration_in_a_thread_does_not_hang():
    def ask(question):
        return next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration"):
        answer_of(ask)


def followed_up(function):
    return asyncio.run(as_pipeline(function).generate(FOLLOW_UP, None))


def test_earlier_turns_reach_a_parameter_named_history():
    def ask(question, history):
        return f"{history} {question}", []

    async def ask_with_default(question, *, top_k=3, history=()):
        return f"{list(history)} {question}", []

    messages = [{"role": "user", "content": "What now?"}, {"role": "assistant", "content": "Tea."}]
    assert followed_up(ask).text == f"{messages} And then?"
    assert followed_up(ask_with_default).text == f"{messages} And then?"
    assert answer_of(ask).text == "[] How long?"


def test_earlier_turns_are_part_of_a_question():
    def ask(question: Question):
        return question.history[-1].text, []

    assert followed_up(ask).text == "Tea."


def test_earlier_turns_that_nobody_takes_are_an_error():
    with pytest.raises(MeasurementError, match="takes none: give it a parameter named history") as caught:
        followed_up(lambda question: (question, []))

    assert caught.value.kind == "no-history"

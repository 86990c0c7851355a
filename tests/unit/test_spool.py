"""Texts of finished questions on disk."""

from __future__ import annotations

import gc
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_ragcheck.model import Answer, Call, Context, Failure, Question, Result, Score, Timing, Usage
from pytest_ragcheck.run_file import dump, load
from pytest_ragcheck.session.spool import ResultSpool

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = Answer(
    text="It sails in May. \x1b[31mא",
    contexts=(Context(text="In May.", rank=1, score=0.5, source="log.md", start=3, end=10, chunk_id="log.md:3"),),
    refused=False,
    model="m",
    latency=0.25,
    usage=Usage(input_tokens=3),
    metadata={"kept": ["as it is"]},
)
SCORES = {
    "faithfulness": Score(metric="faithfulness", value=0.4, threshold=0.5, details={"unsupported": ["It sails"]}),
    "length": Score(metric="length", value=1.0),
    "broken": Score(metric="broken", error=Failure(message="no")),
}


def a_result(number: int = 0) -> Result:
    answer = replace(ANSWER, text=f"{ANSWER.text} {number}")
    trial = Result(question=Question(id=str(number), question="When?"), answer=answer, scores=SCORES)
    timing, calls = Timing(started=1.0, finished=2.0), (Call(purpose="judging", model="m", started=1.0),)
    other = replace(trial, answer=replace(answer, text="Never."))
    return replace(trial, timing=timing, calls=calls, trials=(trial, other), confirmations=(other,), planned_trials=2)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[ResultSpool]:
    made = ResultSpool(lambda: tmp_path, kept_in_memory=0)
    yield made
    made.close()


def test_it_looks_like_the_whole(spool: ResultSpool) -> None:
    whole = a_result()
    part = spool.spooled(whole)
    assert part == whole
    assert whole == part
    assert repr(part) == repr(whole)
    assert dump(part) == dump(whole)
    assert load(Result, dump(part)) == whole
    assert pickle.loads(pickle.dumps(part)) == whole  # noqa: S301 (just pickled)
    assert part.state is whole.state
    assert part.answer is not None
    assert part.answer.text == "It sails in May. \x1b[31mא 0"
    assert part.answer != replace(ANSWER, text="another")


def test_a_changed_one_is_whole(spool: ResultSpool) -> None:
    part = spool.spooled(a_result())
    assert part.answer is not None
    assert type(replace(part.answer, cached=True)) is Answer
    assert replace(part.answer, cached=True) == replace(a_result().answer, cached=True)  # type: ignore[type-var]
    assert replace(part.scores["faithfulness"], value=0.5).details == {"unsupported": ["It sails"]}


def test_a_trial_shown_is_written_once(spool: ResultSpool) -> None:
    part = spool.spooled(a_result())
    assert part.answer is part.trials[0].answer
    assert part.trials[1].answer is part.confirmations[0].answer


def test_texts_leave_memory(spool: ResultSpool) -> None:
    def texts() -> int:
        gc.collect()
        return sum(isinstance(one, Context) for one in gc.get_objects())

    before = texts()
    parts = [spool.spooled(a_result(number)) for number in range(300)]
    assert texts() - before <= 2
    assert [part.answer.text for part in parts if part.answer] == [f"{ANSWER.text} {number}" for number in range(300)]
    assert texts() - before <= 200  # of those that were looked at last


def test_the_first_ones_stay_and_nothing_is_written(tmp_path: Path) -> None:
    spool = ResultSpool(lambda: pytest.fail("it asked for a folder"), kept_in_memory=2)
    whole = a_result()
    assert spool.spooled(whole) is whole
    assert spool.spooled(whole) is whole
    spool.close()


def test_spooling_twice_writes_once(spool: ResultSpool) -> None:
    part = spool.spooled(a_result())
    again = spool.spooled(part)
    assert again.answer is part.answer
    assert again.scores["faithfulness"] is part.scores["faithfulness"]


def test_no_file_is_left(tmp_path: Path, spool: ResultSpool) -> None:
    spool.spooled(a_result())
    assert sys.platform == "win32" or list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_the_result_stays(tmp_path: Path) -> None:
    spool = ResultSpool(lambda: tmp_path / "missing", kept_in_memory=0)
    whole = a_result()
    assert spool.spooled(whole) is whole
    spool.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_loses_nothing(spool: ResultSpool) -> None:
    first = spool.spooled(a_result(1))
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 (unbuffered)
        spool._file, kept = full, spool._file
        whole = a_result(2)
        assert spool.spooled(whole) is whole
        spool._file = kept
    after = spool.spooled(a_result(3))
    assert (first.answer, after.answer) == (a_result(1).answer, a_result(3).answer)

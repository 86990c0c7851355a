from __future__ import annotations

import dataclasses
import json
import types
from typing import get_args, get_origin, get_type_hints

import pytest

from pytest_ragcheck import model
from pytest_ragcheck.model import (
    Answer,
    Call,
    Context,
    Failure,
    ModelCalls,
    Passage,
    Question,
    Result,
    Run,
    Score,
    State,
    Timing,
    Turn,
    Usage,
)
from pytest_ragcheck.run_file import RunFileError, dump, load, load_run, save_run
from pytest_ragcheck.session.runs import RUNS_KEPT, RunFolder

USAGE = Usage(input_tokens=11, output_tokens=12, cache_read_tokens=13, cache_write_tokens=14)
CALL = Call(
    purpose="generation",
    model="claude-haiku-5-5",
    started=0.5,
    queued=0.25,
    backoff=0.125,
    wire=1.5,
    attempts=2,
    cached=True,
    usage=USAGE,
    cost=0.0001,
    request_id="req_1",
)
QUESTION = Question(
    id="days-of-leave",
    question="How many days? \u2028 \U0001f600",
    dataset="questions.yaml",
    reference="25 days.",
    gold=((Passage(source="a.md", start=1, end=2, text="x"), Passage(source="b.md")), (Passage(text="quote"),)),
    must_contain=(("25 days", "twenty-five days"), ("a year",)),
    tags=("lookup", "leave"),
    answerable=False,
    thresholds={"hit_rate": 0.5},
    line=7,
    history=(Turn(role="user", text="Is there leave?"), Turn(role="assistant", text="Yes.")),
)
ANSWER = Answer(
    text="25 days.",
    contexts=(
        Context(text="25 days", rank=1, score=0.1 + 0.2, source="a.md", start=3, end=10, chunk_id="a.md#0"),
        Context(text="five", rank=2),
    ),
    refused=False,
    model="extractive",
    latency=0.75,
    cached=True,
    usage=USAGE,
    metadata={"list": [1, 2.5, None, True, {"deep": "er"}], "text": "x"},
    contexts_known=False,
    generated=False,
)
RESULT = Result(
    question=QUESTION,
    answer=ANSWER,
    error=Failure(message="odd", kind="timeout", details={"status": 429.0, "id": "x", "none": None}),
    not_run="the budget is spent",
    scores={
        "hit_rate": Score(metric="hit_rate", value=1 / 3, threshold=0.5, reason="why", details={"ranks": [1, None]}),
        "recall": Score(metric="recall", error=Failure(message="broken")),
        "mrr": Score(metric="mrr", reason="no gold"),
    },
    timing=Timing(
        retrieval=0.1,
        generation=0.2,
        evaluation=0.3,
        started=0.4,
        finished=0.5,
        retrieval_span=(0.1, 0.2),
        generation_span=(0.2, 0.3),
        evaluation_span=(0.3, 0.4),
    ),
    calls=(CALL, dataclasses.replace(CALL, cost=None, request_id=None)),
    expected_failure=True,
    variant="small-model",
    trials=(Result(question=QUESTION, answer=ANSWER), Result(question=QUESTION, not_run="the budget is spent")),
    planned_trials=2,
    looks=2,
    confirmations=(Result(question=QUESTION, answer=ANSWER),),
)
RUN = Run(
    started_at="2026-03-04T05:06:07+00:00",
    mode="sequential",
    fingerprints={"questions.yaml": {"documents": "abc", "top_k": "5"}},
    setup=1.25,
    wall=2.5,
    versions={"pytest": "9.0"},
    results=(RESULT, Result(question=Question(id="bare", question="?"))),
    model_calls=ModelCalls(
        asked=9, cached=1, failed=2, retries=3, refused=4, cost=0.5, unpriced=6, usage=USAGE, saved=0.25
    ),
    cached_phases=("setup", "retrieval"),
    complete=False,
    datasets={"questions.yaml": {"days-of-leave": "0f3a", "bare": "77b1"}},
    selected={"questions.yaml": {"small-model": ("days-of-leave",), "": ("bare",)}},
    scoring={"questions.yaml": {"hit_rate": "version 1"}},
)


def every_value(value):
    yield value
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from every_value(getattr(value, field.name))
    elif isinstance(value, dict):
        for entry in value.values():
            yield from every_value(entry)
    elif isinstance(value, tuple | list):
        for entry in value:
            yield from every_value(entry)


def parts_of(annotation, seen):
    """The model's classes that a type is made of."""
    if dataclasses.is_dataclass(annotation) and annotation not in seen:
        seen.add(annotation)
        for part in get_type_hints(annotation).values():
            parts_of(part, seen)
    for part in get_args(annotation):
        parts_of(part, seen)
    return seen


# ---- Round trip


def test_the_example_leaves_no_field_of_the_model_at_its_default():
    """Else the round trip below would not tell of a field that gets lost."""
    values = list(every_value(RUN))
    kinds = parts_of(Run, set())
    assert len(kinds) > 10
    for kind in kinds:
        for field in dataclasses.fields(kind):
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            seen = [getattr(value, field.name) for value in values if isinstance(value, kind)]
            exempt = (kind, field.name) == (Run, "schema_version")
            assert exempt or any(value != default for value in seen), (kind, field.name)


def test_a_run_comes_back_as_it_was(tmp_path):
    save_run(RUN, tmp_path / "deep" / "run.json")
    assert load_run(tmp_path / "deep" / "run.json") == RUN


def test_results_come_back_as_they_were_and_as_what_they_were():
    loaded = load(Result, dump(RESULT))
    assert loaded == RESULT
    assert loaded.state is State.NOT_RUN
    assert isinstance(loaded.question.gold[0], tuple)
    assert isinstance(loaded.calls[0].usage, Usage)


def builtin_only(value):
    if type(value) is dict:
        return all(type(key) is str and builtin_only(entry) for key, entry in value.items())
    if type(value) is list:
        return all(map(builtin_only, value))
    return type(value) in {str, int, float, bool, types.NoneType}


def test_a_dump_holds_builtin_types_only():
    for plain in (dump(RESULT), dump(RUN)):
        assert builtin_only(plain)
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_every_field_has_a_type_that_json_has_a_form_for():
    """A field of another type would come back as something else, or not at all."""
    plain = {str, int, float, bool, types.NoneType, ...}

    def fits(kind):
        if kind in plain or kind.__module__ == model.__name__ or str(kind) == "typing.Any":
            return True
        return get_origin(kind) is not None and all(map(fits, get_args(kind)))

    for kind in vars(model).values():
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            for name, annotation in get_type_hints(kind).items():
                assert fits(annotation), (kind, name)


def test_text_that_is_no_unicode_can_be_kept(tmp_path):
    run = dataclasses.replace(RUN, results=(Result(question=QUESTION, answer=Answer(text="half \ud800 é")),))
    save_run(run, tmp_path / "run.json")
    assert load_run(tmp_path / "run.json") == run
    assert (tmp_path / "run.json").read_bytes().isascii()


def test_numbers_that_json_lacks_do_not_spoil_the_file(tmp_path):
    answer = Answer(text="x", metadata={"odd": float("nan"), "high": float("inf")})
    run = dataclasses.replace(RUN, results=(Result(question=QUESTION, answer=answer),))
    save_run(run, tmp_path / "run.json")
    json.loads((tmp_path / "run.json").read_bytes(), parse_constant=pytest.fail)
    assert load_run(tmp_path / "run.json").results[0].answer.metadata == {"odd": None, "high": None}


# ---- Trials say what they share once


def context(number, score=0.5):
    return Context(text=f"context {number} " + "word " * 200, rank=number, score=score, source="a.md")


def repeated(*trials, confirmations=()):
    def result(contexts):
        return Result(question=QUESTION, answer=Answer(text="x", contexts=contexts))

    first, *_ = trials
    return dataclasses.replace(
        result(first),
        trials=tuple(map(result, trials)),
        confirmations=tuple(map(result, confirmations)),
    )


CONTEXTS = tuple(map(context, range(1, 6)))


def test_twenty_trials_take_little_more_than_one(tmp_path):
    sizes = []
    for count in (1, 20):
        run = dataclasses.replace(RUN, results=tuple(repeated(*[CONTEXTS] * count) for _ in range(20)))
        save_run(run, tmp_path / "run.json")
        sizes.append((tmp_path / "run.json").stat().st_size)
        assert load_run(tmp_path / "run.json") == run
    assert sizes[1] < 3 * sizes[0]
    assert (tmp_path / "run.json").read_text().count(CONTEXTS[0].text) == 20


def test_trials_that_differ_come_back_as_they_were(tmp_path):
    one, other, third = CONTEXTS[:3], (CONTEXTS[1], context(7), CONTEXTS[1], context(1, 0.25)), (context(7), context(8))
    results = [
        repeated(one, other, third, confirmations=(third, one, (), (context(9), context(9)))),
        repeated((), one),
        dataclasses.replace(repeated(one), answer=None, error=Failure(message="503")),
        dataclasses.replace(
            repeated(one),
            trials=(
                Result(question=dataclasses.replace(QUESTION, id="other"), error=Failure(message="503")),
                Result(question=QUESTION, answer=Answer(text="x", contexts=(context(1, 1), context(1, 1.0)))),
            ),
        ),
    ]
    run = dataclasses.replace(RUN, results=tuple(results))
    save_run(run, tmp_path / "run.json")
    assert load_run(tmp_path / "run.json") == run


def test_files_of_the_version_before_can_be_read(tmp_path):
    run = dataclasses.replace(RUN, results=(repeated(CONTEXTS, CONTEXTS[:2], confirmations=(CONTEXTS,)),))
    (tmp_path / "run.json").write_text(json.dumps(dump(run) | {"schema_version": 1}))
    assert load_run(tmp_path / "run.json") == run


@pytest.mark.parametrize("number", [-1, 5, 10**30, True, 1.0, None, "0"])
def test_a_context_that_is_not_there_is_no_run(tmp_path, number):
    path = tmp_path / "run.json"
    save_run(dataclasses.replace(RUN, results=(repeated(CONTEXTS, CONTEXTS),)), path)
    plain = json.loads(path.read_bytes())
    assert plain["results"][0]["trials"][1]["answer"]["contexts"] == [0, 1, 2, 3, 4]
    plain["results"][0]["trials"][1]["answer"]["contexts"][2] = number
    path.write_text(json.dumps(plain))
    with pytest.raises(RunFileError, match=r"run\.json: not a run of pytest-ragcheck"):
        load_run(path)


# ---- Damaged and foreign files


def rest(**changes):
    return json.dumps(dump(RUN) | changes).encode()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "Expecting value"),
        (rest()[:-40], "Unterminated string"),
        (b"\xff\xfe\x00", "codec can't decode"),
        (b"[" * 100_000, "recursion"),
        (b"[]", "schema_version is None, this version reads 1 to 2"),
        (b"null", "schema_version is None, this version reads 1 to 2"),
        (b'{"a": 1}', "schema_version is None, this version reads 1 to 2"),
        (rest(schema_version=3), "schema_version is 3, this version reads 1 to 2"),
        (rest(schema_version="1"), "schema_version is '1', this version reads 1 to 2"),
        (b'{"schema_version": 1}', "started_at: "),
        (rest(wall="soon"), "wall: "),
        (rest(results=[{"question": 5}]), "results.0.question: "),
        (rest(results="x"), "results: "),
    ],
)
def test_what_is_no_run_is_told_in_one_line(tmp_path, content, problem):
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(RunFileError) as caught:
        load_run(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: not a run of pytest-ragcheck (")
    assert problem in text
    assert "\n" not in text
    assert len(text) < len(str(path)) + 250


def test_a_missing_file_is_told_in_one_line(tmp_path):
    with pytest.raises(
        RunFileError,
        match=r"run\.json: No such file or directory; runs are the files of \.ragcheck/runs, and JSON reports$",
    ):
        load_run(tmp_path / "run.json")


# ---- In one step


def test_a_run_that_cannot_be_dumped_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.json"
    save_run(RUN, path)
    odd = Answer(text="x", metadata={"odd": object()})
    with pytest.raises(ValueError, match="object"):
        save_run(dataclasses.replace(RUN, results=(Result(question=QUESTION, answer=odd),)), path)
    assert load_run(path) == RUN


# ---- The folder of the last runs


def run_at(second, mode="concurrent", wall=0.0):
    return dataclasses.replace(RUN, started_at=f"2026-03-04T05:06:{second:02}+00:00", mode=mode, wall=wall, results=())


def test_the_newest_run_of_a_mode_comes_first(tmp_path):
    folder = RunFolder(tmp_path)
    for run in (run_at(2, wall=2.0), run_at(1, wall=1.0), run_at(3, "sequential", wall=3.0)):
        folder.save(run)
    assert [run.wall for run in folder.newest("concurrent")] == [2.0, 1.0]
    assert [run.wall for run in folder.newest("sequential")] == [3.0]


def test_runs_of_the_same_second_stay_apart_and_in_order(tmp_path):
    folder = RunFolder(tmp_path)
    paths = [folder.save(run_at(1, wall=float(number))) for number in range(12)]
    assert len(set(paths)) == 12
    assert [run.wall for run in folder.newest("concurrent")] == [float(number) for number in reversed(range(12))]


def test_the_last_runs_are_kept(tmp_path):
    folder = RunFolder(tmp_path)
    for number in range(RUNS_KEPT + 3):
        folder.save(run_at(number, wall=float(number)))
    kept = [run.wall for run in folder.newest("concurrent")]
    assert kept == [float(number) for number in reversed(range(3, RUNS_KEPT + 3))]


def test_other_files_are_neither_read_nor_dropped_and_damaged_ones_passed_over(tmp_path):
    folder = RunFolder(tmp_path)
    folder.save(run_at(1, wall=1.0))
    folder.save(run_at(2)).write_bytes(b"{")
    for name in ("0-notes.json", "baseline-concurrent.json", "z.json"):
        save_run(run_at(9), tmp_path / name)
    assert [run.wall for run in folder.newest("concurrent")] == [1.0]
    for number in range(10, RUNS_KEPT + 10):
        folder.save(run_at(number))
    assert {"0-notes.json", "baseline-concurrent.json", "z.json"} < {path.name for path in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == RUNS_KEPT + 3


def test_a_folder_that_is_not_there_holds_no_runs(tmp_path):
    assert list(RunFolder(tmp_path / "none").newest("concurrent")) == []

from __future__ import annotations

import random
from dataclasses import replace
from unicodedata import category, east_asian_width

import pytest

from pytest_ragcheck.model import Answer, Call, Failure, Question, Result, Run, Score, Timing
from pytest_ragcheck.report.timing import timing_comparison, timing_table

REFRESH = "pytest --ragcheck --ragcheck-cache refresh"
REFRESH_SEQUENTIAL = "pytest --ragcheck --ragcheck-sequential --ragcheck-cache refresh"


def asked(name: str, timing: Timing, *, cached: bool = False, calls: tuple[Call, ...] = ()) -> Result:
    return Result(
        question=Question(id=name, question="?", dataset="q.yaml"),
        answer=Answer(text="x" * 600, cached=cached),
        scores={"faithfulness": Score(metric="faithfulness", value=1.0)},
        timing=timing,
        calls=calls,
    )


def run(mode: str, *results: Result, wall: float, **changes) -> Run:
    bare = Run(
        started_at="2026-10-06T12:00:00Z",
        mode=mode,
        fingerprints={"q.yaml": {"documents": "d1", "generator": "g1"}},
        setup=1.2,
        wall=wall,
        versions={},
        results=results,
    )
    return replace(bare, **changes)


def concurrent(**changes) -> Run:
    """Three questions at once: searched in one batch, answered and judged side by side."""
    call = Call(purpose="generation", model="m", started=0.3, queued=0.5, backoff=0.25)
    return run(
        "concurrent",
        *(
            asked(
                name,
                Timing(
                    retrieval=0.1,
                    generation=generation,
                    evaluation=evaluation,
                    started=0.0,
                    finished=0.3 + generation + evaluation,
                    retrieval_span=(0.0, 0.3),
                    generation_span=(0.3, 0.3 + generation),
                    evaluation_span=(0.3 + generation, 0.3 + generation + evaluation),
                ),
                calls=(call, call),
            )
            for name, generation, evaluation in (("returns", 5.0, 30.0), ("holidays", 6.5, 34.0), ("shares", 6.0, 31.0))
        ),
        wall=40.8,
        **changes,
    )


def sequential(**changes) -> Run:
    timings = [
        Timing(retrieval=0.8, generation=5.0, evaluation=30.0, started=0.0, finished=35.8),
        Timing(retrieval=0.8, generation=6.5, evaluation=34.0, started=35.8, finished=77.1),
        Timing(retrieval=0.8, generation=6.0, evaluation=31.0, started=77.1, finished=114.9),
    ]
    results = [asked(name, timing) for name, timing in zip(("returns", "holidays", "shares"), timings, strict=True)]
    return run("sequential", *results, wall=115.0, **changes)


def test_the_times_of_a_concurrent_run():
    assert timing_table(concurrent()) == (
        """\
timing (concurrent, 3 questions)
  phase             work  elapsed  per question  slowest  question
  setup           1.20 s   1.20 s
  retrieval       300 ms   300 ms        100 ms   100 ms  returns
  generation      17.5 s   6.50 s        5.83 s   6.50 s  holidays
  evaluation  1 min 35 s   35.5 s        31.7 s   34.0 s  holidays
  total       1 min 54 s   42.0 s
  phases overlap: elapsed is by the clock, work adds up each question's time
  answers: 3 of 3, 1,800 characters in all, 0 from the cache
  average per answer: 5.83 s
  slowest questions: holidays, 40.8 s; shares, 37.3 s; returns, 35.3 s
  model calls: 6, 0 from the cache; waited 3.00 s for a place, 1.50 s to retry"""
    )


def test_the_times_of_a_sequential_run_add_up():
    assert timing_table(sequential(cached_phases=("setup",)), width=160) == (
        """\
timing (sequential, 3 questions)
  phase                 work     elapsed  per question  slowest  question
  setup (cached)      1.20 s      1.20 s
  retrieval           2.40 s      2.40 s        800 ms   800 ms  returns
  generation          17.5 s      17.5 s        5.83 s   6.50 s  holidays
  evaluation      1 min 35 s  1 min 35 s        31.7 s   34.0 s  holidays
  in between                      100 ms
  total           1 min 56 s  1 min 56 s
  answers: 3 of 3, 1,800 characters in all, 0 from the cache
  average per answer: 5.83 s
  slowest questions: holidays, 41.3 s; shares, 37.8 s; returns, 35.8 s"""
    )


def test_elapsed_is_not_made_up_where_it_was_not_noted():
    bare = [replace(result, timing=replace(result.timing, generation_span=None)) for result in concurrent().results]
    lines = timing_table(concurrent(results=tuple(bare))).splitlines()
    assert lines[4] == "  generation      17.5 s        -        5.83 s   6.50 s  holidays"
    assert lines[5].split()[:6] == ["evaluation", "1", "min", "35", "s", "35.5"]


def test_gaps_in_a_phase_do_not_count_as_elapsed():
    spans = [(0.0, 2.0), (1.0, 3.0), (10.0, 11.0), (10.2, 10.4)]
    results = [
        asked(f"q{n}", Timing(generation=end - start, generation_span=(start, end), finished=end))
        for n, (start, end) in enumerate(spans)
    ]
    lines = timing_table(run("concurrent", *results, wall=11.0)).splitlines()
    assert lines[4].split()[:5] == ["generation", "5.20", "s", "4.00", "s"]


def test_answers_from_the_cache_are_told_and_do_not_lower_the_average():
    first, second, third = concurrent().results
    cached = replace(
        second,
        answer=Answer(text="y", cached=True),
        timing=replace(second.timing, generation=0.001),
        calls=(Call(purpose="generation", model="m", started=0.0, cached=True),),
    )
    table = timing_table(concurrent(results=(first, cached, third)))
    assert "answers: 3 of 3, 1,201 characters in all, 1 from the cache" in table
    assert "average per answer: 5.50 s, those from the cache left out" in table
    assert "model calls: 5, 1 from the cache;" in table
    all_cached = timing_table(concurrent(results=(cached,)))
    assert "average per answer" not in all_cached
    assert "phases overlap" not in all_cached


def test_questions_that_were_not_asked_or_got_no_answer():
    first, second, third = concurrent().results
    failed = replace(second, answer=None, error=Failure(message="503"))
    skipped = replace(third, answer=None, not_run="budget spent", timing=Timing(generation=1e6))
    table = timing_table(concurrent(results=(first, failed, skipped), complete=False))
    assert table.splitlines()[0] == "timing (concurrent, 2 of 3 questions asked)"
    assert "answers: 1 of 2, 600 characters in all" in table
    assert "the run was stopped early: these are the times until then" in table
    assert " h " not in table


@pytest.mark.parametrize("mode", ["concurrent", "sequential"])
def test_a_run_without_results(mode):
    assert timing_table(run(mode, wall=0.0, setup=0.0)) == (
        f"""\
timing ({mode}, 0 questions)
  phase       work  elapsed  per question  slowest  question
  setup       0 ms     0 ms
  retrieval   0 ms     0 ms
  generation  0 ms     0 ms
  evaluation  0 ms     0 ms
  total       0 ms     0 ms
  answers: 0 of 0, 0 characters in all, 0 from the cache"""
    )


def test_the_comparison_of_two_runs():
    assert timing_comparison(sequential(), concurrent()) == (
        """\
timing, sequential against concurrent (run of 2026-10-06T12:00:00Z)
  phase          sequential  concurrent
  setup              1.20 s      1.20 s  as fast
  retrieval          2.40 s      300 ms  8.0 x faster
  generation         17.5 s      6.50 s  2.7 x faster
  evaluation     1 min 35 s      35.5 s  2.7 x faster
  all questions  1 min 55 s      40.8 s  2.8 x faster"""
    )


def test_a_phase_that_came_from_the_cache_or_was_not_noted_is_not_compared():
    bare = [replace(result, timing=replace(result.timing, generation_span=None)) for result in concurrent().results]
    compared = timing_comparison(sequential(cached_phases=("setup", "retrieval")), concurrent(results=tuple(bare)))
    assert compared.splitlines()[2:5] == [
        "  setup              1.20 s      1.20 s  from the cache",
        "  retrieval          2.40 s      300 ms  from the cache",
        "  generation         17.5 s           -  not noted",
    ]
    assert compared.splitlines()[-1].endswith("2.8 x faster")


def with_first(whole: Run, **changes) -> Run:
    first, *others = whole.results
    return replace(whole, results=(replace(first, **changes), *others))


CACHED_CALL = (Call(purpose="faithfulness", model="m", started=1.0, cached=True),)


@pytest.mark.parametrize(
    ("one", "other", "reason", "commands"),
    [
        (sequential(), None, "there is no concurrent run", [REFRESH, REFRESH_SEQUENTIAL]),
        (
            sequential(),
            with_first(concurrent(), answer=Answer(text="x", cached=True)),
            "in the concurrent run 1 of 3 answers came from the cache",
            [REFRESH, REFRESH_SEQUENTIAL],
        ),
        (
            with_first(sequential(), answer=Answer(text="x", cached=True)),
            concurrent(),
            "in the sequential run 1 of 3 answers came from the cache",
            [REFRESH_SEQUENTIAL],
        ),
        (
            with_first(sequential(), calls=CACHED_CALL),
            concurrent(),
            "in the sequential run 1 of 1 model call came from the cache",
            [REFRESH_SEQUENTIAL],
        ),
        (
            sequential(),
            concurrent(results=concurrent().results[:2]),
            "the runs asked different questions (3 and 2, 2 in common)",
            [REFRESH, REFRESH_SEQUENTIAL],
        ),
        (
            sequential(),
            with_first(concurrent(), not_run="budget spent"),
            "the runs asked different questions (3 and 2, 2 in common)",
            [REFRESH, REFRESH_SEQUENTIAL],
        ),
        (
            sequential(),
            concurrent(results=concurrent().results * 2),
            "the runs asked different questions (3 and 6, 3 in common)",
            [REFRESH, REFRESH_SEQUENTIAL],
        ),
        (
            sequential(),
            with_first(concurrent(), scores={"tone": Score(metric="tone", value=1.0)}),
            "the runs measured different metrics",
            [REFRESH, REFRESH_SEQUENTIAL],
        ),
        (
            sequential(),
            concurrent(fingerprints={"q.yaml": {"documents": "d2", "generator": "g2", "new": "n"}}),
            "the runs differ in documents, generator",
            [REFRESH, REFRESH_SEQUENTIAL],
        ),
        (
            sequential(),
            with_first(concurrent(), answer=None, error=Failure(message="503")),
            "in the concurrent run 1 question got no answer",
            [REFRESH, REFRESH_SEQUENTIAL],
        ),
        (
            sequential(),
            concurrent(complete=False),
            "in the concurrent run not all questions were asked: it was stopped early",
            [REFRESH, REFRESH_SEQUENTIAL],
        ),
        (
            sequential(results=()),
            concurrent(results=()),
            "in the concurrent run no question was asked",
            [REFRESH, REFRESH_SEQUENTIAL],
        ),
    ],
)
def test_what_cannot_be_compared_fairly_is_not(one, other, reason, commands):
    text = timing_comparison(one, other, width=200)
    first, *rest = text.splitlines()
    assert first == f"no comparison of sequential with concurrent timing: {reason}; to get one:"
    assert rest == [f"  {command}" for command in commands]


def test_the_commands_stay_whole_at_80_columns():
    assert timing_comparison(sequential(), None).splitlines()[-1] == f"  {REFRESH_SEQUENTIAL}"


def shown_columns(text: str) -> int:
    return sum(
        0 if category(char) in {"Mn", "Me", "Cf"} else 2 if east_asian_width(char) in {"W", "F"} else 1 for char in text
    )


@pytest.mark.parametrize("seed", range(40))
def test_random_runs_make_presentable_tables(seed):
    randomness = random.Random(seed)
    pool = "abc \x1b[2J\r\n\x00\u202e\u2066\u200b\ud800\u4e2d\u0645\u0301\U0001f600\u200d\ufe0f"

    def word() -> str:
        return "".join(randomness.choice(pool) for _ in range(randomness.randrange(120)))

    def duration() -> float:
        return randomness.choice([0.0, -1e-9, float("nan"), 10 ** randomness.uniform(-6, 6)])

    def result(name: str) -> Result:
        timing = Timing(retrieval=duration(), generation=duration(), evaluation=duration(), finished=duration())
        return asked(name, timing, calls=(Call(purpose=word(), model=word(), started=0.0, queued=duration()),))

    names = [word() for _ in range(randomness.randrange(5))]
    runs = [
        run(mode, *map(result, names), wall=duration(), started_at=word(), fingerprints={"d": {word(): word()}})
        for mode in ("sequential", "concurrent")
    ]
    width = randomness.choice([40, 60, 80, 160])
    for text in [*(timing_table(each, width=width) for each in runs), timing_comparison(*runs, width=width)]:
        text.encode()
        for line in text.split("\n"):
            assert shown_columns(line) <= width, line
            assert line == line.rstrip()
            assert all(category(char) not in {"Cc", "Cs", "Zl", "Zp"} for char in line)
            assert not set(line) & set("\u202e\u2066\u200b")


def test_where_only_retrieval_is_under_test_no_answers_are_counted():
    alone = asked("a", Timing(generation=0.1, finished=0.1))
    alone = replace(alone, answer=Answer(text="", generated=False))

    assert "answer" not in timing_table(run("concurrent", alone, wall=0.1))

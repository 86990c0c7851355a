from __future__ import annotations

import dataclasses
import json
import os
import stat

import pytest

from pytest_ragcheck.baseline.entries import Entry, KeptContext, KeptGold, text_digest
from pytest_ragcheck.baseline.file import BaselineError, load_baseline, save_baseline, updated
from pytest_ragcheck.baseline.update import is_usable
from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.model import Answer, Call, Context, Failure, Passage, Question, Result, Run, Score

GOLD = ((Passage(source="docs/leave.md", start=3, end=20, text="25 days of leave"), Passage(source="docs/b.md")),)


def score(metric="hit_rate", value=1.0, **changes):
    return Score(metric=metric, value=value, **{"threshold": 0.5, **changes})


def result(name="a", *scores, dataset="questions.yaml", text="25 days.", **changes):
    question = Question(id=name, question=f"What of {name}?", dataset=dataset, reference="25", gold=GOLD)
    contexts = (
        Context(text="Staff have 25 days of leave.", rank=1, source="docs/leave.md", start=0, end=28),
        Context(text="no source", rank=2),
    )
    scores = scores or (score(),)
    return Result(
        **{
            "question": question,
            "answer": Answer(text=text, contexts=contexts, model="model-1"),
            "scores": {one.metric: one for one in scores},
            **changes,
        }
    )


def run(*results, **changes):
    names = {one.question.dataset for one in results}
    return Run(
        **{
            "started_at": "2026-03-04T05:06:07+00:00",
            "mode": "concurrent",
            "fingerprints": {name: {"questions": "q", "documents": "d1", "top_k": "5"} for name in names},
            "setup": 0.0,
            "wall": 1.0,
            "versions": {"pytest": "9.0", "faiss-cpu": "1.12"},
            "results": results,
            "scoring": {name: {"hit_rate": "version 1"} for name in names},
            **changes,
        }
    )


def ids(baseline, dataset="questions.yaml"):
    return [entry.id for entry in baseline.datasets[dataset].questions]


def written(tmp_path, baseline, name="baseline.json"):
    path = tmp_path / name
    save_baseline(baseline, path)
    return path


# ---- What is kept


def test_an_entry_keeps_what_tells_a_change():
    trials = (
        result("a", score(value=1.0), score("judged", 0.25, details={"judge": "judge-1"}), text="25 days."),
        result("a", score(value=0.5), score("judged", None, error=Failure(message="503")), text="Twenty-five."),
        result("a", answer=None, scores={}, error=Failure(message="no reply")),
    )
    whole = result("a", score(value=0.75), score("judged", 0.25, threshold=None), variant="small", trials=trials)
    (entry,) = updated(None, run(whole)).datasets["questions.yaml"].questions

    assert dataclasses.replace(entry, question="") == Entry(
        id="a",
        variant="small",
        question="",
        scores={"hit_rate": (1.0, 0.5), "judged": (0.25, None)},
        thresholds={"hit_rate": 0.5},
        gold=(KeptGold("docs/leave.md: 25 days of leave", 1),),
        contexts=(
            KeptContext("docs/leave.md", 0, 28, text_digest("Staff have 25 days of leave.")),
            KeptContext(None, None, None, text_digest("no source")),
        ),
        answers=(text_digest("25 days."), text_digest("Twenty-five.")),
        answer="25 days.",
    )
    assert (entry.mean("hit_rate"), entry.mean("judged"), entry.mean("other")) == (0.75, 0.25, None)


def test_the_setup_tells_system_measure_models_and_packages():
    judged = result("a", score("judged", 0.5, details={"judge": "judge-20260101"}))
    own = result("b", score("own", 0.5), calls=(Call(purpose="own", model="judge-2", started=0.0),))
    setup = updated(None, run(judged, own)).datasets["questions.yaml"].setup

    assert setup.fingerprint == {"documents": "d1", "top_k": "5"}
    assert setup.scoring == {"hit_rate": "version 1"}
    assert setup.models == {"generation": "model-1", "judged": "judge-20260101", "own": "judge-2"}
    assert setup.versions == {"faiss-cpu": "1.12"}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"question": "Other?"}, False),
        ({"reference": "26"}, False),
        ({"gold": ()}, False),
        ({"must_contain": (("25",),)}, False),
        ({"answerable": False}, False),
        ({"tags": ("new",), "thresholds": {"hit_rate": 0.1}, "line": 99}, True),
        ({"gold": (tuple(reversed(GOLD[0])),)}, True),
    ],
)
def test_the_digest_of_a_question_changes_with_what_decides_how_it_is_measured(change, same):
    other = result("a")
    other = dataclasses.replace(other, question=dataclasses.replace(other.question, **change))
    one, two = (updated(None, run(each)).datasets["questions.yaml"].questions[0] for each in (result("a"), other))

    assert (one.question == two.question) is same


# ---- Round trip, stability


def rich():
    return updated(
        None,
        run(
            result("b", score(), score("recall", 1 / 3), variant="large"),
            result("b", score(), variant="small"),
            result("a", score(value=0.1 + 0.2), text='Umlaut ü, "quotes"\nand 日本語'),
            result("x", dataset="other.yaml"),
        ),
    )


def test_a_baseline_comes_back_as_it_was(tmp_path):
    assert load_baseline(written(tmp_path, rich())) == rich()


def test_saving_twice_gives_the_same_bytes_whatever_the_order(tmp_path):
    results = [result(name, score(), score("recall", 0.5)) for name in "abc"]
    turned = [dataclasses.replace(one, scores=dict(reversed(one.scores.items()))) for one in reversed(results)]
    one = written(tmp_path, updated(None, run(*results)), "one.json").read_bytes()
    path = written(tmp_path, updated(None, run(*turned)), "two.json")
    save_baseline(load_baseline(path), path)

    assert path.read_bytes() == one


def test_a_line_for_each_question_so_that_a_diff_says_what_changed(tmp_path):
    before = written(tmp_path, updated(None, run(*map(result, "abc")))).read_text(encoding="utf-8").splitlines()
    changed = run(result("a"), result("b", score(value=0.25)), result("c"))
    after = written(tmp_path, updated(None, changed)).read_text(encoding="utf-8").splitlines()

    different = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(different) == 1
    assert different[0][1].startswith('{"id": "b", ')
    assert '"hit_rate": [0.25]' in different[0][1]


def test_text_is_readable_and_hides_nothing(tmp_path):
    hostile = "ü 日本 \u202edlrow\u202c \u2028 \x1b[31m \ud800 \U000e0041 \u200b"
    path = written(tmp_path, updated(None, run(result("a", text=hostile))))
    content = path.read_bytes().decode("utf-8")

    assert "ü 日本" in content
    assert not any(hidden in content for hidden in "\u202e\u2028\x1b\U000e0041\u200b")
    assert len(content.splitlines()) == content.count("\n")
    kept = load_baseline(path).datasets["questions.yaml"].questions[0]
    assert kept.answer == hostile.replace("\ud800", "\ufffd")
    assert kept.answers == (text_digest(kept.answer),)


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_whoever_may_read_the_repository_may_read_the_file_and_a_link_stays_one(tmp_path):
    path = written(tmp_path, rich())
    link = tmp_path / "link.json"
    link.symlink_to(path)
    save_baseline(updated(None, run(result("z"))), link)

    assert link.is_symlink()
    assert ids(load_baseline(path)) == ["z"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o400
    assert [name.name for name in tmp_path.iterdir() if name.name.startswith(".")] == []


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BaselineError, match=r"file/baseline\.json: .*; nothing was written$"):
        save_baseline(rich(), tmp_path / "file" / "baseline.json")


# ---- Updates


def test_a_run_over_a_subset_updates_its_questions_and_keeps_the_others():
    datasets = {"questions.yaml": {"a": "1", "b": "2", "gone": "3"}}
    first = updated(None, run(result("a"), result("b"), result("gone"), datasets=datasets))
    datasets = {"questions.yaml": {"a": "1", "b": "2", "new": "4"}}
    changes = {"started_at": "2026-05-01T00:00:00+00:00", "datasets": datasets}
    second = updated(first, run(result("b", score(value=0.25)), result("new"), **changes))

    assert ids(second) == ["a", "b", "gone", "new"]
    assert second.created == "2026-05-01T00:00:00+00:00"
    assert second.datasets["questions.yaml"].questions[1].scores == {"hit_rate": (0.25,)}
    assert second.datasets["questions.yaml"].questions[0] == first.datasets["questions.yaml"].questions[0]


def test_questions_that_are_gone_are_dropped_by_a_complete_run_over_the_whole_file_alone():
    first = updated(None, run(result("a"), result("gone"), result("x", dataset="other.yaml")))
    datasets = {"questions.yaml": {"a": "1"}}

    assert ids(updated(first, run(result("a"), datasets=datasets))) == ["a"]
    assert ids(updated(first, run(result("a"), datasets=datasets, complete=False))) == ["a", "gone"]
    assert ids(updated(first, run(result("a")))) == ["a", "gone"]
    assert ids(updated(first, run(result("a"), datasets=datasets)), "other.yaml") == ["x"]


@pytest.mark.parametrize(
    "unusable",
    [
        result("a", answer=None, scores={}, error=Failure(message="503")),
        result("a", answer=None, scores={}, not_run="the budget is spent"),
        result("a", score(value=0.1), score("judged", None, error=Failure(message="no JSON"))),
    ],
)
def test_a_question_without_a_usable_result_keeps_its_entry(unusable):
    first = updated(None, run(result("a", score(value=0.75)), result("b")))
    second = updated(first, run(unusable, result("b", score(value=0.5))))

    assert not is_usable(unusable)
    assert second.datasets["questions.yaml"].questions[0].scores == {"hit_rate": (0.75,)}
    assert second.datasets["questions.yaml"].questions[1].scores == {"hit_rate": (0.5,)}


def test_a_new_question_enters_with_what_could_be_measured_of_it():
    partly = result("a", score(value=0.1), score("judged", None, error=Failure(message="no JSON")))
    nothing = result("b", score("judged", None, error=Failure(message="no JSON")))

    assert ids(updated(None, run(partly, nothing))) == ["a"]


def test_entries_keep_what_they_were_measured_with(tmp_path):
    first = updated(None, run(result("a"), result("b"), result("c")))
    prints = {"questions.yaml": {"documents": "d2", "top_k": "5"}}
    second = load_baseline(written(tmp_path, updated(first, run(result("b"), fingerprints=prints))))
    dataset = second.datasets["questions.yaml"]

    assert [dataset.setup_of(entry).fingerprint["documents"] for entry in dataset.questions] == ["d1", "d2", "d1"]
    assert len(dataset.earlier_setups) == 1
    back = updated(second, run(result("b"))).datasets["questions.yaml"]
    assert back.earlier_setups == {}
    assert {entry.setup for entry in back.questions} == {None}


def test_a_question_that_stands_twice_cannot_become_a_baseline():
    with pytest.raises(ConfigurationError, match=r"question 'a' of questions\.yaml has 2 results"):
        updated(None, run(result("a"), result("a")))
    updated(None, run(result("a"), result("a", variant="other"), result("a", dataset="other.yaml")))


# ---- Damaged files


def damaged(tmp_path, content):
    path = tmp_path / "baseline.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BaselineError) as raised:
        load_baseline(path)
    told = str(raised.value)
    assert "\n" not in told
    assert told.startswith(str(path))
    return told.removeprefix(str(path))


@pytest.fixture
def text(tmp_path):
    return written(tmp_path, updated(None, run(result("a"), result("b"), result("c")))).read_text(encoding="utf-8")


RESTORE = "; restore it from version control, or delete it and write it anew with --ragcheck-update-baseline"


def test_a_missing_file_says_how_to_write_it(tmp_path):
    with pytest.raises(BaselineError, match=r"nope\.json: No such file.*; write it with --ragcheck-update-baseline$"):
        load_baseline(tmp_path / "nope.json")
    with pytest.raises(BaselineError, match=r"Is a directory; name a file$"):
        load_baseline(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", f": it is empty{RESTORE}"),
        (" \n", f": it is empty{RESTORE}"),
        ("[]", f": it is no baseline of pytest-ragcheck (no schema_version){RESTORE}"),
        ('{"results": []}', f": it is no baseline of pytest-ragcheck (no schema_version){RESTORE}"),
        ('{"schema_version": true}', f": it is no baseline of pytest-ragcheck (no schema_version){RESTORE}"),
        ('{"schema_version": -1}', f": schema version -1 is not known{RESTORE}"),
        (b"\xff\xfe{", f": it is not UTF-8{RESTORE}"),
        ('{"schema_version": 1}', f": created: Field required{RESTORE}"),
        (
            '{"schema_version": 7, "later": 1}',
            (
                ": it was written by a newer pytest-ragcheck (schema version 7, this one reads up to 1); "
                "python -m pip install --upgrade pytest-ragcheck"
            ),
        ),
    ],
)
def test_a_file_that_is_no_baseline(tmp_path, content, told):
    assert damaged(tmp_path, content) == told


def test_a_deeply_nested_file_is_refused(tmp_path):
    assert "it is no JSON" in damaged(tmp_path, "[" * 200_000)


def test_a_truncated_file_names_the_line(tmp_path, text):
    cut = text[: text.index('"b"')]
    assert damaged(tmp_path, cut).startswith(f":{cut.count(chr(10)) + 1}: it is no JSON (")


def test_conflict_markers_are_told_with_their_line(tmp_path, text):
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith('{"id": "b"'))
    marked = [*lines[:at], "<<<<<<< HEAD", lines[at], "=======", lines[at], ">>>>>>> main", *lines[at + 1 :]]
    told = damaged(tmp_path, "\n".join(marked))

    assert told.startswith(f":{at + 1}: unresolved merge conflict at line {at + 1}; resolve it")


def test_a_conflict_resolved_by_keeping_both_sides_is_told(tmp_path, text):
    lines = text.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith('{"id": "b"'))
    told = damaged(tmp_path, "\n".join([*lines[:at], lines[at], *lines[at:]]))

    assert "questions.yaml, question 'b': it stands there twice; keep one of the lines" in told


def test_a_key_that_stands_twice_hides_nothing(tmp_path, text):
    """Else an empty second part of a question file, as a union merge may leave it, makes all its questions new."""
    once = text.rstrip().removesuffix("}}")
    repeated = '"questions.yaml": {"setup": {}, "earlier_setups": {}, "questions": []}}}'
    told = damaged(tmp_path, f"{once},\n{repeated}\n")
    line = once.count(chr(10)) + 2
    assert told == f":{line}: the key 'questions.yaml' is given twice; keep one of them{RESTORE}"

    head, tail = text.rsplit('"hit_rate": [1.0]', 1)
    told = damaged(tmp_path, f'{head}"hit_rate": [1.0], "hit_rate": [0.0]{tail}')
    assert told.endswith(f": the key 'hit_rate' is given twice; keep one of them{RESTORE}")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_lacks_are_no_scores(tmp_path, text, constant):
    head, tail = text.rsplit("[1.0]", 1)
    told = damaged(tmp_path, f"{head}[{constant}]{tail}")

    assert told == f":{head.count(chr(10)) + 1}: {constant} is no score{RESTORE}"


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ('"hit_rate": [1.0]', '"hit_rate": ["1.0"]', "scores.hit_rate.0: Input should be a valid number"),
        ('"hit_rate": [1.0]', '"hit_rate": 1.0', "scores.hit_rate: Input should be a valid array"),
        ('"hit_rate": [1.0]', '"hit_rate": [true]', "scores.hit_rate.0: Input should be a valid number"),
        ('"hit_rate": [1.0]', '"hit_rate": [1e400]', "hit_rate is inf, not a number from 0 to 1"),
        ('"hit_rate": [1.0]', '"hit_rate": [1.5]', "hit_rate is 1.5, not a number from 0 to 1"),
        ('"hit_rate": [1.0]', '"hit_rate": [1.0, 0.5]', "hit_rate has 2 scores for 1 answers"),
        ('"answer": "', '"setup": "0123", "answer": "', "its setup '0123' is not among earlier_setups"),
        ('"answer": "25 days."', '"answer": 25', "answer: Input should be a valid string"),
        ('"contexts": [["docs/leave.md", 0', '"contexts": [[0, 0', "contexts.0.0: Input should be a valid string"),
    ],
)
def test_wrong_values_name_question_and_line(tmp_path, text, before, after, problem):
    head, tail = text.rsplit(before, 1)
    told = damaged(tmp_path, f"{head}{after}{tail}")
    place, _, rest = told.partition(": questions.yaml, question 'c'")

    assert rest.removeprefix(": ").removeprefix(", ").startswith(problem)
    assert place == f":{head.count(chr(10)) + 1}"


# ---- Older forms

VERSION_0 = {
    "schema_version": 0,
    "created": "2025-12-01T00:00:00+00:00",
    "datasets": {
        "questions.yaml": {
            "fingerprint": {"documents": "d1", "top_k": "5"},
            "versions": {"faiss-cpu": "1.12"},
            "questions": [
                {
                    "id": "a",
                    "question": "0123456789abcdef",
                    "scores": {"hit_rate": 1.0, "recall": 0.5},
                    "thresholds": {"hit_rate": 0.5},
                    "gold": [["docs/leave.md", 2]],
                    "contexts": [["docs/leave.md", 0, 28, "00ff"]],
                    "answer": "25 days.",
                }
            ],
        }
    },
}


def test_a_baseline_from_before_trials_is_read(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps(VERSION_0), encoding="utf-8")
    baseline = load_baseline(path)
    (entry,) = baseline.datasets["questions.yaml"].questions

    assert entry.scores == {"hit_rate": (1.0,), "recall": (0.5,)}
    assert entry.answers == (text_digest("25 days."),)
    assert entry.gold == (KeptGold("docs/leave.md", 2),)
    assert baseline.datasets["questions.yaml"].setup.fingerprint == {"documents": "d1", "top_k": "5"}
    assert load_baseline(written(tmp_path, baseline)) == baseline


def test_a_damaged_older_baseline_is_one_line(tmp_path):
    broken = {**VERSION_0, "datasets": {"questions.yaml": {"questions": []}}}
    assert damaged(tmp_path, json.dumps(broken)).startswith(": it is no baseline of schema version 0 (KeyError:")
    broken = {**VERSION_0, "datasets": {"questions.yaml": {"fingerprint": {}, "questions": [{"id": 1, "scores": {}}]}}}
    assert ": questions.yaml, question 1, id: Input should be a valid string" in damaged(tmp_path, json.dumps(broken))

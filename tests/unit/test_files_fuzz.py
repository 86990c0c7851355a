"""Damaged files of every kind: they are read, or refused in one line; never a traceback, never a wrong pass.

``RAGCHECK_FUZZ=10000 python -m pytest tests/unit/test_files_fuzz.py`` tries so many inputs, chosen at random; without it
the same few are tried each time.
"""

from __future__ import annotations

import copy
import json
import math
import os
import shutil
from dataclasses import replace

import pytest

pytest.importorskip("hypothesis")
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from pytest_ragcheck.__main__ import main
from pytest_ragcheck.baseline.file import load_baseline, save_baseline, updated
from pytest_ragcheck.baseline.measures import by_formula
from pytest_ragcheck.dataset import load_questions, question_ids
from pytest_ragcheck.errors import ConfigurationError, RagcheckError
from pytest_ragcheck.gateway.replies import REPLIES, StoredReply
from pytest_ragcheck.metrics.judged.agreement import Agreement
from pytest_ragcheck.metrics.judged.calibration import Calibration, load_calibrations, save_calibration, told
from pytest_ragcheck.metrics.judged.scores import Judged, Scores
from pytest_ragcheck.model import Answer, Context, Failure, Question, Result, Run, Score, Usage
from pytest_ragcheck.rag.kept import _ANSWERS
from pytest_ragcheck.rag.offline import _EXTRACTS
from pytest_ragcheck.run_file import dump, load_run, save_run
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.session.config_file import find_configuration
from pytest_ragcheck.store import Store, StoredKind, digest

WANTED = os.environ.get("RAGCHECK_FUZZ")
TESTS = 14
"""Among which the inputs are divided."""
fuzzed = settings(
    max_examples=math.ceil(int(WANTED or 40 * TESTS) / TESTS),
    deadline=None,
    database=None,
    derandomize=WANTED is None,
    suppress_health_check=list(HealthCheck),
)
PIECES = [
    *(
        b"",
        b"\x00",
        b"\xff",
        b"\xef\xbb\xbf",
        b"\n",
        b"\r",
        b'"',
        b"'",
        b"[",
        b"]",
        b"{",
        b"}",
        b":",
        b",",
        b"#",
        b"\\",
    ),
    *(b"null", b"true", b"-1", b"1e999", b"NaN", b"9" * 5_000, b"[" * 2_000, b'{"a":' * 2_000, b"\\ud800", b"\\u0000"),
    *(b"\xe2\x80\xae", b"\x1b[2J", b"::error::", b"- ", b"&a ", b"*a ", b"!!python/name:os ", b"<<: ", b"= ", b"]]\n"),
]
ODD = [
    *(
        None,
        True,
        False,
        [],
        {},
        "",
        "x",
        [[]],
        {"a": None},
        -1,
        2,
        1.5,
        -0.5,
        1e308,
        10**400,
        "\ud800",
        "1",
        "\x1b[2J",
    ),
    *(["x"], [None], [True], {"x": []}, {"": ""}),
]
edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(PIECES) | st.binary(max_size=4)),
    min_size=1,
    max_size=4,
)


def edited(content, changes):
    data = bytearray(content)
    for place, length, piece in changes:
        at = int(place * len(data))
        data[at : at + length] = piece
    return bytes(data)


def places(plain, path=()):
    """Every node of a JSON value, the root last."""
    children = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))
    yield path


def with_node(plain, path, value):
    """A copy with another value in one place."""
    if not path:
        return value
    changed = copy.deepcopy(plain)
    *above, last = path
    node = changed
    for key in above:
        node = node[key]
    node[last] = value
    return changed


def dumped(plain):
    """Python's JSON, so that NaN and half characters come too."""
    return json.dumps(plain).encode()


def checked(call, kind=RagcheckError):
    """What the call returns, or None where it is refused in one printable line."""
    try:
        return call()
    except kind as problem:
        message = str(problem)
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


# ---- Question files --------------------------------------------------------------------------

QUESTIONS = {
    "json": json.dumps(
        [
            {
                "id": "a",
                "question": "How many?",
                "gold": [{"source": "a.md", "quote": "x"}, ["b.md"]],
                "must_contain": [["1", "one"]],
                "thresholds": {"mrr": 0.5},
                "tags": ["t"],
                "history": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}],
                "answerable": True,
            }
        ]
    ),
    "jsonl": '{"question": "How many?", "human": {"correctness": 1}}\n{"input": "Who?", "expected_output": "5"}\n',
    "yaml": "- question: &q How many?\n  tags: [a, b]\n- id: two\n  question: *q\n  thresholds: {hit_rate: 0.5}\n",
    "csv": 'id,question,tags,gold\n1,"a\n""b""?",x;y,"[""a.md""]"\n2,c?,,\n',
}


@pytest.mark.parametrize("suffix", QUESTIONS)
@fuzzed
@given(changes=edits)
def test_question_files(folder, suffix, changes):
    path = folder / f"q.{suffix}"
    path.write_bytes(edited(QUESTIONS[suffix].encode(), changes))
    questions = checked(lambda: load_questions(path, name="q"))
    if questions is not None:
        ids = [question.id for question in questions]
        assert ids == list(question_ids(path))
        assert 0 < len({*ids}) == len(ids)
        assert all(0 <= least <= 1 for question in questions for least in question.thresholds.values())


def test_a_question_whose_id_is_a_huge_number(folder):
    (folder / "huge.json").write_bytes(dumped([{"id": 10**400, "question": "Why?"}]))
    assert checked(lambda: load_questions(folder / "huge.json", name="q")) is None


@fuzzed
@given(data=st.data())
def test_question_files_with_odd_values(folder, data):
    plain = json.loads(QUESTIONS["json"])
    node = data.draw(st.sampled_from(list(places(plain))))
    path = folder / "odd.json"
    path.write_bytes(dumped(with_node(plain, node, data.draw(st.sampled_from(ODD)))))
    checked(lambda: load_questions(path, name="q"))


# ---- Configurations --------------------------------------------------------------------------

TOML = """
questions = "q.json"
documents = ["docs/*.md", "!docs/old.md"]
generator = "anthropic:claude-haiku-5-5"
judge = "anthropic:claude-haiku-5-5"
top_k = 5
concurrency = 3
request_timeout = 7.5
fingerprint = ["src/*.py"]
[chunking]
size = 200
overlap = 40
[metrics]
hit_rate = 1.0
groundedness = "report"
"module:name" = 0.5
[judging]
max_tokens = 100
parameters = {a = 1}
[generation]
prompt = "$contexts $question"
[prices.claude-haiku-5-5]
input = 1.0
output = 5.0
[gate]
coverage = 0.9
"""


@fuzzed
@given(changes=edits)
@example(changes=[(0.0, 0, b"\xef\xbb\xbf")])
@example(changes=[(0.0, 0, b"a = " + b"[" * 2_000)])
@example(changes=[(0.0, 0, b"a = " + b"9" * 5_000 + b"\n")])
def test_configurations(folder, changes):
    (folder / "ragcheck.toml").write_bytes(edited(TOML.encode(), changes))
    find_configuration.cache_clear()
    found = checked(lambda: load_settings(folder, invocation=folder), ConfigurationError)
    if found is not None:
        assert all(least is None or 0 <= least <= 1 for least in found.metrics.values())
        assert found.top_k >= 1


# ---- Runs and baselines ----------------------------------------------------------------------

FORMULA = by_formula(1, contexts_alone=True)


BROKEN = Score(metric="mrr", error=Failure(message="503", kind="api-error", details={"status": 503}))


def run_of(*values):
    results = tuple(
        Result(
            question=Question(id=f"q{number}", question="?", dataset="q.yaml", reference="r", tags=("t",)),
            answer=Answer(text=f"answer {number}", contexts=(Context(text="c", rank=1, score=0.5, source="a.md"),)),
            scores={
                "hit_rate": Score(
                    metric="hit_rate", value=value, threshold=0.5, details={"rejected": [{"claim": "c"}]}
                ),
                "refusal": Score(metric="refusal", reason="does not apply"),
                **({} if value else {"mrr": BROKEN}),
            },
        )
        for number, value in enumerate(values)
    )
    return Run(
        started_at="2026-03-04T05:06:07+00:00",
        mode="concurrent",
        fingerprints={"q.yaml": {"embedder": "e"}},
        setup=0.0,
        wall=1.0,
        versions={"pytest": "9"},
        results=results,
        scoring={"q.yaml": {"hit_rate": FORMULA}},
    )


GOOD = run_of(*[1.0] * 12)
FALLEN = run_of(*[0.0] * 6, *[1.0] * 6)


@pytest.fixture(scope="module")
def files(folder):
    save_run(GOOD, folder / "good.json")
    save_run(FALLEN, folder / "fallen.json")
    save_baseline(updated(None, GOOD), folder / "baseline.json")
    return folder


def decide(capsys, *arguments):
    """The exit code; whatever else would be raised fails the test."""
    code = main([*map(str, arguments)])
    output = capsys.readouterr()
    assert "Traceback" not in output.out + output.err
    return code


def test_undamaged_files_decide_as_they_should(files, capsys):
    assert decide(capsys, "gate", files / "good.json", files / "baseline.json", "--fail-on", "both") == 0
    assert decide(capsys, "gate", files / "fallen.json", files / "baseline.json") == 1


def unread(value):
    """Whether a score or a threshold of a run file is no number from 0 to 1."""
    return value is not None and not (type(value) in {int, float} and 0 <= value <= 1)


@fuzzed
@given(changes=edits)
def test_runs(files, capsys, changes):
    path = files / "run.json"
    path.write_bytes(edited((files / "fallen.json").read_bytes(), changes))
    run = checked(lambda: load_run(path))
    code = decide(capsys, "gate", path, files / "baseline.json", "--fail-on", "both")
    assert (code == 4) == (run is None)
    if run is not None:
        assert code == 1
        for suffix in ("md", "html", "json"):
            assert decide(capsys, "report", path, "--output", files / f"report.{suffix}") == 0


@fuzzed
@given(data=st.data())
def test_runs_with_odd_values(files, capsys, data):
    plain = json.loads((files / "fallen.json").read_bytes())
    node = data.draw(st.sampled_from(list(places(plain))))
    odd = data.draw(st.sampled_from(ODD))
    path = files / "run.json"
    path.write_bytes(dumped(with_node(plain, node, odd)))
    run = checked(lambda: load_run(path))
    code = decide(capsys, "gate", path, files / "baseline.json", "--fail-on", "both")
    assert (code == 4) == (run is None)
    assert code != 0
    if node and node[-1] in {"value", "threshold"} and unread(odd):
        assert run is None, "a score that is no number from 0 to 1 is none"
    if run is not None:
        assert decide(capsys, "report", path) == 0
        for suffix in ("md", "html"):
            assert decide(capsys, "report", path, "--output", files / f"report.{suffix}") == 0


@fuzzed
@given(changes=edits)
def test_baselines(files, capsys, changes):
    path = files / "damaged.json"
    path.write_bytes(edited((files / "baseline.json").read_bytes(), changes))
    baseline = checked(lambda: load_baseline(path))
    code = decide(capsys, "gate", files / "fallen.json", path)
    assert (code == 4) == (baseline is None)
    assert code != 0


@fuzzed
@given(data=st.data())
def test_baselines_with_odd_values(files, capsys, data):
    plain = json.loads((files / "baseline.json").read_bytes())
    node = data.draw(st.sampled_from(list(places(plain))))
    path = files / "damaged.json"
    path.write_bytes(dumped(with_node(plain, node, data.draw(st.sampled_from(ODD)))))
    baseline = checked(lambda: load_baseline(path))
    code = decide(capsys, "gate", files / "fallen.json", path)
    assert (code == 4) == (baseline is None)
    assert code != 0


# ---- Calibrations ----------------------------------------------------------------------------

AGREEMENT = Agreement(
    threshold=0.5,
    both_pass=3,
    judge_fails=1,
    judge_passes=1,
    both_fail=3,
    kappa=0.5,
    kappa_interval=(0.1, 0.9),
    rho=0.4,
    rho_interval=None,
)


def test_a_calibration_with_a_huge_number(folder):
    path = folder / "huge-calibration.json"
    save_calibration(
        path, Calibration(judge="j", judging="d", deepeval="4", date="2026-01-01", metrics={"correctness": AGREEMENT})
    )
    plain = json.loads(path.read_bytes())
    place = ("calibrations", 0, "metrics", "correctness", "kappa_interval", 0)
    path.write_bytes(dumped(with_node(plain, place, 10**400)))
    assert checked(lambda: load_calibrations(path), ConfigurationError) is None


@fuzzed
@given(data=st.data())
def test_calibrations(folder, data):
    path = folder / "calibration.json"
    path.unlink(missing_ok=True)
    save_calibration(
        path, Calibration(judge="j", judging="d", deepeval="4", date="2026-01-01", metrics={"correctness": AGREEMENT})
    )
    plain = json.loads(path.read_bytes())
    if data.draw(st.booleans()):
        path.write_bytes(edited(path.read_bytes(), data.draw(edits)))
    else:
        node = data.draw(st.sampled_from(list(places(plain))))
        path.write_bytes(dumped(with_node(plain, node, data.draw(st.sampled_from(ODD)))))
    found = checked(lambda: load_calibrations(path), ConfigurationError)
    if found is not None:
        told(found, judge="j", judging="d", deepeval="4", metrics=["correctness"])


# ---- Stores ----------------------------------------------------------------------------------

REPLY = StoredReply(
    text="yes", stop_reason="end_turn", model="m", usage=Usage(input_tokens=3), latency=0.5, request_id="r", cost=0.1
)
JUDGED = Judged(value=0.25, summary="s", vacuous=None, rejected=({"claim": "c"},), reason="r", judge="m")
KEPT_ANSWER = Answer(text="25 days", contexts=(Context(text="c", rank=1),), refused=False)
DOCUMENTS = StoredKind("document", bytes.decode, needs_checksum=True)
KEYS = [digest(str(number)) for number in range(40)]


@pytest.fixture(scope="module")
def whole_store(folder):
    path = folder / "whole.sqlite"
    with Store(path) as store:
        for key in KEYS:
            REPLIES.put(store, key, REPLY.to_bytes())
            Scores(store).put(key, JUDGED)
            _ANSWERS.put(store, key, json.dumps(dump(KEPT_ANSWER)).encode())
            _EXTRACTS.put(store, key, b'{"text": "25 days", "refused": false}')
            DOCUMENTS.put(store, key, b"The text of a document. " * 10)
        store.claim("model-reply", KEYS[0], owner="elsewhere|1|5|t", seconds=600)
    return path


def read_all(store):
    """The values that are there; each must be the one that was written."""
    scores = Scores(store)
    for key in KEYS:
        assert REPLIES.get(store, key) in {None, REPLY}
        assert scores.get(key) in (None, JUDGED)
        assert _ANSWERS.get(store, key) in (None, KEPT_ANSWER)
        assert _EXTRACTS.get(store, key) in (None, {"text": "25 days", "refused": False})
        assert DOCUMENTS.get(store, key) in {None, "The text of a document. " * 10}


def check_store(path):
    for own in path.parent.glob(f"{path.name}*"):
        if own != path:
            own.unlink()

    def use():
        with Store(path) as store:
            read_all(store)
            REPLIES.put(store, KEYS[0], replace(REPLY, text="new").to_bytes())
            assert REPLIES.get(store, KEYS[0]).text == "new"
            assert store.unclaimed("model-reply", KEYS, owner="me|1|1")
            store.size()

    checked(use, ConfigurationError)


@fuzzed
@given(changes=edits)
@example(changes=[(0.0, 0, b"x")])
@example(changes=[(0.5, 10**9, b"")])
def test_stores(folder, whole_store, changes):
    path = folder / "damaged.sqlite"
    path.write_bytes(edited(whole_store.read_bytes(), changes))
    check_store(path)


@example(flips=[(0.31458525217579525, 128)])
@example(flips=[(0.853310292646864, 1)])
@fuzzed
@given(flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=30))
def test_stores_with_flipped_bytes(folder, whole_store, flips):
    data = bytearray(whole_store.read_bytes())
    for place, flip in flips:
        data[int(place * len(data))] ^= flip
    path = folder / "flipped.sqlite"
    path.write_bytes(data)
    check_store(path)


VALUES = [b"", b"{}", b"[]", b"true", b"null", b"NaN", b"\xff", b"[" * 5_000, b'{"value": true}', None, "x", 1, 0.5]


@fuzzed
@given(kind=st.sampled_from(["model-reply", "judged-score", "answer", "extract", "document"]), data=st.data())
def test_stores_with_odd_values(folder, whole_store, kind, data):
    value = data.draw(st.sampled_from(VALUES) | st.binary(max_size=30))
    assume(not (kind == "extract" and value == b'{"text": "25 days", "refused": false}'))
    path = folder / "odd.sqlite"
    shutil.copy(whole_store, path)
    with Store(path) as store:
        connection = store._connection
        connection.execute("UPDATE OR IGNORE entries SET value = ? WHERE kind = ?", (value, kind))
        connection.execute(
            "UPDATE claims SET owner = ?, expires = ?", (value or "", data.draw(st.sampled_from(VALUES)) or 1)
        )
    check_store(path)

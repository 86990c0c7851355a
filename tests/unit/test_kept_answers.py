"""Answers of users' systems in the store, and what tells versions of a system apart."""

from __future__ import annotations

import asyncio
import subprocess
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from pytest_ragcheck.call_context import trial_scope
from pytest_ragcheck.errors import ConfigurationError, MeasurementError, NotRunError
from pytest_ragcheck.model import Answer, Context, Question, Turn
from pytest_ragcheck.rag.fingerprints import version_of_system
from pytest_ragcheck.rag.kept import KeptAnswers
from pytest_ragcheck.rag.pipeline import as_pipeline
from pytest_ragcheck.store import Store

QUESTION = Question(id="q", question="How long?", line=3)


class Counted:
    """Says what it was told to, and counts."""

    def __init__(self, returned):
        self.returned = returned
        self.asked = 0

    def __call__(self, question: Question, history=()):
        self.asked += 1
        if isinstance(self.returned, Exception):
            raise self.returned
        return self.returned


def kept(system, store, **settings):
    return KeptAnswers(as_pipeline(system), store, **{"version": "1"} | settings)


def answered(pipeline, question=QUESTION):
    async def ask():
        await pipeline.prepare([question])
        return await pipeline.generate(question, await pipeline.retrieve(question))

    return asyncio.run(ask())


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "cache.sqlite") as store:
        yield store


def test_an_answer_is_asked_for_once_and_comes_back_whole(store):
    returned = Answer(
        text="25 days",
        contexts=(Context(text="c", rank=1, score=0.5, source="a.md", start=1, end=2, chunk_id="x"),),
        refused=False,
        model="m",
        latency=0.5,
        metadata={"a": [1, None]},
        contexts_known=False,
    )
    system = Counted(returned)

    first, second = answered(kept(system, store)), answered(kept(system, store))

    assert first == returned
    assert second == replace(returned, cached=True)
    assert system.asked == 1


def test_contexts_alone_are_kept_too(store):
    system = Counted(["a"])
    retriever = SimpleNamespace(retrieve=system)

    first, second = answered(kept(retriever, store)), answered(kept(retriever, store))

    assert [answer.contexts for answer in (first, second)] == [(Context(text="a", rank=1),)] * 2
    assert not second.generated
    assert system.asked == 1


@pytest.mark.parametrize(
    ("question", "settings"),
    [
        (replace(QUESTION, question="How short?"), {}),
        (replace(QUESTION, id="r"), {}),
        (replace(QUESTION, tags=("a",)), {}),
        (replace(QUESTION, history=(Turn(role="user", text="a"), Turn(role="assistant", text="b"))), {}),
        (QUESTION, {"version": "2"}),
        (QUESTION, {"since": time.time() + 3600}),
    ],
    ids=["text", "id", "tags", "turns", "version", "refresh"],
)
def test_what_makes_it_another_answer(store, question, settings):
    system = Counted(("25 days", []))
    answered(kept(system, store))

    answered(kept(system, store, **settings), question)

    assert system.asked == 2


def test_what_the_system_cannot_see_makes_no_difference(store):
    system = Counted(("25 days", []))
    answered(kept(system, store))

    answered(kept(system, store), replace(QUESTION, line=9, reference="25", thresholds={"mrr": 0.5}))

    assert system.asked == 1


def test_each_trial_has_an_answer_of_its_own(store):
    system = Counted(("25 days", []))
    for _ in range(2):
        for trial in range(3):
            with trial_scope(trial):
                answered(kept(system, store))

    assert system.asked == 3


def test_trouble_is_not_kept(store):
    system = Counted(MeasurementError("not now"))
    with pytest.raises(MeasurementError):
        answered(kept(system, store))
    system.returned = ("25 days", [])

    assert answered(kept(system, store)).text == "25 days"


def test_where_only_the_store_may_answer_nothing_is_asked(store):
    system = Counted(("25 days", []))
    with pytest.raises(NotRunError, match="the answer is not in the store"):
        answered(kept(system, store, only=True))
    answered(kept(system, store))

    assert answered(kept(system, store, only=True)).cached
    assert system.asked == 1


# ---- Versions --------------------------------------------------------------------------------


def test_a_text_is_itself():
    assert version_of_system("prompt 3", None) == "prompt 3"


def test_files_count_by_name_and_content(tmp_path):
    def write(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        return version_of_system(["src/**/*.py", "prompts/*"], tmp_path)

    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "rag.py").write_text("1")
    versions = [
        write("prompts/a.txt", "a"),
        write("prompts/a.txt", "b"),
        write("src/deep/er.py", "b"),
        write("prompts/b.txt", ""),
    ]
    unchanged = [write("src/notes.md", "x"), write("src/__pycache__/x.py", "x"), write("src/.venv/lib/y.py", "y")]

    assert len(set(versions)) == 4
    assert set(unchanged) == {versions[-1]}


@pytest.mark.parametrize("pattern", ["src/*.py", "/etc/*", ""])
def test_patterns_that_name_no_file(tmp_path, pattern):
    with pytest.raises(ConfigurationError, match=r"^fingerprint: "):
        version_of_system([pattern], tmp_path)


def test_a_commit(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.invalid"]
        return subprocess.run(
            ["git", *identity, "-C", tmp_path, *arguments], check=True, capture_output=True, text=True
        ).stdout.strip()

    with pytest.raises(ConfigurationError, match=r'^fingerprint = "git": fatal: not a git repository'):
        version_of_system("git", tmp_path)
    git("init", "-q")
    with pytest.raises(ConfigurationError, match=r'^fingerprint = "git": fatal: '):
        version_of_system("git", tmp_path)
    (tmp_path / "rag.py").write_text("1")
    untracked = version_of_system("git", tmp_path)
    git("add", ".")
    git("commit", "-qm", "first")
    first = version_of_system("git", tmp_path)
    (tmp_path / "rag.py").write_text("2")
    changed = version_of_system("git", tmp_path)

    assert first == git("rev-parse", "HEAD")
    assert (untracked, changed) == (None, None)

"""From questions to items, and from the items that survived selection back to questions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.errors import ConfigurationError, DatasetError, RagcheckError
from pytest_ragcheck.session.fixtures import ENTRY, OFF_REASON

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_ragcheck.model import Question
    from pytest_ragcheck.session.suite_catalog import SuiteCatalog
    from pytest_ragcheck.session.suites import Suite

__all__ = [
    "CATALOG",
    "Entry",
    "catalog_of",
    "check_tags",
    "entry_of",
    "marked",
    "parametrize",
    "selected_items",
    "suite_of_session",
]

CATALOG = pytest.StashKey["SuiteCatalog"]()
MARK = "ragcheck"
_MARK_KEYS = ("questions", "documents", "metrics")
_MARKS_WITH_ARGUMENTS = frozenset(
    {"anyio", "asyncio", "filterwarnings", "parametrize", "ragcheck", "skipif", "usefixtures", "xdist_group"}
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One item's question and the suite that it belongs to."""

    suite: Suite
    question: Question

    @property
    def key(self) -> tuple[str, str]:
        """Tells one question of a session from another, the same in every process."""
        return self.suite.identity, self.question.id


def parametrize(metafunc: pytest.Metafunc, catalog: SuiteCatalog | None) -> None:
    """One item for each question; skipped items where the plugin is off (no catalog)."""
    if catalog is None:
        skip = pytest.mark.skip(reason=OFF_REASON)
        parameters = [pytest.param(None, id=name, marks=skip) for name in _ids_only(metafunc.definition)]
    else:
        suite = suite_of(metafunc.definition, catalog)
        parameters = [
            pytest.param(Entry(suite, question), id=question.id, marks=_marks(metafunc.config, question))
            for question in suite.questions
        ]
    metafunc.parametrize(ENTRY, parameters)


def suite_of(node: pytest.Item, catalog: SuiteCatalog) -> Suite:
    """The suite that the node's marks and place ask for; RagcheckError as a collection error of one line."""
    try:
        said = marked(node)
        suite = catalog.suite(_folder(node), **said)
        check_tags(suite)
        return suite
    except RagcheckError as problem:
        raise pytest.Collector.CollectError(str(problem)) from None


def entry_of(item: pytest.Item) -> Entry | None:
    """The item's question, or None for an item of another kind."""
    callspec = getattr(item, "callspec", None)
    return None if callspec is None else callspec.params.get(ENTRY)


def _will_run(item: pytest.Item) -> bool:
    """Whether no mark of the item (skip, skipif, xfail with run=False) keeps its test from running."""
    # pytest has no public way to ask; it evaluates the marks again at the item's set-up.
    from _pytest.skipping import evaluate_skip_marks, evaluate_xfail_marks

    try:
        xfail = evaluate_xfail_marks(item)
        is_run = item.config.getoption("runxfail", default=False) or xfail is None or xfail.run
        return is_run and evaluate_skip_marks(item) is None
    except (Exception, pytest.fail.Exception):  # noqa: BLE001 (a condition that is wrong is told at the item's set-up)
        return False


def selected_items(session: pytest.Session) -> list[tuple[pytest.Item, Entry]]:
    """The items that will run, in their order, as far as they want an answer."""
    with_entries = ((item, entry_of(item)) for item in session.items)
    return [
        (item, entry)
        for item, entry in with_entries
        if entry is not None and "ragcheck_answers" in getattr(item, "fixturenames", ()) and _will_run(item)
    ]


def catalog_of(config: pytest.Config) -> SuiteCatalog:
    """The session's suites; only under ``--ragcheck``."""
    return config.stash[CATALOG]


def suite_of_session(session: pytest.Session, catalog: SuiteCatalog, fixture: str) -> Suite:
    """The one suite that the selected items belong to; ConfigurationError where there are several."""
    suites = list(dict.fromkeys(entry.suite for item in session.items if (entry := entry_of(item)) is not None))
    if not suites:
        return catalog.suite(session.config.invocation_params.dir)
    if len(suites) > 1:
        names = ", ".join(suite.name for suite in suites)
        raise ConfigurationError(f"{fixture}: this session has several suites ({names}); run one at a time")
    return suites[0]


def _folder(node: pytest.Item) -> Path:
    return node.path.parent


def marked(node: pytest.Item) -> dict[str, Any]:
    """The keywords of the nearest marks, their paths relative to the test file."""
    said: dict[str, Any] = {}
    for mark in node.iter_markers(MARK):
        if mark.args or not set(mark.kwargs) <= set(_MARK_KEYS):
            wrong = ", ".join(sorted(set(mark.kwargs) - set(_MARK_KEYS))) or "positional arguments"
            raise ConfigurationError(f"{node.nodeid}: mark ragcheck takes {', '.join(_MARK_KEYS)}, not {wrong}")
        said = {**mark.kwargs, **said}
    if node.path.suffix.lower() != ".py":  # a question file that was named on the command line
        said["questions"] = node.path
    folder = _folder(node)
    if "questions" in said:
        said["questions"] = folder / said["questions"]
    if "documents" in said:
        patterns = [said["documents"]] if isinstance(said["documents"], str) else said["documents"]
        said["documents"] = tuple(str(folder / pattern) for pattern in patterns)
    if "metrics" in said:
        said["metrics"] = _mark_metrics(node, said["metrics"])
    return said


def _mark_metrics(node: pytest.Item, metrics: Mapping[str, float | None] | Iterable[str] | str) -> Mapping[str, Any]:
    if isinstance(metrics, str):
        return {metrics: None}
    if not isinstance(metrics, Mapping):
        return dict.fromkeys(metrics)
    for name, least in metrics.items():
        if least is not None and not (isinstance(least, int | float) and 0 <= least <= 1):
            raise ConfigurationError(
                f"{node.nodeid}: mark ragcheck: metrics[{name!r}] must be from 0 to 1, got {least!r}"
            )
    return metrics


def _ids_only(node: pytest.Item) -> tuple[str, ...]:
    from pytest_ragcheck.dataset import question_ids
    from pytest_ragcheck.session.config_file import find_configuration

    try:
        questions = marked(node).get("questions")
        if questions is None:
            found = find_configuration(_folder(node)) or find_configuration(node.config.invocation_params.dir)
            if found is None:
                return ("questions",)
            questions = found.path.parent / found.table["questions"]
        return question_ids(questions)
    except (RagcheckError, KeyError, TypeError):
        return ("questions",)  # what is wrong is told when it matters: under --ragcheck


def check_tags(suite: Suite) -> None:
    """DatasetError for the first tag that cannot be a mark."""
    for question in suite.questions:
        for tag in question.tags:
            if _mark_name(tag) in _MARKS_WITH_ARGUMENTS:
                problem = f"tag {tag!r} is a pytest mark that needs arguments; choose another name"
                raise DatasetError(question.dataset, question.line, problem)


def _mark_name(tag: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", tag).strip("-_")


def _marks(config: pytest.Config, question: Question) -> list[pytest.MarkDecorator]:
    names = [name for name in map(_mark_name, question.tags) if name]
    for name in names:
        config.addinivalue_line("markers", f"{name}: a tag of ragcheck questions")
    return [getattr(pytest.mark, name) for name in names]

"""The files that ``init`` writes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.commands.init.examples import EXAMPLE_TAG
from pytest_ragcheck.commands.question_yaml import question_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pytest_ragcheck.commands.init.folder import Folder

__all__ = ["NewFile", "question_file", "starting_files"]

_QUESTIONS = f"""\
What is asked. Each question is a test item.

  question     what a user asks
  reference    what a good answer says
  gold         what retrieval must find: passages quoted word for word
  answerable   false where the documents do not hold the answer, and declining is right
  tags         each becomes a mark: pytest --ragcheck -m {EXAMPLE_TAG}
"""
_FROM_DOCUMENTS = (
    "\nThese were made from headings, so that there is something to run. Replace them by what your users ask.\n"
)
_WITHOUT_DOCUMENTS: list[dict[str, Any]] = [
    {
        "question": "What does your system know?",
        "reference": "What a good answer says.",
        "tags": [EXAMPLE_TAG],
    },
    {"question": "Who won the Tour de France in 1903?", "answerable": False, "tags": [EXAMPLE_TAG]},
]
_HEADING_OF_DEFAULTS = "    defaults:\n      run:\n        working-directory: {folder}\n"


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to be written, and what it is for."""

    path: Path
    content: str
    purpose: str


def question_file(folder: Folder) -> Path:
    """Where the questions are: as configured, else beside the tests."""
    configured = folder.settings.questions if folder.settings else None
    return configured or folder.tests / "questions.yaml"


def starting_files(folder: Folder, examples: Sequence[Mapping[str, Any]]) -> Iterator[NewFile]:
    """All files of a first set-up; which of them there are already is for the caller to see."""
    questions = question_file(folder)
    if folder.settings is None:
        content = _configuration(folder, examples)
        yield NewFile(folder.root / "ragcheck.toml", content, "documents, what answers, least values")
    yield NewFile(questions, _questions(examples), _told_questions(examples))
    content = _filled("test_rag.py.txt", questions=questions.name)
    yield NewFile(folder.tests / "test_rag.py", content, "the test: one item for each question")
    if folder.lacks_a_system:
        yield NewFile(folder.root / "conftest.py", _filled("conftest.py.txt"), "your system: name it here")
    if folder.pytest_settings is None:
        yield NewFile(folder.root / "pytest.ini", _filled("pytest.ini"), "settings of pytest itself")
    yield _workflow(folder)


def _told_questions(examples: Sequence[Mapping[str, Any]]) -> str:
    sources = list(dict.fromkeys(passage["source"] for row in examples for passage in row.get("gold", ())))
    return f"example questions, made from {' and '.join(sources)}" if sources else "example questions"


def _configuration(folder: Folder, examples: Sequence[Mapping[str, Any]]) -> str:
    metrics = ["refusal = 1.0", "groundedness = 0.8"]
    if any("gold" in row for row in examples):
        metrics.insert(0, "hit_rate = 1.0")
    if any("reference" in row for row in examples) or not examples:
        metrics.append('reference_coverage = "report"')
    documents = f"documents = {json.dumps(list(folder.documents), ensure_ascii=False)}"
    return _filled(
        "ragcheck.toml",
        questions=f"questions = {json.dumps(_relative(question_file(folder), folder.root), ensure_ascii=False)}",
        documents=documents if folder.documents else '# documents = ["docs/**/*.md"]',
        metrics="\n".join(metrics),
    )


def _questions(examples: Sequence[Mapping[str, Any]]) -> str:
    if examples:
        return question_yaml(examples, comment=_QUESTIONS + _FROM_DOCUMENTS)
    return question_yaml(_WITHOUT_DOCUMENTS, comment=_QUESTIONS)


def _workflow(folder: Folder) -> NewFile:
    root = _repository(folder.root)
    place = "" if root == folder.root else _relative(folder.root, root)
    packages = ['"pytest-ragcheck[rag]"']
    if (folder.root / "requirements.txt").is_file():
        packages.append("-r requirements.txt")
    if _is_a_package(folder.root):
        packages.insert(0, "-e .")
    content = _filled(
        "workflow.yml",
        defaults=_HEADING_OF_DEFAULTS.format(folder=json.dumps(place, ensure_ascii=False)) if place else "",
        state=json.dumps(f"{place}/.ragcheck", ensure_ascii=False) if place else ".ragcheck",
        install=" ".join(packages),
        tests="" if folder.tests == folder.root else f" {_relative(folder.tests, folder.root)}",
    )
    name = f"ragcheck-{place.replace('/', '-')}.yml" if place else "ragcheck.yml"
    return NewFile(root / ".github" / "workflows" / name, content, "runs it for every pull request")


def _repository(folder: Path) -> Path:
    """The git repository's root, where GitHub looks for workflows; without one, the folder itself."""
    return next((place for place in (folder, *folder.parents) if (place / ".git").exists()), folder)


def _is_a_package(root: Path) -> bool:
    try:
        return "[project]" in (root / "pyproject.toml").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _filled(name: str, **values: str) -> str:
    template = resources.files("pytest_ragcheck.commands.init").joinpath("templates", name).read_text(encoding="utf-8")
    return Template(template).substitute(values)

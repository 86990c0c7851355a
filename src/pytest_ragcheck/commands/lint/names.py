"""Names: of metrics and of tags."""

from __future__ import annotations

import os
import re
from collections import Counter
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.lint.findings import Finding, Level, error_at, warning_at
from pytest_ragcheck.errors import did_you_mean
from pytest_ragcheck.metrics.registry import metric_names, required_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_ragcheck.commands.lint.material import Material
    from pytest_ragcheck.model import Question

__all__ = ["check_metrics", "check_tags", "check_thresholds"]

_USUAL = 3
"""Questions that have a tag before another one is taken for a misspelling of it."""
_NEAR = 0.8
_INPUTS = ("gold", "reference", "must_contain")


def check_metrics(material: Material) -> Iterator[Finding]:
    """Configured metrics that do not exist, or that no question has the input for."""
    for name in material.settings.metrics:
        place = material.place("metrics", name)
        if name not in metric_names():
            if not _is_of_the_user(name, material.settings.root):
                told = f"unknown metric {name!r}{did_you_mean(name, metric_names())}"
                yield Finding(Level.ERROR, place, "metric", told)
            continue
        missing = [need for need in _needs(name) if not any(getattr(one, need) for one in material.questions)]
        if missing and material.questions:
            told = f"metric {name!r} needs {' and '.join(missing)}, and no question of {material.name} has any"
            yield Finding(Level.ERROR, place, "metric", told, "write some, or leave the metric out")


def check_thresholds(material: Material) -> Iterator[Finding]:
    """A question's own thresholds: of metrics that do not exist, or that do not apply to it."""
    for question in material.questions:
        for name in question.thresholds:
            if name not in metric_names():
                if not _is_of_the_user(name, material.settings.root):
                    told = f"unknown metric {name!r}{did_you_mean(name, metric_names())}"
                    yield error_at(question, "thresholds", told, "")
            elif missing := _missing(question, name):
                told = f"{name!r} does not apply to a question without {missing}"
                yield warning_at(question, "thresholds", told, f"write {missing}, or take the threshold out")


def check_tags(material: Material) -> Iterator[Finding]:
    """Rare tags that are spelled nearly like usual ones."""
    uses = Counter(tag for question in material.questions for tag in question.tags)
    usual = [tag for tag, count in uses.items() if count >= _USUAL]
    for question in material.questions:
        for tag in question.tags:
            if uses[tag] > 1:
                continue
            near = [other for other in usual if _plain(other) == _plain(tag)] or get_close_matches(tag, usual, 1, _NEAR)
            if near:
                told = f"the tag {tag!r} is used once, {near[0]!r} {uses[near[0]]} times"
                yield warning_at(question, "tags", told, f"did you mean {near[0]!r}?")


def _needs(name: str) -> list[str]:
    return [need for need in _INPUTS if need in required_inputs(name)]


def _missing(question: Question, metric: str) -> str:
    return " and ".join(need for need in _needs(metric) if not getattr(question, need))


def _plain(tag: str) -> str:
    return re.sub(r"[\W_]", "", tag.casefold()).removesuffix("s")


def _is_of_the_user(name: str, root: Path) -> bool:
    """Whether a module below ``root`` holds the name: it may define the metric when pytest imports it."""
    word = re.compile(rf"\b{re.escape(name)}\b")
    for place, folders, files in os.walk(root):
        folders[:] = [folder for folder in folders if not _is_left_out(Path(place, folder))]
        modules = (Path(place, file) for file in files if file.endswith(".py"))
        if any(word.search(module.read_text(encoding="utf-8", errors="replace")) for module in modules):
            return True
    return False


def _is_left_out(folder: Path) -> bool:
    return folder.name.startswith(".") or folder.name == "node_modules" or (folder / "pyvenv.cfg").exists()

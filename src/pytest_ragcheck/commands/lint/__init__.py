"""``lint``: what is wrong with questions, told before money is spent on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.output import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Sequence

    from pytest_ragcheck.commands.lint.findings import Finding, Level
    from pytest_ragcheck.commands.lint.material import Material

    Check = Callable[[Material], Iterator[Finding]]

__all__ = ["add_parser"]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``python -m pytest_ragcheck``."""
    parser = commands.add_parser(
        "lint",
        help="check questions: stale gold, unsupported references, near-duplicates, leaks, misspelt names",
        description="Checks question files against the documents and the configuration; nothing is asked of a model. "
        "The exit code is 1 if there are errors.",
    )
    parser.add_argument(
        "questions", nargs="*", type=Path, metavar="QUESTIONS", help="question files (default: the configured one)"
    )
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument(
        "--embeddings",
        action="store_true",
        help="find near-duplicates by meaning, with the configured embedder (default: by words)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from pytest_ragcheck.commands.lint.findings import Level

    levels: set[Level] = set()
    for path in options.questions or [None]:
        levels |= _told(path, by_meaning=options.embeddings)
    return int(Level.ERROR in levels or (options.strict and Level.WARNING in levels))


def _told(path: Path | None, *, by_meaning: bool) -> set[Level]:
    """Check one question file and print what was found; the levels of it."""
    from pytest_ragcheck.commands.lint.material import read_material

    material, findings = read_material(None if path is None else Path.cwd() / path, Path.cwd())
    for check in _checks(by_meaning=by_meaning):
        findings += check(material)
    for finding in sorted(findings, key=lambda one: one.order):
        say(finding.line())
    say(_summary(material, findings, by_meaning=by_meaning))
    return {finding.level for finding in findings}


def _checks(*, by_meaning: bool) -> Sequence[Check]:
    from pytest_ragcheck.commands.lint.duplicates import check_duplicates_by_meaning, check_duplicates_by_words
    from pytest_ragcheck.commands.lint.gold import check_ambiguous_gold, check_gold, check_missing_gold
    from pytest_ragcheck.commands.lint.leaks import check_leaks
    from pytest_ragcheck.commands.lint.names import check_metrics, check_tags, check_thresholds
    from pytest_ragcheck.commands.lint.support import check_facts, check_references

    return (
        check_gold,
        check_missing_gold,
        check_ambiguous_gold,
        check_references,
        check_facts,
        check_duplicates_by_meaning if by_meaning else check_duplicates_by_words,
        check_leaks,
        check_metrics,
        check_thresholds,
        check_tags,
    )


def _summary(material: Material, findings: Sequence[Finding], *, by_meaning: bool) -> str:
    from pytest_ragcheck.commands.lint.findings import Level
    from pytest_ragcheck.report.figures import plural

    levels = [finding.level for finding in findings]
    counts = [plural(levels.count(level), level) for level in Level if level in levels]
    documents = "no documents to compare with"
    if material.documents is not None:
        documents = f"compared with {plural(len(material.documents), 'document')}"
    how = "near-duplicates by meaning" if by_meaning else "near-duplicates by words; --embeddings finds them by meaning"
    questions = plural(len(material.questions), "question")
    return f"{material.name}: {questions}, {documents}: {', '.join(counts) or 'nothing found'} ({how})"

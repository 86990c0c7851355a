"""``doctor``: what of the environment would keep a run from working, one line each, with a remedy."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.output import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from pytest_ragcheck.commands.doctor.findings import Finding
    from pytest_ragcheck.commands.doctor.patient import Patient

    Check = Callable[[Patient], Iterator[Finding]]

__all__ = ["CHECKS", "add_parser"]

CHECKS = ("python", "packages", "imports", "configuration", "store", "key", "api", "pytest", "deepeval", "models")
"""In the order in which they are made."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``python -m pytest_ragcheck``."""
    parser = commands.add_parser(
        "doctor",
        help="check the environment: packages, key, API, models, pytest, configuration, store",
        description="Checks what a run needs, and tells how to mend what is missing. The exit code is 1 if anything "
        "FAILED.",
    )
    parser.add_argument("--offline", action="store_true", help="do not call the API")
    parser.add_argument(
        "--only",
        type=_names,
        default=CHECKS,
        metavar="CHECKS",
        help=f"only these, separated by commas: {', '.join(CHECKS)}",
    )
    parser.set_defaults(run=_run)


def _names(text: str) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in CHECKS:
            raise argparse.ArgumentTypeError(f"unknown check {name!r}; known: {', '.join(CHECKS)}")
    return tuple(name for name in CHECKS if name in names)


def _run(options: argparse.Namespace) -> int:
    from pytest_ragcheck.commands.doctor.findings import Verdict
    from pytest_ragcheck.commands.doctor.patient import Patient

    patient = Patient(Path.cwd(), offline=options.offline)
    checks = _checks()
    verdicts = []
    for name in options.only:
        for finding in _made(name, checks[name], patient):
            line = " ".join(finding.line().split("\n"))
            say(line, mark=f"{finding.verdict:<8} ", style=finding.verdict.style)
            verdicts.append(finding.verdict)
    say(_summary(verdicts))
    return int(Verdict.FAILED in verdicts)


def _checks() -> Mapping[str, Check]:
    from pytest_ragcheck.commands.doctor.access import check_api, check_key
    from pytest_ragcheck.commands.doctor.models import check_models
    from pytest_ragcheck.commands.doctor.packages import check_imports, check_packages, check_python
    from pytest_ragcheck.commands.doctor.project import check_configuration, check_store
    from pytest_ragcheck.commands.doctor.pytest_checks import check_deepeval, check_pytest

    checks = (
        check_python,
        check_packages,
        check_imports,
        check_configuration,
        check_store,
        check_key,
        check_api,
        check_pytest,
        check_deepeval,
        check_models,
    )
    return dict(zip(CHECKS, checks, strict=True))


def _made(name: str, check: Check, patient: Patient) -> Iterator[Finding]:
    """The findings; an environment may be broken in ways that no check foresees."""
    from pytest_ragcheck.commands.doctor.findings import failed

    try:
        yield from check(patient)
    except Exception as problem:  # noqa: BLE001 (told as a finding)
        cause = " ".join(f"{type(problem).__name__}: {problem}".split())
        yield failed(name, f"could not be checked ({cause})", "look at what the lines above say")


def _summary(verdicts: Iterable[str]) -> str:
    from pytest_ragcheck.commands.doctor.findings import Verdict
    from pytest_ragcheck.report.figures import plural

    counted = list(verdicts)
    failures, warnings = counted.count(Verdict.FAILED), counted.count(Verdict.WARNED)
    if not failures and not warnings:
        return "all is well"
    return f"{plural(failures, 'failure')}, {plural(warnings, 'warning')}"

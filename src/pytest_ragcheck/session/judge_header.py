"""The line at the start of a run that says whether its judge was ever compared with people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import RagcheckError
from pytest_ragcheck.metrics.registry import metric_names, required_inputs
from pytest_ragcheck.rag.importing import is_import_path
from pytest_ragcheck.safe_text import one_line
from pytest_ragcheck.session.config import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.session.options import Options

__all__ = ["JudgeHeader"]


class JudgeHeader:
    """A plugin that tells of the judges of the configurations that the arguments lead to."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def pytest_report_header(self, config: pytest.Config) -> list[str]:
        """A line for each configuration that has a judge and judged metrics; what is wrong is told elsewhere."""
        lines = []
        for settings in _settings_of(config):
            judged = [name for name in settings.metrics if _is_judged(name) and self._is_measured(name)]
            if settings.judge is not None and judged:
                lines.append(_line(settings, settings.judge, judged))
        return lines

    def _is_measured(self, name: str) -> bool:
        return self._options.metrics is None or name in self._options.metrics


def _settings_of(config: pytest.Config) -> Iterator[Settings]:
    invocation = config.invocation_params.dir
    places = dict.fromkeys(invocation / Path(argument.partition("::")[0]) for argument in config.args)
    roots = set()
    for place in places:
        try:
            settings = load_settings(place if place.is_dir() else place.parent, invocation=invocation)
        except (RagcheckError, OSError):
            continue
        if settings.root not in roots:
            roots.add(settings.root)
            yield settings


def _is_judged(name: str) -> bool:
    return "judge" in required_inputs(name) if name in metric_names() else is_import_path(name)


def _line(settings: Settings, judge: str, judged: list[str]) -> str:
    from pytest_ragcheck.metrics.judged.calibration import FILE_NAME, load_calibrations, told
    from pytest_ragcheck.metrics.judged.kinds import judging_digest
    from pytest_ragcheck.metrics.judged.library import version
    from pytest_ragcheck.metrics.judged.settings import named_judge

    named = named_judge(judge)
    try:
        known = told(
            load_calibrations(settings.root / FILE_NAME),
            judge=named,
            judging=judging_digest(settings.judging),
            deepeval=version(),
            metrics=judged,
        )
    except (RagcheckError, ImportError) as problem:
        known = str(problem)
    return one_line(f"ragcheck: judge {named}: {known}")

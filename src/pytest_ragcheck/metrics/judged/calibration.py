"""What is known of how a judge agrees with people, and the file in which it is kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.atomic_files import write_atomically
from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.metrics.judged.agreement import Agreement
from pytest_ragcheck.store import Fields
from pytest_ragcheck.strict_json import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["FILE_NAME", "Calibration", "load_calibrations", "save_calibration", "told"]

FILE_NAME = "ragcheck-calibration.json"
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """One judge, under one way of judging, against people."""

    judge: str
    """As the configuration names it."""
    judging: str
    """A digest of the settings that can change a score."""
    deepeval: str
    date: str
    """ISO 8601, UTC."""
    metrics: Mapping[str, Agreement]

    @property
    def key(self) -> tuple[str, str]:
        """A calibration takes the place of an earlier one of the same key."""
        return self.judge, self.judging


def load_calibrations(path: Path) -> tuple[Calibration, ...]:
    """All that the file holds; none where it is not there. ConfigurationError where it cannot be read."""
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, RecursionError) as problem:
        raise ConfigurationError(f"{path}: cannot be read ({problem}); delete it and calibrate again") from None
    try:
        if content["version"] != VERSION:
            raise ConfigurationError(f"{path}: of version {content['version']!r}, this is {VERSION}; calibrate again")
        return tuple(_from_plain(plain) for plain in content["calibrations"])
    except (KeyError, TypeError, AttributeError, ValueError):
        raise ConfigurationError(f"{path}: not a calibration file; delete it and calibrate again") from None


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Put it into the file, in the place of an earlier one of the same judge and settings."""
    others = [one for one in load_calibrations(path) if one.key != calibration.key]
    in_order = sorted([*others, calibration], key=lambda one: one.key)
    content = {"version": VERSION, "calibrations": [_plain(one) for one in in_order]}
    write_atomically(path, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode(), shared=True)


def told(
    calibrations: Iterable[Calibration], *, judge: str, judging: str, deepeval: str, metrics: Iterable[str]
) -> str:
    """In one line, what is known of the judge for these metrics."""
    of_judge = [one for one in calibrations if one.judge == judge]
    found = next((one for one in of_judge if one.judging == judging), None)
    if found is None:
        return "calibrated under other settings only" if of_judge else "never calibrated"
    names = list(metrics)
    known = [name for name in names if name in found.metrics]
    if not known:
        return f"never calibrated for {', '.join(names)}"
    kappas = ", ".join(f"{name} {_figure(found.metrics[name].kappa)}" for name in known)
    parts = [f"calibrated on {_answers(found.metrics[name].answers for name in known)} ({found.date}): kappa {kappas}"]
    if unknown := [name for name in names if name not in known]:
        parts.append(f"never for {', '.join(unknown)}")
    if found.deepeval != deepeval:
        parts.append(f"with deepeval {found.deepeval}")
    return "; ".join(parts)


def _answers(counts: Iterable[int]) -> str:
    least, most = min(every := list(counts)), max(every)
    return f"{most} answers" if least == most else f"{least} to {most} answers"


def _figure(kappa: float | None) -> str:
    return "unknown" if kappa is None else f"{kappa:.2f}"


def _plain(calibration: Calibration) -> dict[str, Any]:
    plain = asdict(calibration)
    for figures in plain["metrics"].values():
        for name, value in figures.items():
            if isinstance(value, float):
                figures[name] = round(value, 4)
            elif isinstance(value, tuple):
                figures[name] = [round(end, 4) for end in value]
    return plain


def _from_plain(plain: Mapping[str, Any]) -> Calibration:
    fields = Fields(plain)
    return Calibration(
        judge=fields.text("judge"),
        judging=fields.text("judging"),
        deepeval=fields.text("deepeval"),
        date=fields.text("date"),
        metrics={name: _agreement(Fields(figures)) for name, figures in plain["metrics"].items()},
    )


def _agreement(fields: Fields) -> Agreement:
    return Agreement(
        threshold=fields.number("threshold", 0.0, 1.0),
        both_pass=fields.count("both_pass"),
        judge_fails=fields.count("judge_fails"),
        judge_passes=fields.count("judge_passes"),
        both_fail=fields.count("both_fail"),
        kappa=fields.optional_number("kappa", -1.0, 1.0),
        kappa_interval=_interval(fields, "kappa_interval"),
        rho=fields.optional_number("rho", -1.0, 1.0),
        rho_interval=_interval(fields, "rho_interval"),
    )


def _interval(fields: Fields, name: str) -> tuple[float, float] | None:
    ends = fields.numbers(name)
    if ends is None:
        return None
    low, high = ends
    return low, high

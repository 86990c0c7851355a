"""The page: templates, style and scripts put together, and nothing in it that could run but our own script."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from importlib import metadata
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pytest_ragcheck.model import State
from pytest_ragcheck.report import figures, gate_words
from pytest_ragcheck.report.gate import STYLES
from pytest_ragcheck.report.html.encoding import block_of
from pytest_ragcheck.report.html.overview import overview
from pytest_ragcheck.report.html.payload import payload
from pytest_ragcheck.report.html.timeline import HEIGHT, WIDTH, timeline
from pytest_ragcheck.report.textual import printable, shorten

if TYPE_CHECKING:
    from jinja2 import Environment

    from pytest_ragcheck.comparison import Comparison
    from pytest_ragcheck.model import Run

__all__ = ["html_report"]

_STYLES = ("base", "overview", "questions", "question", "timeline", "print")
_HEAD_SCRIPTS = ("theme",)
_SCRIPTS = (
    "words",
    "dom",
    "data",
    "texts",
    "filters",
    "form",
    "table",
    "contexts",
    "metrics",
    "trials",
    "differences",
    "calls",
    "question",
    "times",
    "routes",
    "main",
)
_FAVICON = (
    "data:image/svg+xml,"
    "%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='4' "
    "fill='%231f5fbf'/%3E%3Cpath d='m4 8.4 2.8 2.8L12 5.2' fill='none' stroke='white' stroke-width='2'/%3E%3C/svg%3E"
)


def html_report(run: Run, comparison: Comparison | None = None, *, sequential: Run | None = None) -> str:
    """The report of ``run`` as the text of an HTML file; to be written in UTF-8.

    ``comparison`` adds the gate's verdict and what changed against the baseline. ``sequential`` is a run of the same
    questions one after another, whose timeline is set beside that of ``run``.
    """
    from markupsafe import Markup

    data = payload(run, comparison)
    block = block_of(data.text)
    style, head_script, script = _style(), _script(_HEAD_SCRIPTS), _script(_SCRIPTS)
    identities = [(result.question.dataset, result.question.id, result.variant) for result in run.results]
    # Marked as safe: our own files, and data that holds no character that means anything in HTML.
    return (
        _environment()
        .get_template("report.html")
        .render(
            run=run,
            comparison=comparison,
            view=overview(run, comparison),
            times=timeline(run, sequential),
            started=_moment(run.started_at),
            links={
                identity: f"#/question/{_fragment(key)}" for identity, key in zip(identities, data.keys, strict=True)
            },
            data=block,
            data_text=Markup(block.text),  # noqa: S704
            style=Markup(style),  # noqa: S704
            head_script=Markup(head_script),  # noqa: S704
            script=Markup(script),  # noqa: S704
            policy=Markup(_policy(style, head_script, script)),  # noqa: S704
        )
    )


def _policy(style: str, *scripts: str) -> str:
    """What the page may do: run and be styled by just these texts, show images that stand in it, and nothing else."""
    allowed = " ".join(map(_digest, scripts))
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_digest(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


@lru_cache(maxsize=1)
def _style() -> str:
    return "\n".join(_file(f"styles/{name}.css") for name in _STYLES)


@lru_cache(maxsize=2)
def _script(names: tuple[str, ...]) -> str:
    """The scripts in one scope of their own."""
    parts = "\n".join(_file(f"scripts/{name}.js") for name in names)
    return f'(() => {{\n"use strict";\n{parts}}})();'


def _file(name: str) -> str:
    return files("pytest_ragcheck.report").joinpath("templates", *name.split("/")).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pytest_ragcheck.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"fragment": _fragment, "short": shorten, "slug": _slug}
    environment.globals |= {
        "change": figures.change,
        "favicon": _FAVICON,
        "interval": figures.interval,
        "lane_size": (WIDTH, HEIGHT),
        "plural": figures.plural,
        "seconds": figures.seconds,
        "states": list(State),
        "styles": STYLES,
        "value": figures.value,
        "version": metadata.version("pytest-ragcheck"),
        "words": gate_words,
    }
    return environment


def _visible(value: Any) -> Any:
    """Texts as :func:`printable` shows them; what is marked as safe is ours."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _fragment(text: str) -> str:
    """``text`` as a part of the page's addresses, as the scripts read it: printable first."""
    return quote(printable(text), safe="")


def _moment(started_at: str) -> str:
    """``2026-11-22 15:18 UTC``; what is no such time, as it is."""
    try:
        moment = datetime.fromisoformat(started_at).astimezone(UTC)
    except ValueError:
        return started_at
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _slug(text: str) -> str:
    return re.sub(r"\W+", "-", text)

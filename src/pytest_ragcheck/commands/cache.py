"""``cache``: the size of the store of model replies and embeddings, and what to drop from it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.output import complain, say
from pytest_ragcheck.report import figures
from pytest_ragcheck.report.figures import plural

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_ragcheck.store import Store

__all__ = ["add_parser"]

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``python -m pytest_ragcheck``."""
    cache = commands.add_parser("cache", help="the store of model replies and embeddings")
    actions = cache.add_subparsers(required=True, metavar="ACTION")
    _action(actions.add_parser("size", help="print what it holds"), _size)
    prune = _action(actions.add_parser("prune", help="drop what was not used lately"), _prune)
    prune.add_argument(
        "--older-than", required=True, type=_duration, metavar="AGE", help="such as 30d; units: s, m, h, d, w"
    )
    _action(actions.add_parser("clear", help="drop everything"), _clear)


def _action(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser.add_argument(
        "--path",
        type=Path,
        default=Path(".ragcheck") / "cache.sqlite",
        help="the store's file (default: %(default)s)",
    )
    parser.set_defaults(run=run)
    return parser


def _duration(text: str) -> float:
    try:
        seconds = float(text[:-1]) * UNITS[text[-1:]]
    except (ValueError, KeyError):
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no age; write 30d, 12h or 2w")
    return seconds


def _size(options: argparse.Namespace) -> int:
    with _store(options) as store:
        size = store.size()
    for kind, entries in size.entries.items():
        say(f"{kind}: {plural(entries, 'entry', 'entries')}, {figures.size(size.value_bytes[kind])}")
    say(f"{options.path}: {figures.size(size.file_bytes)} on disk")
    return 0


def _prune(options: argparse.Namespace) -> int:
    with _store(options) as store:
        say(f"{options.path}: {plural(store.prune(older_than=options.older_than), 'entry', 'entries')} dropped")
    return 0


def _clear(options: argparse.Namespace) -> int:
    with _store(options) as store:
        say(f"{options.path}: {plural(store.clear(), 'entry', 'entries')} dropped")
    return 0


def _store(options: argparse.Namespace) -> Store:
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.store import Store

    if not options.path.is_file():
        raise ConfigurationError(f"{options.path}: no such store; name it with --path")
    store = Store(options.path)
    for notice in store.notices:
        complain(notice)
    return store

"""``python -m pytest_ragcheck``: what is done beside test runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytest_ragcheck.store import Store

__all__ = ["main"]

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
USAGE_ERROR = 4
"""pytest's exit code for the same."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code."""
    from pytest_ragcheck.errors import RagcheckError

    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except RagcheckError as problem:
        sys.stderr.write(f"{problem}\n")
        return USAGE_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pytest_ragcheck", description="Look after what test runs keep.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    cache = commands.add_parser("cache", help="the store of model replies and embeddings")
    actions = cache.add_subparsers(required=True, metavar="ACTION")
    _action(actions.add_parser("size", help="print what it holds"), _size)
    prune = _action(actions.add_parser("prune", help="drop what was not used lately"), _prune)
    prune.add_argument(
        "--older-than", required=True, type=_duration, metavar="AGE", help="such as 30d; units: s, m, h, d, w"
    )
    _action(actions.add_parser("clear", help="drop everything"), _clear)
    return parser


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
        _say(f"{kind}: {entries} entries, {_megabytes(size.value_bytes[kind])}")
    _say(f"{options.path}: {_megabytes(size.file_bytes)} on disk")
    return 0


def _prune(options: argparse.Namespace) -> int:
    with _store(options) as store:
        _say(f"{options.path}: {store.prune(older_than=options.older_than)} entries dropped")
    return 0


def _clear(options: argparse.Namespace) -> int:
    with _store(options) as store:
        _say(f"{options.path}: {store.clear()} entries dropped")
    return 0


def _store(options: argparse.Namespace) -> Store:
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.store import Store

    if not options.path.is_file():
        raise ConfigurationError(f"{options.path}: no such store; name it with --path")
    store = Store(options.path)
    for notice in store.notices:
        sys.stderr.write(f"{notice}\n")
    return store


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())

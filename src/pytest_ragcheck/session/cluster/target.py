"""Where the questions are answered, as the command line says it."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from pytest_ragcheck.session.roles import is_worker

if TYPE_CHECKING:
    from pytest_ragcheck.session.options import Options

__all__ = ["LOCAL", "RAY", "check_engine", "engine_target"]

LOCAL = "local"
RAY = "ray"
_CLIENT = "ray://"


def engine_target(text: str) -> str:
    """The option's value; ArgumentTypeError for what names no engine."""
    host, _, port = text.removeprefix(_CLIENT).rpartition(":")
    if text in {LOCAL, RAY} or (text.startswith(_CLIENT) and host and port.isdecimal()):
        return text
    raise argparse.ArgumentTypeError(f"expected local, ray or ray://HOST:PORT, got {text!r}")


def check_engine(config: pytest.Config, options: Options) -> None:
    """Raise UsageError where the questions cannot go to a cluster."""
    if options.engine == LOCAL:
        if options.actors is not None:
            raise pytest.UsageError("ragcheck: --ragcheck-actors is for a Ray cluster; add --ragcheck-engine ray")
        return
    if is_worker(config) or config.getoption("dist", "no") != "no":
        raise pytest.UsageError(
            f"ragcheck: --ragcheck-engine {options.engine} divides the questions already; leave out pytest-xdist's -n"
        )
    if find_spec("ray") is None:
        raise pytest.UsageError(
            f'ragcheck: --ragcheck-engine {options.engine} needs Ray: pip install "pytest-ragcheck[ray]"'
        )
    if options.engine.startswith(_CLIENT) and find_spec("grpc") is None:
        raise pytest.UsageError(
            f'ragcheck: --ragcheck-engine {options.engine} needs Ray\'s client: pip install "ray[client]"'
        )

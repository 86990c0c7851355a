"""How many processes of a run answer questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_ragcheck.session.roles import worker_count

if TYPE_CHECKING:
    import pytest

    from pytest_ragcheck.session.options import Options

__all__ = ["Sharing", "sharing_of"]


@dataclass(frozen=True, slots=True)
class Sharing:
    """``processes`` answer questions at the same time."""

    processes: int = 1

    def seats(self, cap: int | None) -> int:
        """How many processes may call at the same time where at most ``cap`` calls may be in flight."""
        return self.processes if cap is None else min(self.processes, cap)


def sharing_of(config: pytest.Config, options: Options) -> Sharing:
    """Among how many processes the questions are divided.

    One call at a time needs one process, and what a plan counts once must be known to one.
    """
    return Sharing(1 if options.sequential or options.plan else worker_count(config))

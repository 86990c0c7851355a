"""Who owns a claim: a process on a machine, told from another that later has the same id."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

__all__ = ["is_alive", "pid_of", "process_identity"]


def process_identity(pid: int | None = None) -> str:
    """``place|pid|start``: names one process on one machine for good, although process ids are used again."""
    pid = os.getpid() if pid is None else pid
    return f"{_place()}|{pid}|{_start_of(pid)}"


@cache
def _place() -> str:
    """What process ids are unique in: a machine since its start, and a process namespace of it."""
    parts = [os.uname().nodename if hasattr(os, "uname") else ""]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return "/".join(parts)


def _start_of(pid: int) -> str:
    """When a process started, as the system tells it; "" where it does not, or the process has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def pid_of(owner: str) -> int:
    """The id of an owner's process, on its machine."""
    return int(owner.split("|")[1])


def is_alive(owner: str) -> bool:
    """Whether an owner's process may still be there; of another machine's nothing is known, so: yes.

    False for a text that names no owner: it comes from a damaged store.
    """
    place, pid, start = [*owner.split("|"), "", ""][:3]
    if place != _place():
        return pid != ""
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return _start_of(int(pid)) == start

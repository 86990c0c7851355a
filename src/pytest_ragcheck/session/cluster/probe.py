"""Whether anything like a Ray cluster answers at an address: Ray itself waits for minutes, or for ever."""

from __future__ import annotations

import os
import re
import socket

__all__ = ["trouble_at"]

PATIENCE = 10.0
"""Seconds to connect, and seconds to reply."""
_ADDRESS = re.compile(r"(?:ray://)?(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:/\[\]]+)):(?P<port>\d+)/?")
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""What an HTTP/2 client begins with (RFC 9113, 3.4): Ray's servers speak gRPC."""
_SETTINGS = 4
_HEAD = 9
"""Bytes of a frame's head; the fourth is its type."""


def trouble_at(address: str) -> str | None:
    """What is wrong with ``host:port`` or ``ray://host:port``; None where a gRPC server answers, or it is neither."""
    found = _ADDRESS.fullmatch(address)
    if found is None:
        return None
    try:
        with socket.create_connection((found["six"] or found["host"], int(found["port"])), timeout=PATIENCE) as there:
            if os.environ.get("RAY_USE_TLS", "0") in {"1", "true", "True"}:
                return None
            there.sendall(_GREETING)
            head = there.recv(_HEAD)
    except TimeoutError:
        return f"no answer within {PATIENCE:g} s"
    except (OSError, OverflowError) as problem:
        return f"{(isinstance(problem, OSError) and problem.strerror) or problem}"
    is_grpc = len(head) == _HEAD and head[3] == _SETTINGS
    return None if is_grpc else "what listens there is no Ray cluster"

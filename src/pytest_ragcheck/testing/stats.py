"""What a rehearsed model API saw and did: counts, and one line per request. Keys and texts are never kept."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.testing.seconds import count_by_second

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CLIENT_GONE", "MESSAGES_PATH", "Exchange", "Ledger", "Stats"]

CLIENT_GONE = "client_gone"
"""The outcome of a request whose client closed the connection before the answer."""
MESSAGES_PATH = "/v1/messages"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One request; times are those of ``time.monotonic()``."""

    number: int
    """Counted from 1 in order of arrival."""
    request_id: str
    method: str
    path: str
    arrival: float
    finish: float | None
    """Just before the last byte was sent, or when the client was gone; None while it is being worked on."""
    status: int | None
    """The HTTP status that was sent; None where none was, or not yet."""
    outcome: str
    """``reply``; a fault's name; ``over_*`` for a limit; ``client_gone``; ``not_found``, ``invalid``,
    ``wrong_key``, ``reply_error``; ``pending`` while nothing else is known."""
    model: str | None
    digest: str
    """SHA-256 of the request's body, hexadecimal."""
    attempt: int
    """How often this body was let past the limits, this time included; 0 where it was not."""
    latency: float
    """Seconds that the answer was made to take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """A snapshot. Requests are those to ``/v1/...``; in flight are those to ``/v1/messages`` that passed the limits."""

    requests: int
    replies: int
    """Messages that were sent whole."""
    in_flight: int
    peak_in_flight: int
    by_status: Mapping[int, int]
    by_outcome: Mapping[str, int]
    """Finished requests and those whose fault is known already (a hang counts as soon as it hangs)."""
    distinct_bodies: int
    """Different bodies that were posted to ``/v1/messages``."""
    connections: int
    """Connections that clients have opened since the server started."""
    open_connections: int
    log: tuple[Exchange, ...]

    def as_json(self, *, log: bool = False, seconds: bool = False) -> dict[str, Any]:
        """Plain JSON values; with ``log`` also every request, with ``seconds`` the counts of each second."""
        values = asdict(self)
        values["by_status"] = {str(status): count for status, count in sorted(self.by_status.items())}
        if not log:
            del values["log"]
        if seconds:
            calls = [line for line in self.log if line.path == MESSAGES_PATH]
            values["seconds"] = [asdict(one) for one in count_by_second(calls, now=time.monotonic())]
        return values


@dataclass(slots=True)
class OpenExchange:
    """A line of the ledger while it may still change; see :class:`Exchange`."""

    number: int
    request_id: str
    method: str
    path: str
    arrival: float
    digest: str
    finish: float | None = None
    status: int | None = None
    outcome: str = "pending"
    model: str | None = None
    attempt: int = 0
    latency: float = 0.0
    in_flight: bool = False

    def frozen(self) -> Exchange:
        """The line as it stands."""
        return Exchange(
            number=self.number,
            request_id=self.request_id,
            method=self.method,
            path=self.path,
            arrival=self.arrival,
            finish=self.finish,
            status=self.status,
            outcome=self.outcome,
            model=self.model,
            digest=self.digest,
            attempt=self.attempt,
            latency=self.latency,
        )


class Ledger:
    """Keeps the lines; written by the server's thread, read by any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[OpenExchange] = []
        self._attempts: Counter[str] = Counter()
        self._served = 0
        self._in_flight = 0
        self._peak = 0

    @property
    def in_flight(self) -> int:
        """Requests to ``/v1/messages`` that are being worked on."""
        return self._in_flight

    @property
    def began(self) -> float:
        """When the first request arrived."""
        with self._lock:
            return self._lines[0].arrival if self._lines else time.monotonic()

    def begin(self, method: str, path: str, digest: str) -> OpenExchange:
        """A request has arrived."""
        with self._lock:
            self._served += 1
            request_id = f"req_loopback_{self._served:08d}"
            line = OpenExchange(len(self._lines) + 1, request_id, method, path, time.monotonic(), digest)
            self._lines.append(line)
        return line

    def admit(self, line: OpenExchange) -> None:
        """The request has passed the limits and counts as in flight until it is finished."""
        with self._lock:
            self._attempts[line.digest] += 1
            line.attempt = self._attempts[line.digest]
            line.in_flight = True
            self._in_flight += 1
            self._peak = max(self._peak, self._in_flight)

    def finish(self, line: OpenExchange, *, status: int | None = None) -> None:
        """The answer is as good as sent (with ``status``), or nobody waits for it; a second call changes nothing."""
        with self._lock:
            if line.finish is not None:
                return
            line.finish = time.monotonic()
            if status is not None:
                line.status = status
            if line.outcome == "pending":
                line.outcome = CLIENT_GONE
            if line.in_flight:
                line.in_flight = False
                self._in_flight -= 1

    def reset(self) -> None:
        """Forget every request, also how often each body was sent; what is in flight stays in flight."""
        with self._lock:
            self._lines.clear()
            self._attempts.clear()
            self._peak = self._in_flight

    def snapshot(self, *, connections: int, open_connections: int) -> Stats:
        """The state of this moment."""
        with self._lock:
            log = tuple(line.frozen() for line in self._lines)
            in_flight, peak = self._in_flight, self._peak
        return Stats(
            requests=len(log),
            replies=sum(line.outcome == "reply" and line.path == MESSAGES_PATH for line in log),
            in_flight=in_flight,
            peak_in_flight=peak,
            by_status=dict(Counter(line.status for line in log if line.status is not None)),
            by_outcome=dict(Counter(line.outcome for line in log)),
            distinct_bodies=len({line.digest for line in log if line.path == MESSAGES_PATH}),
            connections=connections,
            open_connections=open_connections,
            log=log,
        )

"""What a rehearsed model API does wrong, how often, and for which request: decided by hashes, so that runs repeat."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from hashlib import blake2b
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["FAULTS", "REFUSALS", "STOP_REASONS", "ApiError", "Behaviour", "Draws", "RateHeaders", "Refusal", "Storm"]


class ApiError(Exception):
    """A request is answered with an error instead of a message.

    ``outcome`` is what the statistics count it as; ``headers`` are added to the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        outcome: str,
        error_code: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.outcome = outcome
        self.error_code = error_code
        self.headers = tuple(headers)

    def body(self, request_id: str) -> dict[str, Any]:
        """The error as the API writes it."""
        error: dict[str, Any] = {"type": self.kind, "message": str(self)}
        if self.error_code is not None:
            error["details"] = {"error_code": self.error_code}
        return {"type": "error", "error": error, "request_id": request_id}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A fault that is an HTTP status with the API's error body."""

    status: int
    kind: str
    message: str
    error_code: str | None = None
    after_latency: bool = False
    """False: refused at the door, at once; True: failed at work, after the latency of an answer."""


REFUSALS: Mapping[str, Refusal] = {
    "overloaded": Refusal(529, "overloaded_error", "Overloaded"),
    "server_error": Refusal(500, "api_error", "Internal server error", after_latency=True),
    "unavailable": Refusal(503, "api_error", "Service unavailable"),
    "gateway_timeout": Refusal(504, "timeout_error", "Request timed out", after_latency=True),
    "rate_limited": Refusal(429, "rate_limit_error", "This request would exceed your organization's rate limit"),
    "spend_limit": Refusal(
        429,
        "rate_limit_error",
        "Your organization has reached its spend limit for this month",
        error_code="enforced_spend_limit_reached",
    ),
    "bad_request": Refusal(400, "invalid_request_error", "messages: this request was refused on purpose"),
    "unauthorized": Refusal(401, "authentication_error", "invalid api key"),
    "forbidden": Refusal(403, "permission_error", "Your API key does not have permission to use this model"),
    "not_found": Refusal(404, "not_found_error", "model: not found"),
    "too_large": Refusal(413, "invalid_request_error", "Request exceeds the maximum size"),
}
"""Faults that are an HTTP status."""

FAULTS: Mapping[str, str] = {
    **{name: f"{refusal.status} {refusal.kind}" for name, refusal in REFUSALS.items()},
    "hang": "never answers; the connection stays open",
    "reset": "half of the body, then a TCP reset",
    "short_body": "half of the body that content-length promises, then an orderly close",
    "drip": "the body byte by byte, `drip_interval` seconds apart",
    "truncated_json": "200 whose JSON stops in the middle, with a content-length that fits",
    "wrong_content_type": "200 with an HTML page, as a proxy sends it",
    "huge_body": "200 with a message of `huge_bytes` bytes",
    "empty_reply": "200 with a message that has no content",
    "malformed_json": "200 with a message whose text stops in the middle although its stop_reason is end_turn",
    "miscounted": "200 with valid JSON whose lists have any length: a judge's verdicts are too few or too many",
}
"""Every fault by its name, with what it does."""

LIMITED = ("requests", "input_tokens", "output_tokens")
"""What may have a limit by the minute."""

STOP_REASONS: Mapping[str, str] = {
    "max_tokens": "the text stops in the middle",
    "model_context_window_exceeded": "the text stops in the middle",
    "refusal": "no content, stop_details says why",
}
"""Ends of a message other than end_turn that can be asked for."""


@dataclass(frozen=True, slots=True)
class Storm:
    """A period in which every request meets one fault; times are seconds since the first request."""

    fault: str
    start: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RateHeaders:
    """``anthropic-ratelimit-*`` headers that mislead; the limits themselves stay as they are."""

    refusals_only: bool = False
    """Send the headers with a 429 alone."""
    remaining: int | None = None
    """``requests-remaining``, whatever remains."""
    reset: float | None = None
    """Seconds from now to ``requests-reset``; below 0 it has passed already."""
    skew: float = 0.0
    """Seconds by which the server's clock is ahead of the true time, behind it where below 0."""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the API behaves; times are seconds, rates are shares of the requests from 0 to 1.

    Whether a request meets a fault, how long it takes and how its message ends follow from ``seed``, the bytes of its
    body and how often that body was sent before: a run repeats exactly, and a retry may fare better.
    """

    latency: float = 0.0
    """The median; latencies are log-normal."""
    model_latency: Mapping[str, float] = field(default_factory=dict)
    """Medians of single models, by name: a judge is often quicker than the model that answers."""
    latency_spread: float = 0.25
    """The standard deviation of the latency's logarithm; 0 makes all alike."""
    seed: int = 0
    requests_per_minute: float | None = None
    request_burst: int | None = None
    """Requests that may come at once under ``requests_per_minute``; None: a minute's worth."""
    fixed_window: bool = False
    """Refill ``request_burst`` all at once at the end of each window instead of one by one."""
    input_tokens_per_minute: float | None = None
    output_tokens_per_minute: float | None = None
    """Counted when a message is sent: a request is refused while the bucket holds no token."""
    max_in_flight: int | None = None
    max_in_flight_later: tuple[tuple[float, int], ...] = ()
    """Pairs of seconds since the first request and the ``max_in_flight`` that holds from then on, in this order."""
    retry_after: float | str | None = 1.0
    """``retry-after`` of a 429 whose end cannot be computed: seconds, any text, or None to leave it out."""
    retry_after_computed: bool = True
    """Send the true wait where a limit by the minute refuses; False: ``retry_after`` there too."""
    retry_after_date: bool = False
    """Write ``retry-after`` as an HTTP date."""
    retry_after_ms: bool = False
    """Send ``retry-after-ms`` beside ``retry-after``, which is in whole seconds, rounded up."""
    faults: Mapping[str, float] = field(default_factory=dict)
    """Name in :data:`FAULTS` to rate; the rates add up to 1 at most."""
    storms: tuple[Storm, ...] = ()
    stop_reasons: Mapping[str, float] = field(default_factory=dict)
    """Name in :data:`STOP_REASONS` to rate, of the requests that get a message."""
    drip_interval: float = 0.1
    huge_bytes: int = 32 * 1024 * 1024
    api_key: str | None = field(default=None, repr=False)
    """The only key that is let in; None lets everybody in."""
    ratelimit_headers: bool | RateHeaders = True

    def __post_init__(self) -> None:
        _check_rates("fault", self.faults, FAULTS)
        for storm in self.storms:
            _check_name("fault", storm.fault, FAULTS)
        _check_rates("stop reason", self.stop_reasons, STOP_REASONS)
        for name in ("latency", "latency_spread", "drip_interval", "huge_bytes"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigurationError(f"{name} must be a number from 0 up, not {getattr(self, name)}")
        for model, median in self.model_latency.items():
            if not (math.isfinite(median) and median >= 0):
                raise ConfigurationError(f"the latency of {model} must be a number from 0 up, not {median}")
        for name in (*(f"{kind}_per_minute" for kind in LIMITED), "request_burst", "max_in_flight"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ConfigurationError(f"{name} must be above 0, not {value}; leave it out for no limit")
        if isinstance(self.retry_after, float) and not math.isfinite(self.retry_after):
            raise ConfigurationError(f"retry_after must be finite, got {self.retry_after}; a text is sent as it is")

    def cap(self, age: float) -> int | None:
        """Return the most requests in flight, ``age`` seconds after the first request."""
        reached = [most for start, most in self.max_in_flight_later if start <= age]
        return reached[-1] if reached else self.max_in_flight

    def storm(self, age: float) -> str | None:
        """Return the fault of the storm that blows ``age`` seconds after the first request."""
        return next((one.fault for one in self.storms if one.start <= age < one.start + one.seconds), None)


def _check_name(what: str, name: str, known: Mapping[str, str]) -> None:
    if name not in known:
        raise ConfigurationError(f"no {what} is called {name!r}{did_you_mean(name, known)}")


def _check_rates(what: str, rates: Mapping[str, float], known: Mapping[str, str]) -> None:
    for name, rate in rates.items():
        _check_name(what, name, known)
        if not 0 <= rate <= 1:
            raise ConfigurationError(f"the rate of {what} {name!r} must lie between 0 and 1, not {rate}")
    total = sum(rates.values())
    if total > 1 + 1e-9:
        raise ConfigurationError(f"the {what} rates add up to {total:g}; they are shares of the requests, at most 1")


class Draws:
    """What chance has in store for one attempt of one request body; the same arguments give the same draws."""

    __slots__ = ("_bytes",)

    def __init__(self, seed: int, digest: str, attempt: int) -> None:
        self._bytes = blake2b(f"{seed}:{digest}:{attempt}".encode(), digest_size=24).digest()

    def fault(self, behaviour: Behaviour) -> str | None:
        """The fault that this attempt meets."""
        return _pick(behaviour.faults, self._uniform(0)) if behaviour.faults else None

    def stop_reason(self, behaviour: Behaviour) -> str | None:
        """How the message ends, where it is not as it would by itself."""
        return _pick(behaviour.stop_reasons, self._uniform(1)) if behaviour.stop_reasons else None

    def latency(self, behaviour: Behaviour, model: str | None = None) -> float:
        """Seconds, log-normal around the median."""
        median = behaviour.model_latency.get(model or "", behaviour.latency)
        if median == 0:
            return 0.0
        return median * math.exp(behaviour.latency_spread * NormalDist().inv_cdf(self._uniform(2)))

    def _uniform(self, index: int) -> float:
        """Between 0 and 1, both excluded."""
        word = int.from_bytes(self._bytes[8 * index : 8 * index + 8], "big")
        return ((word >> 12) + 0.5) / 2**52


def _pick(rates: Mapping[str, float], uniform: float) -> str | None:
    reached = 0.0
    for name, rate in rates.items():
        reached += rate
        if uniform < reached:
            return name
    return None

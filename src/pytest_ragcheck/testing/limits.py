"""Rate limits as the Messages API keeps them: token buckets, refusals with retry-after, headers that tell the level."""

from __future__ import annotations

import math
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

from pytest_ragcheck.testing.faults import ApiError, RateHeaders

if TYPE_CHECKING:
    from pytest_ragcheck.testing.faults import Behaviour

__all__ = ["Bucket", "Limits", "Window", "retry_headers"]

Headers = list[tuple[str, str]]

NOMINAL_REQUESTS_PER_MINUTE = 4_000
NOMINAL_INPUT_TOKENS_PER_MINUTE = 2_000_000
NOMINAL_OUTPUT_TOKENS_PER_MINUTE = 400_000
TOO_MANY_REQUESTS = 429
ROUNDING = 1e-6
"""A client that waits exactly as long as it was told must not be refused for a float's last digits."""


class Bucket:
    """A token bucket: fills at ``per_minute`` up to ``capacity``; times are seconds of one monotonic clock."""

    def __init__(self, per_minute: float, capacity: float, *, now: float) -> None:
        self.capacity = capacity
        self.per_second = per_minute / 60
        self._level = float(capacity)
        self._filled_at = now

    def level(self, now: float) -> float:
        """What is in it."""
        self._level = min(self.capacity, self._level + (now - self._filled_at) * self.per_second)
        self._filled_at = now
        return self._level

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` can be taken; more than the capacity can be taken from a full bucket."""
        missing = min(amount, self.capacity) - self.level(now)
        return missing / self.per_second if missing > ROUNDING else 0.0

    def take(self, amount: float, now: float) -> None:
        """Take ``amount``, or what there is."""
        self._level = max(0.0, self.level(now) - amount)

    def seconds_to_full(self, now: float) -> float:
        """Seconds until it is full if nothing is taken."""
        return (self.capacity - self.level(now)) / self.per_second


class Window(Bucket):
    """A fixed window: holds ``capacity``, and is full again all at once when the next window begins."""

    def level(self, now: float) -> float:
        """What is left of the window."""
        windows = (now - self._filled_at + ROUNDING) // self._length
        if windows > 0:
            self._filled_at += windows * self._length
            self._level = self.capacity
        return self._level

    def wait(self, amount: float, now: float) -> float:
        """Seconds until ``amount`` can be taken: none, or until the next window."""
        return self.seconds_to_full(now) if min(amount, self.capacity) - self.level(now) > ROUNDING else 0.0

    def seconds_to_full(self, now: float) -> float:
        """Seconds until the next window, where something was taken of this one."""
        return self._filled_at + self._length - now if self.level(now) < self.capacity else 0.0

    @property
    def _length(self) -> float:
        return self.capacity / self.per_second


def retry_headers(wait: float | str | None, behaviour: Behaviour) -> Headers:
    """``retry-after`` in whole seconds or as a date, and the exact milliseconds where the behaviour sends them."""
    if wait is None:
        return []
    if isinstance(wait, str):
        return [("retry-after", wait)]
    if behaviour.retry_after_date:
        return [("retry-after", formatdate(math.ceil(time.time() + wait), usegmt=True))]
    headers = [("retry-after", str(math.ceil(wait)))]
    if behaviour.retry_after_ms:
        headers.append(("retry-after-ms", str(math.ceil(wait * 1000))))
    return headers


class Limits:
    """The limits of one behaviour; nominal ones, which never refuse, stand in for those that it leaves out."""

    def __init__(self, behaviour: Behaviour, *, now: float) -> None:
        self._behaviour = behaviour
        requests = behaviour.requests_per_minute
        burst = behaviour.request_burst or max(1, math.ceil(requests or NOMINAL_REQUESTS_PER_MINUTE))
        kind = Window if behaviour.fixed_window else Bucket
        self._requests = kind(requests or NOMINAL_REQUESTS_PER_MINUTE, burst, now=now)
        tokens_in = behaviour.input_tokens_per_minute or NOMINAL_INPUT_TOKENS_PER_MINUTE
        tokens_out = behaviour.output_tokens_per_minute or NOMINAL_OUTPUT_TOKENS_PER_MINUTE
        self._input = Bucket(tokens_in, tokens_in, now=now)
        self._output = Bucket(tokens_out, tokens_out, now=now)

    def admit(self, *, in_flight: int, input_tokens: int, now: float, age: float = 0.0) -> None:
        """Take a request's share of every limit; where one is reached, take nothing and raise :class:`ApiError` 429.

        ``age`` is how many seconds ago the first request arrived.
        """
        behaviour = self._behaviour
        cap = behaviour.cap(age)
        if cap is not None and in_flight >= cap:
            raise self._refusal("over_max_in_flight", "number of concurrent requests", None)
        if behaviour.requests_per_minute is not None and (wait := self._requests.wait(1, now)):
            raise self._refusal("over_requests_per_minute", "number of requests per minute", wait)
        if behaviour.input_tokens_per_minute is not None and (wait := self._input.wait(input_tokens, now)):
            raise self._refusal("over_input_tokens_per_minute", "number of input tokens per minute", wait)
        if behaviour.output_tokens_per_minute is not None and (wait := self._output.wait(1, now)):
            raise self._refusal("over_output_tokens_per_minute", "number of output tokens per minute", wait)
        self._requests.take(1, now)
        self._input.take(input_tokens, now)

    def spend_output(self, tokens: int, now: float) -> None:
        """Count a message's output."""
        self._output.take(tokens, now)

    def headers(self, status: int, now: float) -> Headers:
        """``anthropic-ratelimit-*``: limit, what remains, and when (RFC 3339) it is whole again."""
        wanted = self._behaviour.ratelimit_headers
        shape = wanted if isinstance(wanted, RateHeaders) else RateHeaders()
        if not wanted or (shape.refusals_only and status != TOO_MANY_REQUESTS):
            return []
        wall = time.time() + shape.skew
        headers: Headers = []
        for name, bucket in (
            ("requests", self._requests),
            ("input-tokens", self._input),
            ("output-tokens", self._output),
        ):
            headers += _bucket_headers(name, bucket, now, wall)
        tightest = min(self._input, self._output, key=lambda bucket: bucket.level(now))
        headers += _bucket_headers("tokens", tightest, now, wall)
        return _replace_requests(headers, shape, wall)

    def _refusal(self, outcome: str, what: str, wait: float | None) -> ApiError:
        """``wait`` is None where nobody knows how long the limit will be reached."""
        message = f"This request would exceed the rate limit for your organization: {what}"
        behaviour = self._behaviour
        known = wait is not None and behaviour.retry_after_computed
        headers = retry_headers(wait if known else behaviour.retry_after, behaviour)
        return ApiError(TOO_MANY_REQUESTS, "rate_limit_error", message, outcome=outcome, headers=headers)


def _bucket_headers(name: str, bucket: Bucket, now: float, wall: float) -> Headers:
    prefix = f"anthropic-ratelimit-{name}"
    return [
        (f"{prefix}-limit", str(math.floor(bucket.capacity))),
        (f"{prefix}-remaining", str(math.floor(bucket.level(now)))),
        (f"{prefix}-reset", _rfc3339(wall + bucket.seconds_to_full(now))),
    ]


def _replace_requests(headers: Headers, shape: RateHeaders, wall: float) -> Headers:
    """Replace the values about requests that the behaviour sets."""
    replaced = {
        "anthropic-ratelimit-requests-remaining": None if shape.remaining is None else str(shape.remaining),
        "anthropic-ratelimit-requests-reset": None if shape.reset is None else _rfc3339(wall + shape.reset),
    }
    return [(name, replaced.get(name) or value) for name, value in headers]


def _rfc3339(wall: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(math.ceil(wall)))

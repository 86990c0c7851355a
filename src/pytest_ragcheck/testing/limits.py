"""Rate limits as the Messages API keeps them: token buckets, refusals with retry-after, headers that tell the level."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from pytest_ragcheck.testing.faults import ApiError

if TYPE_CHECKING:
    from pytest_ragcheck.testing.faults import Behaviour

__all__ = ["Bucket", "Limits", "retry_headers"]

Headers = list[tuple[str, str]]

NOMINAL_REQUESTS_PER_MINUTE = 4_000
NOMINAL_INPUT_TOKENS_PER_MINUTE = 2_000_000
NOMINAL_OUTPUT_TOKENS_PER_MINUTE = 400_000
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


def retry_headers(seconds: float, behaviour: Behaviour) -> Headers:
    """``retry-after`` in whole seconds, and the exact milliseconds where the behaviour sends them."""
    headers = [("retry-after", str(math.ceil(seconds)))]
    if behaviour.retry_after_ms:
        headers.append(("retry-after-ms", str(math.ceil(seconds * 1000))))
    return headers


class Limits:
    """The limits of one behaviour; nominal ones, which never refuse, stand in for those that it leaves out."""

    def __init__(self, behaviour: Behaviour, *, now: float) -> None:
        self._behaviour = behaviour
        requests = behaviour.requests_per_minute
        tokens = behaviour.input_tokens_per_minute
        burst = behaviour.request_burst or max(1, math.ceil(requests or NOMINAL_REQUESTS_PER_MINUTE))
        self._requests = Bucket(requests or NOMINAL_REQUESTS_PER_MINUTE, burst, now=now)
        self._input = Bucket(
            tokens or NOMINAL_INPUT_TOKENS_PER_MINUTE, tokens or NOMINAL_INPUT_TOKENS_PER_MINUTE, now=now
        )
        self._output = Bucket(NOMINAL_OUTPUT_TOKENS_PER_MINUTE, NOMINAL_OUTPUT_TOKENS_PER_MINUTE, now=now)

    def admit(self, *, in_flight: int, input_tokens: int, now: float) -> None:
        """Take a request's share of every limit; where one is reached, take nothing and raise :class:`ApiError` 429."""
        behaviour = self._behaviour
        if behaviour.max_in_flight is not None and in_flight >= behaviour.max_in_flight:
            raise self._refusal("over_max_in_flight", "number of concurrent requests", behaviour.retry_after)
        if behaviour.requests_per_minute is not None and (wait := self._requests.wait(1, now)):
            raise self._refusal("over_requests_per_minute", "number of requests per minute", wait)
        if behaviour.input_tokens_per_minute is not None and (wait := self._input.wait(input_tokens, now)):
            raise self._refusal("over_input_tokens_per_minute", "number of input tokens per minute", wait)
        self._requests.take(1, now)
        self._input.take(input_tokens, now)

    def spend_output(self, tokens: int, now: float) -> None:
        """Count a message's output."""
        self._output.take(tokens, now)

    def headers(self, now: float) -> Headers:
        """``anthropic-ratelimit-*``: limit, what remains, and when (RFC 3339) it is whole again."""
        told: Headers = []
        wall = time.time()
        for name, bucket in (
            ("requests", self._requests),
            ("input-tokens", self._input),
            ("output-tokens", self._output),
        ):
            told += _bucket_headers(name, bucket, now, wall)
        tightest = min(self._input, self._output, key=lambda bucket: bucket.level(now))
        return told + _bucket_headers("tokens", tightest, now, wall)

    def _refusal(self, outcome: str, what: str, wait: float) -> ApiError:
        message = f"This request would exceed the rate limit for your organization: {what}"
        headers = retry_headers(wait, self._behaviour)
        return ApiError(429, "rate_limit_error", message, outcome=outcome, headers=headers)


def _bucket_headers(name: str, bucket: Bucket, now: float, wall: float) -> Headers:
    full_at = time.gmtime(math.ceil(wall + bucket.seconds_to_full(now)))
    prefix = f"anthropic-ratelimit-{name}"
    return [
        (f"{prefix}-limit", str(math.floor(bucket.capacity))),
        (f"{prefix}-remaining", str(math.floor(bucket.level(now)))),
        (f"{prefix}-reset", time.strftime("%Y-%m-%dT%H:%M:%SZ", full_at)),
    ]

"""One call on its way, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.gateway.requests import ModelReply
from pytest_ragcheck.gateway.transport import AttemptResult, RetryAction
from pytest_ragcheck.model import Call, Usage

if TYPE_CHECKING:
    from pytest_ragcheck.gateway.replies import StoredReply
    from pytest_ragcheck.gateway.requests import ModelRequest
    from pytest_ragcheck.gateway.retry import Attempts
    from pytest_ragcheck.gateway.transport import Message

__all__ = ["CompletedCall", "PendingCall"]


@dataclass(frozen=True, slots=True)
class CompletedCall:
    """A reply with the call that brought it."""

    reply: StoredReply
    call: Call

    @classmethod
    def from_cache(cls, reply: StoredReply, request: ModelRequest, *, started: float, queued: float) -> CompletedCall:
        """A reply that did not have to be asked for."""
        call = Call(
            purpose=request.purpose,
            model=reply.model or request.model,
            started=started,
            queued=queued,
            wire=reply.latency,
            cached=True,
            usage=reply.usage,
            cost=0.0,
            request_id=reply.request_id,
        )
        return cls(reply, call)

    def model_reply(self) -> ModelReply:
        """As the one who asked sees it."""
        reply = self.reply
        return ModelReply(
            text=reply.text,
            stop_reason=reply.stop_reason,
            model=reply.model,
            usage=reply.usage,
            latency=reply.latency,
            request_id=reply.request_id,
            call=self.call,
            cached=self.call.cached,
        )


@dataclass(slots=True)
class PendingCall:
    """One call on its way through queue, attempts and back-off."""

    request: ModelRequest
    key: bytes
    asked: float
    attempts: Attempts
    claimed: bool = False
    backoff: float = 0.0
    usage: Usage = field(default_factory=Usage)
    cost: float | None = 0.0
    last: AttemptResult | None = None
    max_tokens: int = field(init=False)
    """Of the next attempt's reply: fewer than the request's where the budget pays for no more."""
    needs_all: bool = False
    """Whether it was cut short with fewer."""

    def __post_init__(self) -> None:
        self.max_tokens = self.request.max_tokens

    def is_cut_short(self, message: Message) -> bool:
        """Whether a reply ended early because the budget paid for no more."""
        return message.stop_reason == "max_tokens" and self.max_tokens < self.request.max_tokens

    def share_used(self, message: Message | None) -> float | None:
        """Return the share of its longest reply that a whole one had; None for any other."""
        if message is None or self.is_cut_short(message):
            return None
        return message.usage.output_tokens / self.request.max_tokens

    def complete(self, reply: StoredReply, *, started: float, seconds: float) -> CompletedCall:
        """The way's end, ``seconds`` after it was asked for."""
        call = Call(
            purpose=self.request.purpose,
            model=reply.model or self.request.model,
            started=started,
            queued=max(0.0, seconds - self.attempts.spent),
            backoff=self.backoff,
            wire=reply.latency,
            attempts=self.attempts.made,
            usage=self.usage,
            cost=self.cost,
            request_id=reply.request_id,
        )
        return CompletedCall(reply, call)

    def out_of_time(self, told: str, cause: str | None, *, seconds: float) -> MeasurementError:
        """What is told of a call that a deadline ended; ``cause`` is that of its last attempt, without secrets."""
        last = f"; the last attempt: {cause}" if cause is not None else ""
        return MeasurementError(
            f"{self.request.model}: {told} after {self.attempts.made} attempts{last}",
            kind="timeout",
            status=self.last.status if self.last else None,
            attempts=self.attempts.made,
            seconds=round(seconds, 3),
            request_id=self.last.request_id if self.last else None,
        )

    def failure(self, verdict: AttemptResult, cause: str) -> MeasurementError:
        """What is told of a call that was given up; ``cause`` is the verdict's, without secrets."""
        attempts = self.attempts
        told = [f"{self.request.model}: {cause}"]
        if verdict.effect is RetryAction.LIMITED and verdict.wait is not None and verdict.wait >= attempts.left:
            told.append(
                f"the server says to wait {verdict.wait:g} s, the call's deadline is {attempts.policy.deadline:g} s"
            )
        if attempts.made > 1:
            told.append(f"gave up after {attempts.made} attempts in {attempts.spent:.1f} s")
        if verdict.remedy:
            told.append(verdict.remedy)
        if verdict.request_id:
            told.append(f"request {verdict.request_id}")
        return MeasurementError(
            "; ".join(told),
            kind=verdict.kind,
            status=verdict.status,
            attempts=attempts.made,
            seconds=round(attempts.spent, 3),
            request_id=verdict.request_id,
        )

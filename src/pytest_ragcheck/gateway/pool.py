"""Limits that several processes meet together: who holds how much of each. Pure: the time is an argument.

Each process, a *partner*, may use only what it *holds*, and the holdings of all together never pass a limit. Partners
meet through one value in a store: each tells what it needs, and is dealt its part. A part that is to become smaller
is given back first; only then another one grows by it.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Limit", "Pool", "Stake", "parts"]

CRUMB = 1e-9
"""Less than this is what sums of floats leave over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What may be held by all together."""

    total: float
    lasts: float | None = 0.0
    """Seconds after which what was used is free again; None: never. 0: nothing is used up, only held."""
    whole: bool = False
    """Whether it is dealt in whole units."""
    is_spread: bool = True
    """Whether what nobody wants is dealt too, so that it is at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stake:
    """What one partner tells of one limit."""

    in_use: float = 0.0
    """What it cannot give back now; it holds no less, even where its part has become smaller."""
    want: float = 0.0
    """What it could use at present, that in use included."""
    need: float = 0.0
    """Less than this is of no use to it; who has waited longest is dealt it first."""
    since: float = 0.0
    """When it began to wait."""
    used: float = 0.0
    """What it has used up since it told last."""


def parts(room: float, stakes: Sequence[Stake], limit: Limit) -> list[float]:
    """What each should hold: first what each needs, in the order of waiting, then as equal as wants allow."""
    held = [0.0 for _ in stakes]
    for place in sorted(range(len(stakes)), key=lambda place: stakes[place].since):
        held[place] = min(stakes[place].need, max(0.0, room - sum(held)))
    held = _raised(held, [stake.want for stake in stakes], room)
    if limit.is_spread:
        held = _raised(held, [math.inf for _ in stakes], room)
    return _in_whole_units(held, stakes, room) if limit.whole else held


def _raised(held: Sequence[float], tops: Sequence[float], room: float) -> list[float]:
    """The lowest are raised to one level, as far as the room goes, and none above its top."""
    tops = [max(low, top) for low, top in zip(held, tops, strict=True)]
    left = room - sum(held)
    level = min(held, default=0.0)
    for low, high in pairwise(sorted({*held, *tops})):
        rising = sum(floor <= low and top >= high for floor, top in zip(held, tops, strict=True))
        if not rising:
            continue
        if left <= 0:
            break
        step = min(high - low, left / rising)
        level = low + step
        left -= step * rising
    return [max(floor, min(top, level)) for floor, top in zip(held, tops, strict=True)]


def _in_whole_units(held: Sequence[float], stakes: Sequence[Stake], room: float) -> list[float]:
    rounded = [math.floor(part + CRUMB) for part in held]
    over = math.floor(room + CRUMB) - sum(rounded)
    # Those that lost most by rounding, and of equals those that wait: no unit is left lying.
    order = sorted(range(len(held)), key=lambda place: (rounded[place] - held[place], stakes[place].since))
    for place in order[: max(0, over)]:
        rounded[place] += held[place] > rounded[place] + CRUMB
    return [float(part) for part in rounded]


@dataclass(slots=True)
class _Partner:
    expires: float
    held: dict[str, float] = field(default_factory=dict)
    stakes: dict[str, Stake] = field(default_factory=dict)


@dataclass(slots=True)
class _Account:
    """What of a limit was used up."""

    lasts: float | None
    spent: float = 0.0
    """For good."""
    used: list[tuple[float, float]] = field(default_factory=list)
    """When and how much, of what will be free again."""

    def note(self, now: float, amount: float) -> None:
        """So much was used, now or a moment ago."""
        if not amount or self.lasts == 0:
            return
        if self.lasts is None:
            self.spent += amount
        else:
            self.used.append((now, amount))

    def taken(self, now: float) -> float:
        """What is not free."""
        lasts = self.lasts or 0.0
        self.used = [(at, amount) for at, amount in self.used if at > now - lasts]
        return self.spent + sum(amount for _, amount in self.used)


class Pool:
    """The partners' holdings and what was used up, as kept in a store; ``notes`` is theirs to write on, in JSON."""

    def __init__(self) -> None:
        self.notes: dict[str, Any] = {}
        self._partners: dict[str, _Partner] = {}
        self._accounts: dict[str, _Account] = {}

    @classmethod
    def of(cls, data: bytes | None) -> Pool:
        """From its bytes; None: a new one."""
        pool = cls()
        if data is not None:
            told = json.loads(data)
            pool.notes = told["notes"]
            for owner, partner in told["partners"].items():
                stakes = {name: Stake(**stake) for name, stake in partner["stakes"].items()}
                pool._partners[owner] = _Partner(partner["expires"], partner["held"], stakes)
            for name, account in told["accounts"].items():
                pool._accounts[name] = _Account(**account)
        return pool

    def to_bytes(self) -> bytes:
        """Fit for :meth:`of`."""
        partners = {owner: asdict(partner) for owner, partner in self._partners.items()}
        accounts = {name: asdict(account) for name, account in self._accounts.items()}
        return json.dumps({"notes": self.notes, "partners": partners, "accounts": accounts}).encode()

    def expire(self, now: float, is_alive: Callable[[str], bool]) -> None:
        """Drop the partners that have ended or stand still.

        What they held of a rate or an amount counts as used up: nobody knows how much of it was.
        """
        for owner, partner in list(self._partners.items()):
            if partner.expires <= now or not is_alive(owner):
                for name, held in partner.held.items():
                    self._accounts[name].note(now, held)
                del self._partners[owner]

    def has(self, owner: str) -> bool:
        """Whether it takes part at present."""
        return owner in self._partners

    def renew(self, owner: str, until: float) -> bool:
        """Let a partner live until then; False where it is none any more."""
        if not self.has(owner):
            return False
        self._partners[owner].expires = until
        return True

    def meet(
        self, owner: str, told: Mapping[str, tuple[Limit, Stake]], *, now: float, until: float
    ) -> dict[str, float]:
        """Note what a partner tells; how much of each limit, by its name, it may have in use from now on."""
        partner = self._partners.setdefault(owner, _Partner(until))
        partner.expires = until
        for name in partner.held.keys() - told.keys():
            self._accounts[name].note(now, partner.held.pop(name))
            del partner.stakes[name]
        dealt: dict[str, float] = {}
        for name, (limit, stake) in told.items():
            account = self._accounts.setdefault(name, _Account(limit.lasts))
            account.note(now, stake.used)
            partner.stakes[name] = stake
            before = max(0.0, partner.held.get(name, 0.0) - stake.used)
            dealt[name] = self._dealt(owner, name, limit, before, account.taken(now))
            partner.held[name] = max(stake.in_use, dealt[name])
        return dealt

    def leave(self, owner: str, told: Mapping[str, tuple[Limit, Stake]], *, now: float) -> None:
        """A partner uses nothing any more, and gives all back."""
        self._partners.pop(owner, None)
        for name, (limit, stake) in told.items():
            self._accounts.setdefault(name, _Account(limit.lasts)).note(now, stake.used)

    def taken(self, name: str, now: float) -> float:
        """What of a limit was used up, and is not free again."""
        return self._accounts[name].taken(now) if name in self._accounts else 0.0

    def others(self, owner: str, name: str) -> list[Stake]:
        """What the others told last of a limit."""
        others = (partner for other, partner in self._partners.items() if other != owner)
        return [partner.stakes[name] for partner in others if name in partner.stakes]

    def _dealt(self, owner: str, name: str, limit: Limit, before: float, taken: float) -> float:
        room = limit.total - taken
        taking_part = [one for one in sorted(self._partners) if name in self._partners[one].stakes]
        stakes = [self._partners[one].stakes[name] for one in taking_part]
        own = parts(room, stakes, limit)[taking_part.index(owner)]
        others = sum(self._partners[one].held[name] for one in taking_part if one != owner)
        return max(0.0, min(own, max(before, room - others)))

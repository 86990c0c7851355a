"""What earlier runs found a server to bear: where the search for its limit starts.

A guess, not a fact: others may use the server now, or the account may have changed. A run starts with half of it, and
the first refusals end that; the older it is, the less is left of it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from pytest_ragcheck.gateway.adaptive import MAXIMUM, START
from pytest_ragcheck.store import Fields, StoredKind, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pytest_ragcheck.store import Store

__all__ = ["KIND", "KnownLimits", "start_from"]

KIND = "server-limit"
"""The store's kind of these values."""
HALF_LIFE = 7 * 86_400.0
"""Seconds after which half of the difference to an unknown server is left."""


def start_from(known: int) -> int | None:
    """Return the calls to begin with, where a server bore ``known`` calls in flight; None where that is 0, unknown."""
    return max(min(known, START), known // 2) or None


class KnownLimits:
    """Keeps, by server and model, how many calls in flight were borne; ``clock`` gives Unix time."""

    def __init__(self, store: Store, endpoint: str, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._endpoint = endpoint
        self._clock = clock

    def get(self, model: str) -> int:
        """Return the calls in flight that the server bore, less what its age takes away; 0 where that is not known."""
        found = _LIMITS.get(self._store, self._key(model))
        if found is None:
            return 0
        limit, at = found
        share: float = 0.5 ** (max(0.0, self._clock() - at) / HALF_LIFE)
        return round(START + (limit - START) * share)

    def keep(self, found: Mapping[str, int]) -> None:
        """Keep what was found, by model."""
        now = self._clock()
        values = {self._key(model): json.dumps({"limit": limit, "at": now}).encode() for model, limit in found.items()}
        if values:
            _LIMITS.put_many(self._store, values)

    def _key(self, model: str) -> bytes:
        return digest(KIND, self._endpoint, model)


def _parse(data: bytes) -> tuple[float, float]:
    fields = Fields.parse(data)
    return fields.number("limit", 1, MAXIMUM), fields.number("at")


_LIMITS = StoredKind(KIND, _parse)

"""The driver's stores, as actors see them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partialmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_ragcheck.store import Store

__all__ = ["RemoteStore", "StoreHandler"]


@dataclass(kw_only=True)
class RemoteStore:
    """A :class:`~pytest_ragcheck.store.Store` of the driver's, as an actor sees it; each method is one round trip."""

    path: Path | None
    """The file's, on the driver's machine."""
    ask: Callable[..., Any]
    """``(method, arguments, keywords)`` to what the driver's store returns."""
    notices: list[str] = field(default_factory=list)

    def _call(self, method: str, *arguments: Any, **keywords: Any) -> Any:
        return self.ask(method, arguments, keywords)

    # The methods and what they take are the Store's own.
    get = partialmethod(_call, "get")
    get_many = partialmethod(_call, "get_many")
    known = partialmethod(_call, "known")
    put = partialmethod(_call, "put")
    put_many = partialmethod(_call, "put_many")
    put_if_new = partialmethod(_call, "put_if_new")
    drop_damaged = partialmethod(_call, "drop_damaged")
    claim = partialmethod(_call, "claim")
    claim_many = partialmethod(_call, "claim_many")
    release = partialmethod(_call, "release")
    renew = partialmethod(_call, "renew")
    size = partialmethod(_call, "size")


METHODS = frozenset(name for name, member in vars(RemoteStore).items() if isinstance(member, partialmethod))


class StoreHandler:
    """Answers from a store of the driver's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owners: defaultdict[int, set[str]] = defaultdict(set)
        self._gone: set[int] = set()

    def handle(self, caller: int, method: str, *arguments: Any, **keywords: Any) -> Any:
        """Return what the store's method returns; AttributeError for one that actors have no use for."""
        if method not in METHODS:
            raise AttributeError(method)
        if method in {"claim", "claim_many"}:
            if caller in self._gone:
                return False if method == "claim" else []
            self._owners[caller].add(keywords["owner"])
        return getattr(self._store, method)(*arguments, **keywords)

    def forget(self, caller: int) -> None:
        """End all claims of an actor."""
        self._gone.add(caller)
        for owner in self._owners.pop(caller, ()):
            self._store.renew(owner=owner, seconds=0.0)

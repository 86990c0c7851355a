"""All suites of a session, with the stores and gateways that they share."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.session.baselines import Baselines
from pytest_ragcheck.session.config import load_settings
from pytest_ragcheck.session.config_file import find_configuration
from pytest_ragcheck.session.gateways import Gateways
from pytest_ragcheck.session.suites import Suite
from pytest_ragcheck.store import Store, state_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pytest_ragcheck.session.options import Options

__all__ = ["SuiteCatalog"]


class SuiteCatalog:
    """All suites of a session, each made once; a suite that could not be made fails the same way again.

    ``invocation`` is where pytest was called, ``root`` the folder from which suites are named (see :class:`Suite`).
    """

    def __init__(self, options: Options, invocation: Path, root: Path | None = None) -> None:
        self._options = options
        self._invocation = invocation
        self._root = root
        self.baselines = Baselines(options, invocation)
        self._stores: dict[Path | None, Store] = {}
        self._suites: dict[Any, Suite | Exception] = {}
        self.gateways = Gateways(options)
        find_configuration.cache_clear()

    @property
    def notices(self) -> Iterable[str]:
        """What stores and suites have to tell the user."""
        told = [store.notices for store in self._stores.values()] + [suite.notices for suite in self.suites]
        return chain.from_iterable(told)

    @property
    def damaged(self) -> dict[str, dict[str, int]]:
        """How many stored values could not be read, by the store's path and the kind of value."""
        return {str(store.path): dict(store.damaged) for store in self._stores.values() if store.damaged.total()}

    @property
    def suites(self) -> tuple[Suite, ...]:
        """The suites that could be made."""
        return tuple(suite for suite in self._suites.values() if isinstance(suite, Suite))

    def suite(
        self,
        folder: Path,
        *,
        questions: Path | None = None,
        documents: tuple[str, ...] | None = None,
        metrics: Mapping[str, float | None] | None = None,
        configured_in: Path | None = None,
    ) -> Suite:
        """The suite for tests in ``folder``; the keywords win over the configuration.

        ``configured_in``: the folder whose configuration counts; None: that of the question file, or else of the tests.
        """
        settings = load_settings(
            configured_in or (folder if questions is None else questions.parent),
            questions=questions,
            documents=documents,
            invocation=self._invocation,
        )
        chosen = None if metrics is None else tuple(metrics.items())
        key = (settings.root, settings.questions, settings.documents, chosen)
        if key not in self._suites:
            try:
                store = self._store(settings.root)
                self._suites[key] = Suite(
                    settings,
                    options=self._options,
                    store=store,
                    gateways=self.gateways,
                    metrics=metrics,
                    root=self._root,
                )
            except Exception as problem:
                if getattr(problem, "unknown_metric", None) is None:  # else a module that defines it may come yet
                    self._suites[key] = problem
                raise
        made = self._suites[key]
        if isinstance(made, Exception):
            raise made.with_traceback(None)
        return made

    def close(self) -> None:
        """Close the stores."""
        for store in self._stores.values():
            store.close()

    def _store(self, root: Path) -> Store:
        place = None if self._options.cache == "off" else root
        if place not in self._stores:
            self._stores[place] = Store(None if place is None else _store_path(place), forgiving=True)
        return self._stores[place]


def _store_path(root: Path) -> Path:
    try:
        return state_folder(root) / "cache.sqlite"
    except OSError as problem:
        remedy = "make it a folder that can be written, or run with --ragcheck-cache off"
        raise ConfigurationError(f"{problem.filename}: {problem.strerror}; {remedy}") from None

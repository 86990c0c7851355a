"""Which ``ragcheck_pipeline`` and ``ragcheck_metrics`` an item sees: items that see the same are one batch."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.session.parameter_ids import parameter_id
from pytest_ragcheck.session.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import CodeType

__all__ = ["METRICS", "PIPELINE", "PipelineNames"]

PIPELINE = "ragcheck_pipeline"
METRICS = "ragcheck_metrics"


class PipelineNames:
    """Names the pipeline of each item before the item's own set-up, the same in every process.

    A name is the node id of the place where the fixture is defined (empty for the plugin's own), and which of
    their parameters the fixture and those that it uses have for the item.
    """

    def __init__(self, session: pytest.Session) -> None:
        # pytest tells which fixture an item will get only through its fixture manager; items must be told apart
        # before their own set-up, or a module's override would be ignored for all but the first batch.
        self._manager: Any = session._fixturemanager  # noqa: SLF001
        self._of_parents: dict[object, tuple[str, frozenset[str]]] = {}

    def of(self, item: pytest.Item) -> str:
        """The name of the item's pipeline."""
        if item.parent not in self._of_parents:
            homes = [self._home(name, item) for name in (PIPELINE, METRICS)]
            self._of_parents[item.parent] = "|".join(filter(None, homes)), frozenset(self._used(item))
        home, used = self._of_parents[item.parent]
        chosen = [f"{name}={index}" for name, index in sorted(_indices(item).items()) if name in used]
        return f"{home}[{','.join(chosen)}]" if chosen else home

    def variant(self, item: pytest.Item) -> Variant:
        """The pipeline in a word or two: its parameters' ids, and its place, unless that is a lone ``conftest.py``."""
        home = self._home(PIPELINE, item)
        indices = _indices(item)
        used = {name: self._definitions(name, item) for name in self._used(item) if name in indices}
        ids = [parameter_id(item, name, found[-1] if found else None) for name, found in sorted(used.items())]
        short = [*ids, *(self._home(name, item) for name in (PIPELINE, METRICS) if self._may_have_others(name, item))]
        long = [*ids, home, self._home(METRICS, item)]
        return Variant(", ".join(short), ", ".join(filter(None, long)))

    def check(self, item: pytest.Item) -> None:
        """ConfigurationError where the item's pipeline or metrics cannot serve a whole batch."""
        for name in (PIPELINE, METRICS):
            definition = self._definitions(name, item)[-1]
            if not _outlives_its_items(definition):
                raise ConfigurationError(
                    f'fixture {name} in {definition.baseid or "the root"} has scope "{definition.scope}", but serves '
                    'the questions of several tests at once; write @pytest.fixture(scope="session")'
                )
        for name in self._used(item):
            used = self._definitions(name, item)
            if used and used[-1].params is not None and name not in _indices(item):
                test = item.nodeid.partition("[")[0]
                raise ConfigurationError(
                    f"fixture {name} has params; name {PIPELINE} among the arguments of {test}, "
                    "so that there can be an item for each of them"
                )

    def check_reach(self, items: Iterable[pytest.Item]) -> None:
        """ConfigurationError where an item would be answered by the ``conftest.py`` of a folder that it is not in.

        pytest takes a ``conftest.py`` outside its root folder for one of the root, which overrides those of all others.
        """
        for item in {item.path: item for item in items}.values():
            for name in (PIPELINE, METRICS):
                conftest = _conftest_of(self._definitions(name, item)[-1], item.config)
                if conftest is not None and conftest.parent not in item.path.parents:
                    raise ConfigurationError(
                        f"fixture {name} of {conftest} would serve {item.path} too, since pytest's root folder is "
                        f"{item.config.rootpath}; set the root: --rootdir={_common_folder(conftest, item.path)}"
                    )

    def owner(self, item: pytest.Item) -> pytest.Item | pytest.Collector:
        """The node with which the item's pipeline ends."""
        kinds: dict[str, type[pytest.Collector]] = {
            "class": pytest.Class,
            "module": pytest.Module,
            "package": pytest.Package,
        }
        kind = kinds.get(self._definitions(PIPELINE, item)[-1].scope, pytest.Session)
        return item.getparent(kind) or item.session

    def _home(self, name: str, item: pytest.Item) -> str:
        """Where the fixture is defined that the item sees; empty for the plugin's own."""
        definitions = self._definitions(name, item)
        return str(definitions[-1].baseid) if definitions else ""

    def _may_have_others(self, name: str, item: pytest.Item) -> bool:
        """Whether other items may see another override, which this session need not have collected."""
        _, *overrides = self._definitions(name, item) or [None]
        return len(overrides) > 1 or any(_is_of_module(definition) for definition in overrides)

    def _definitions(self, name: str, item: pytest.Item) -> Sequence[Any]:
        return self._manager.getfixturedefs(name, item) or ()

    def _used(self, item: pytest.Item) -> list[str]:
        """The pipeline's fixture, that of the metrics, and all that they use."""
        names = [PIPELINE, METRICS]
        for name in names:
            for definition in reversed(self._definitions(name, item)):
                names += [other for other in definition.argnames if other not in names]
                if name not in definition.argnames:
                    break  # what it overrides is not used
        return names


def _conftest_of(definition: Any, config: pytest.Config) -> Path | None:
    """The ``conftest.py`` that defines the fixture for the root; None where it stands elsewhere."""
    code: CodeType | None = getattr(inspect.unwrap(definition.func), "__code__", None)
    if code is None or definition.baseid or not config.pluginmanager.has_plugin(code.co_filename):
        return None
    return Path(code.co_filename)


def _common_folder(*paths: Path) -> str:
    return os.path.commonpath([path.parent for path in paths])


def _outlives_its_items(definition: Any) -> bool:
    """Whether the fixture is there from the first to the last item that sees it."""
    if definition.scope == "class":
        return "::" in definition.baseid
    if definition.scope == "module":
        return _is_of_module(definition)
    return bool(definition.scope != "function")


def _is_of_module(definition: Any) -> bool:
    """Whether the fixture stands in a test module, or in a class there."""
    return "::" in definition.baseid or definition.baseid.endswith(".py")


def _indices(item: pytest.Item) -> Mapping[str, int]:
    indices: Mapping[str, int] = getattr(getattr(item, "callspec", None), "indices", {})
    return indices

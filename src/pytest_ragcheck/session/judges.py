"""Who judges: the configured model, a model of the user's in its place, and models that single metrics bring along."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.metrics.judged.settings import is_own_judge
from pytest_ragcheck.rag.importing import import_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_ragcheck.gateway import Completer, ModelRequest
    from pytest_ragcheck.gateway.deepeval_transport import DeepEvalTransport
    from pytest_ragcheck.gateway.limiter import AdmissionControl
    from pytest_ragcheck.metrics.judged.metric import Judging
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.session.gateways import Gateways
    from pytest_ragcheck.session.options import Options
    from pytest_ragcheck.store import Store

__all__ = ["Judges"]


@dataclass(frozen=True, kw_only=True)
class Judges:
    """The judges under one configuration."""

    settings: Settings
    options: Options
    store: Store
    gateways: Gateways
    thresholds: Mapping[str, float]
    """Configured least values, by metric."""

    @cached_property
    def own_model(self) -> Any:
        """The user's model that ``judge`` names; None where it names one of Anthropic's, or none.

        Raises ConfigurationError where it cannot be found or made.
        """
        said = self.settings.judge
        if said is None or not is_own_judge(said):
            return None
        try:
            return _made(import_object(said, root=self.settings.root, key="judge"), self.settings.judging.parameters)
        except ConfigurationError as problem:
            raise ConfigurationError(f"{self.settings.origin}: {problem}") from None
        except Exception as problem:
            told = f"{type(problem).__name__}: {problem}".partition("\n")[0]
            raise ConfigurationError(f"{self.settings.origin}: judge = {said!r} cannot be made: {told}") from problem

    @cached_property
    def configured(self) -> Judging:
        """The judge of the configuration, which must name one."""
        from pytest_ragcheck.gateway.anthropic_transport import endpoint

        if self.own_model is not None:
            return self.by(self.own_model)
        return self._judging(model=self.settings.judge or "", endpoint=endpoint(), transport=None)

    @property
    def planned(self) -> list[ModelRequest]:
        """What ``--ragcheck-plan`` did not ask of the configured judge."""
        return self.gateways.planned(self.settings, self._transport)

    @property
    def limiter(self) -> AdmissionControl:
        """The limiter of the configured judge's calls."""
        return self.gateways.limiter(self.settings, self._transport)

    @property
    def _transport(self) -> DeepEvalTransport | None:
        return None if self.own_model is None else self.gateways.transport_to(self.own_model)

    def by(self, model: Any) -> Judging:
        """What judges with a model of the user's, behind a gateway of its own."""
        transport = self.gateways.transport_to(model)
        return self._judging(model=str(model.get_model_name()), endpoint=transport.endpoint, transport=transport)

    def _judging(self, *, model: str, endpoint: str, transport: DeepEvalTransport | None) -> Judging:
        from pytest_ragcheck.metrics.judged.metric import Judging
        from pytest_ragcheck.session.planning import PlannedGateway

        gateway: Completer = self.gateways.of(self.settings, self.store, transport)
        if self.options.plan:
            gateway = PlannedGateway(self.gateways.planned(self.settings, transport))
        return Judging(
            gateway=gateway,
            model=model,
            store=self.store,
            endpoint=endpoint,
            settings=self.settings.judging,
            thresholds=self.thresholds,
            every_reason=self.options.verbose,
            strict_evidence=self.options.strict_evidence,
            since=self.gateways.run_started if self.options.cache == "refresh" else None,
            schema_of=None if transport is None else transport.schema_of,
        )


def _made(named: Any, parameters: Mapping[str, Any]) -> Any:
    """The model: what is named, or what that makes from ``judging.parameters``."""
    if inspect.isclass(named) or inspect.isroutine(named):
        model = named(**parameters)
    elif parameters:
        raise ConfigurationError("judging.parameters are for a class or a function, but judge names an object")
    else:
        model = named
    missing = [name for name in ("a_generate", "get_model_name") if not callable(getattr(model, name, None))]
    if missing:
        raise ConfigurationError(
            f"judge: {type(model).__name__} has no {' and no '.join(missing)}; it must be a DeepEvalBaseLLM"
        )
    return model

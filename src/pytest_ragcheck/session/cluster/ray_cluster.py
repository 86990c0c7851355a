"""The connection to a Ray cluster."""

from __future__ import annotations

import logging
import os
import secrets
import warnings
from textwrap import shorten
from typing import Any

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.session.cluster.probe import trouble_at
from pytest_ragcheck.session.cluster.target import RAY

__all__ = ["RayCluster"]

OBJECT_STORE = 200_000_000
"""Bytes, of a cluster that is started here: what goes through it are texts."""
MOST_ON_A_NODE = 8
"""Actors, where it is not told: each takes some 200 MB, and a few do the work of as many calls as a server bears."""
LONGEST_CAUSE = 400
_HEAD = "node:__internal_head__"


class RayCluster:
    """A cluster that is there already (the test's own connection, ``RAY_ADDRESS``, one on this machine), or a new one.

    A new one has this machine as its only node, listens on 127.0.0.1, and ends with :meth:`close`. Raises
    ConfigurationError where there is none to be had.
    """

    def __init__(self, target: str) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        self._is_client = target != RAY
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray's own, which a user's filters would make errors
            import ray

            self.ray: Any = ray
            self._is_ours = not ray.is_initialized()
            if self._is_ours:
                self._connect(target)
        self._is_client = bool(ray.util.client.ray.is_connected())

    def seats(self, most: int | None) -> int:
        """Actors for which the living nodes have CPUs, ``most`` on each."""
        cpus = (int(node["Resources"].get("CPU", 0)) for node in self.ray.nodes() if node["Alive"])
        return sum(min(own, MOST_ON_A_NODE if most is None else most) for own in cpus)

    def beside_the_driver(self) -> dict[str, Any]:
        """Options of an actor that is to live as long as this process: on its node, or for a client on the head's."""
        if self._is_client:
            return {"resources": {_HEAD: 0.001}}
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = self.ray.get_runtime_context().get_node_id()
        return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}

    @property
    def is_joined(self) -> bool:
        """Whether the connection still stands, as far as Ray knows."""
        return bool(self.ray.is_initialized())

    def close(self) -> None:
        """Leave the cluster; one that was started here ends."""
        if self._is_ours and self.is_joined:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.ray.shutdown()

    def _connect(self, target: str) -> None:
        common = {
            "namespace": f"ragcheck-{secrets.token_hex(4)}",
            "log_to_driver": False,
            "logging_level": logging.ERROR,
        }
        if target != RAY:
            self._join(target, common)
        elif address := os.environ.get("RAY_ADDRESS"):
            self._join(address, common)
        else:
            try:
                self.ray.init(address="auto", **common)
            except ConnectionError:
                self._start(common)

    def _join(self, address: str, common: dict[str, Any]) -> None:
        trouble = trouble_at(address)
        if trouble is not None:
            raise ConfigurationError(
                f"no Ray cluster at {address}: {trouble}; start it (ray start --head), or correct the address"
            )
        try:
            self.ray.init(address=address, **common)
        except Exception as problem:
            raise ConfigurationError(f"no Ray cluster at {address} can be joined: {_shortened(problem)}") from problem

    def _start(self, common: dict[str, Any]) -> None:
        try:
            self.ray.init(
                address="local",
                include_dashboard=False,
                object_store_memory=OBJECT_STORE,
                _node_ip_address="127.0.0.1",
                **common,
            )
        except Exception as problem:
            raise ConfigurationError(f"a Ray cluster cannot be started here: {_shortened(problem)}") from problem


def _shortened(problem: Exception) -> str:
    """In one line: what Ray says goes over several, and of those the first seldom tells the cause."""
    told = shorten(f"{type(problem).__name__}: {problem}", LONGEST_CAUSE, placeholder=" ...")
    if isinstance(problem, ConnectionError) and os.environ.get("RAY_AUTH_MODE") != "token":
        told += " (if it wants a token: RAY_AUTH_MODE=token, and the token in RAY_AUTH_TOKEN or ~/.ray/auth_token)"
    return told

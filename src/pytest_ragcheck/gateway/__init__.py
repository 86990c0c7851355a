"""The one door to a model: cache, limit, retry, price."""

from __future__ import annotations

from pytest_ragcheck.gateway.anthropic_transport import check_access, check_credentials
from pytest_ragcheck.gateway.call_stats import Snapshot
from pytest_ragcheck.gateway.client import Gateway
from pytest_ragcheck.gateway.cost_estimate import estimate_cost
from pytest_ragcheck.gateway.lazy import LazyGateway
from pytest_ragcheck.gateway.prices import PriceList
from pytest_ragcheck.gateway.requests import CacheMode, Completer, ModelReply, ModelRequest

__all__ = [
    "CacheMode",
    "Completer",
    "Gateway",
    "LazyGateway",
    "ModelReply",
    "ModelRequest",
    "PriceList",
    "Snapshot",
    "check_access",
    "check_credentials",
    "estimate_cost",
]

"""The one door to a model: cache, limit, retry, price."""

from __future__ import annotations

from pytest_ragcheck.gateway.accounts import Snapshot
from pytest_ragcheck.gateway.client import Gateway
from pytest_ragcheck.gateway.lazy import LazyGateway
from pytest_ragcheck.gateway.plan import plan
from pytest_ragcheck.gateway.prices import PriceList
from pytest_ragcheck.gateway.requests import CacheMode, Completer, ModelReply, ModelRequest
from pytest_ragcheck.gateway.transport import check_access, check_credentials

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
    "plan",
]

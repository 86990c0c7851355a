"""A system behind HTTP: what is sent, how the answer is read, and when to try again."""

from __future__ import annotations

from pytest_ragcheck.rag.endpoint.pipeline import HttpEndpoint

__all__ = ["HttpEndpoint"]

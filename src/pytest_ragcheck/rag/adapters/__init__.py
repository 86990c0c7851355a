"""Systems of users and of libraries, recognised by their shape; no library is imported for it."""

from __future__ import annotations

from pytest_ragcheck.rag.adapters.answers import as_answer
from pytest_ragcheck.rag.adapters.contexts import as_contexts
from pytest_ragcheck.rag.adapters.systems import System, system_of

__all__ = ["System", "as_answer", "as_contexts", "system_of"]

"""Regression tests for retrieval-augmented generation (RAG) as ordinary pytest items."""

from __future__ import annotations

__version__ = "0.1.0"

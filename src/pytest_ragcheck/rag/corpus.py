"""The documents of one suite: read once, known by their content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_ragcheck.model import Document
from pytest_ragcheck.rag.ingestion import EXTRACTION_VERSION, document_of, document_source, find_documents, read_content
from pytest_ragcheck.store import digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_ragcheck.store import Store

__all__ = ["Corpus", "read_corpus"]

_STORE_KIND = "document"
_PLAIN_TEXT = frozenset({".md", ".markdown", ".txt"})


@dataclass(frozen=True)
class Corpus:
    """Documents in the order of their sources, and a digest of their sources and texts."""

    documents: tuple[Document, ...]
    fingerprint: str

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """Each document's text by its source."""
        return {document.source: document.text for document in self.documents}


def read_corpus(patterns: Sequence[str], root: Path, store: Store) -> Corpus:
    """Read every document that ``patterns`` name, relative to ``root``.

    The text of HTML and PDF files comes from the store while the file is unchanged.
    Raises ConfigurationError for a pattern that matches nothing, DocumentError for an unreadable file.
    """
    documents = tuple(_read(path, document_source(path, root), store) for path in find_documents(patterns, root))
    parts = (part for document in documents for part in (document.source, document.text))
    return Corpus(documents, digest(str(EXTRACTION_VERSION), *parts).hex())


def _read(path: Path, source: str, store: Store) -> Document:
    content = read_content(path, source)
    kind = path.suffix.lower()
    if kind in _PLAIN_TEXT:
        return document_of(content, source)
    key = digest(str(EXTRACTION_VERSION), kind, _reader(kind), content)
    stored = store.get(_STORE_KIND, key)
    if stored is not None:
        return Document(source=source, text=stored.decode("utf-8"))
    document = document_of(content, source)
    store.put(_STORE_KIND, key, document.text.encode("utf-8"))
    return document


def _reader(kind: str) -> str:
    """The version of the library that gives a PDF its text: another one may give another text."""
    if kind != ".pdf":
        return ""
    from importlib import metadata

    try:
        return metadata.version("pypdf")
    except metadata.PackageNotFoundError:
        return ""

"""The documents of one suite: read once, known by their content."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import DocumentError
from pytest_ragcheck.model import Document
from pytest_ragcheck.rag.ingestion import EXTRACTION_VERSION, document_source, find_documents, read_document
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
    """Documents in the order of their paths, and a digest of what was read."""

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
    documents: list[Document] = []
    parts: list[str | bytes] = [str(EXTRACTION_VERSION)]
    for path in find_documents(patterns, root):
        source = document_source(path, root)
        document, content = _read(path, root, source, store)
        documents.append(document)
        parts += [source, content]
    return Corpus(tuple(documents), digest(*parts).hex())


def _read(path: Path, root: Path, source: str, store: Store) -> tuple[Document, bytes]:
    if path.suffix.lower() in _PLAIN_TEXT:
        document = read_document(path, root)
        return document, digest(document.text)
    try:
        content = digest(path.suffix.lower(), path.read_bytes())
    except OSError as problem:
        raise DocumentError(f"{source}: {problem.strerror or problem}; make it readable or leave it out") from None
    key = digest(str(EXTRACTION_VERSION), content)
    stored = store.get(_STORE_KIND, key)
    if stored is not None:
        return Document(source=source, text=stored.decode("utf-8")), content
    document = read_document(path, root)
    store.put(_STORE_KIND, key, document.text.encode("utf-8"))
    return document, content

"""The documents of one suite: read once, known by their content."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.model import Document
from pytest_ragcheck.rag.document_texts import DocumentTexts
from pytest_ragcheck.rag.ingestion import EXTRACTION_VERSION, document_of, document_source, find_documents, read_content
from pytest_ragcheck.store import StoredKind, digest, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pytest_ragcheck.store import Store

__all__ = ["Corpus", "read_corpus"]

_STORE_KIND = "document"
_TEXTS = StoredKind(_STORE_KIND, bytes.decode, needs_checksum=True)
MOST_NAMED = 200
"""Of more documents a baseline does not say which one changed."""
NAMED_DIGITS = 16
_PLAIN_TEXT = frozenset({".md", ".markdown", ".txt"})


@dataclass(frozen=True)
class Corpus:
    """Documents in the order of their sources: each one's text by its source, and a digest of sources and texts."""

    texts: Mapping[str, str]
    fingerprint: str
    digests: Mapping[str, str] = field(default_factory=dict)
    """Of each text by its source; empty where there are more than :data:`MOST_NAMED`."""

    @property
    def documents(self) -> Iterator[Document]:
        """The documents, one at a time."""
        return (Document(source=source, text=text) for source, text in self.texts.items())


def read_corpus(patterns: Sequence[str], root: Path, store: Store) -> Corpus:
    """Read every document that ``patterns`` name, relative to ``root``.

    The text of HTML and PDF files comes from the store while the file is unchanged. A large corpus is not held in
    memory: its texts are read again when they are asked for, see :class:`DocumentTexts`; ``store`` must then be open.
    Raises ConfigurationError for a pattern that matches nothing, DocumentError for an unreadable file.
    """
    paths = {document_source(path, root): str(path) for path in find_documents(patterns, root)}
    texts = DocumentTexts(paths, lambda source: _read(Path(paths[source]), source, store))
    digests: dict[str, str] = {}

    def parts() -> Iterator[str]:
        for source, text in texts.items():
            if len(paths) <= MOST_NAMED:
                digests[source] = digest(text).hex()[:NAMED_DIGITS]
            yield from (source, text)

    return Corpus(texts, digest_of(chain([str(EXTRACTION_VERSION)], parts())).hex(), digests)


def _read(path: Path, source: str, store: Store) -> str:
    content = read_content(path, source)
    kind = path.suffix.lower()
    if kind in _PLAIN_TEXT:
        return document_of(content, source).text
    key = digest(str(EXTRACTION_VERSION), kind, _reader(kind), content)
    stored = _TEXTS.get(store, key)
    if stored is not None:
        return stored
    text = document_of(content, source).text
    _TEXTS.put(store, key, text.encode("utf-8"))
    return text


def _reader(kind: str) -> str:
    """The version of the library that gives a PDF its text: another one may give another text."""
    if kind != ".pdf":
        return ""
    from importlib import metadata

    try:
        return metadata.version("pypdf")
    except metadata.PackageNotFoundError:
        return ""

"""The embedder that a configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.rag.importing import import_object, is_import_path

if TYPE_CHECKING:
    from pytest_ragcheck.rag.embedding import Embedder
    from pytest_ragcheck.session.config import Settings

__all__ = ["configured_embedder"]


def configured_embedder(settings: Settings) -> Embedder:
    """The embedder, not loaded yet.

    Raises ConfigurationError for a class of the user's that cannot be found or made, MissingExtraError where the
    packages are not installed.
    """
    from pytest_ragcheck.rag.embedding import SentenceTransformersEmbedder
    from pytest_ragcheck.rag.minilm import DEFAULT_MODEL, MiniLmEmbedder

    name = settings.embedder
    if is_import_path(name):
        return _own(name, settings)
    if name == DEFAULT_MODEL:
        return MiniLmEmbedder()
    location = settings.root / name
    return SentenceTransformersEmbedder(str(location) if location.is_dir() else name)


def _own(name: str, settings: Settings) -> Embedder:
    made: Embedder
    try:
        made = import_object(name, root=settings.root, key="embedder")()
    except ConfigurationError as problem:
        raise ConfigurationError(f"{settings.origin}: {problem}") from None
    except Exception as problem:
        cause = f"{type(problem).__name__}: {problem}".partition("\n")[0]
        raise ConfigurationError(f"{settings.origin}: embedder = {name!r} cannot be made: {cause}") from problem
    return made

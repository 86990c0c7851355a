"""What the checks look at: one question file with its configuration and documents."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.lint.findings import Finding, of_error
from pytest_ragcheck.commands.lint.sections import Sections

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_ragcheck.dataset import GoldFault
    from pytest_ragcheck.model import Question
    from pytest_ragcheck.session.config import Settings
    from pytest_ragcheck.session.config_file import ConfigurationFile

__all__ = ["Material", "read_material"]


@dataclass(frozen=True)
class Material:
    """``questions`` are as in the file, ``resolved`` the same with their gold tied to the documents."""

    settings: Settings
    configuration: ConfigurationFile | None
    name: str
    """The question file, as messages call it."""
    questions: Sequence[Question]
    resolved: Sequence[Question]
    gold_faults: Sequence[GoldFault]
    documents: Mapping[str, str] | None
    """Text by source; None where none are configured, or they cannot be read."""

    @cached_property
    def sections(self) -> Sections:
        """The documents' sections."""
        return Sections(self.documents or {})

    def place(self, *key: str) -> str:
        """``file:line`` of a key of the configuration, else of the table that it is in."""
        if self.configuration is None:
            return self.settings.origin
        return self.configuration.place(*key)


def read_material(path: Path | None, folder: Path) -> tuple[Material, list[Finding]]:
    """The question file ``path``, else the configured one; with the faults that keep a part of it from being used.

    Raises:
        ConfigurationError: the configuration is not valid, or names no question file.

    """
    from pytest_ragcheck.dataset import load_sound_questions, resolve_sound_gold
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.session.config import load_settings
    from pytest_ragcheck.session.config_file import find_configuration

    place = folder if path is None else path.parent
    settings = load_settings(place, questions=path, invocation=folder)
    if settings.questions is None:
        raise ConfigurationError(f"{settings.origin}: no questions; name the file: python -m pytest_ragcheck lint FILE")
    name = os.path.relpath(settings.questions)
    questions, faults = load_sound_questions(settings.questions, name=name)
    findings = [of_error(fault, "question", fallback=name) for fault in faults]
    documents = _documents(settings, findings)
    resolved, gold_faults = (questions, ()) if documents is None else resolve_sound_gold(questions, documents)
    material = Material(
        settings=settings,
        configuration=find_configuration(place) or find_configuration(folder),
        name=name,
        questions=questions,
        resolved=resolved,
        gold_faults=gold_faults,
        documents=documents,
    )
    return material, findings


def _documents(settings: Settings, findings: list[Finding]) -> Mapping[str, str] | None:
    from pytest_ragcheck.errors import ConfigurationError, DocumentError, MissingExtraError
    from pytest_ragcheck.rag.corpus import read_corpus
    from pytest_ragcheck.store import Store

    if not settings.documents:
        return None
    try:
        # What was extracted from PDF files is in the store, if there is one; a check makes none.
        path = settings.root / ".ragcheck" / "cache.sqlite"
        with Store(path if path.is_file() else None) as store:
            return dict(read_corpus(settings.documents, settings.root, store).texts)  # the store is closed then
    except ConfigurationError as problem:
        findings.append(of_error(ConfigurationError(f"{settings.origin}: {problem}"), "documents", fallback=""))
    except (DocumentError, MissingExtraError) as problem:
        findings.append(of_error(problem, "documents", fallback=settings.origin))
    return None

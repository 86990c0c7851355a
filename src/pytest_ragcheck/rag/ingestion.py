"""Documents: which files they are, and their text.

The extracted text is what offsets of gold passages refer to. Markdown and plain text are kept
exactly as decoded (only a byte order mark is removed); HTML and PDF are as their readers give them.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
import re
import stat
import warnings
from collections import deque
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pytest_ragcheck.errors import ConfigurationError, DocumentError, MissingExtraError
from pytest_ragcheck.model import Document
from pytest_ragcheck.rag.chunking import CHUNKING_VERSION, chunk_document, chunk_documents
from pytest_ragcheck.rag.threads import run_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pypdf import PdfReader

__all__ = [
    "CHUNKING_VERSION",
    "DOCUMENT_SUFFIXES",
    "EXTRACTION_VERSION",
    "chunk_document",
    "chunk_documents",
    "document_of",
    "document_source",
    "find_documents",
    "read_content",
    "read_document",
]

EXTRACTION_VERSION = 1
"""Part of what fingerprints an index; it rises whenever the same file gives other text."""

LARGEST_DOCUMENT = 100 * 1024 * 1024
"""Bytes."""
LARGEST_TEXT = 20_000_000
"""Characters of a document's text, some 10,000 pages; the worst take half a minute and 2 GB to cut into chunks."""
PDF_SECONDS = 300
"""Time to read one PDF: its pages may be programs that run for hours."""

# ---- Finding ---------------------------------------------------------------------------------

_OWN_FOLDER = ".ragcheck"
_NOT = "!"
_MAGIC = re.compile(r"[*?\[]")


def find_documents(patterns: Sequence[str], root: Path) -> tuple[Path, ...]:
    """The documents that ``patterns`` name, sorted by :func:`document_source`, each once.

    A pattern is a file, a folder (all documents below it) or a glob (``docs/**/*.md``), absolute or
    relative to ``root``. Globs and folders leave out other kinds of files, hidden files and folders;
    links to folders are followed, but no folder is visited twice. What a pattern after ``!`` names is no
    document, whichever other pattern names it.

    Raises:
        ConfigurationError: when a pattern matches no document, names a file of an unknown kind, or
            leads to a folder that cannot be read, or when every document is left out.

    """
    found: dict[str, Path] = {}
    for pattern in patterns:
        if not pattern.startswith(_NOT):
            found |= _matches(pattern, root)
    for pattern in patterns:
        if pattern.startswith(_NOT):
            found = {source: found[source] for source in found.keys() - _matches(pattern[len(_NOT) :], root).keys()}
    if patterns and not found:
        raise ConfigurationError("documents: all are left out; name a file, a folder or a glob without '!'")
    return tuple(found[source] for source in sorted(found))


def document_source(path: Path, root: Path) -> str:
    """``path`` relative to ``root`` with forward slashes; it starts with ``..`` where it lies outside."""
    return Path(os.path.relpath(path, root)).as_posix()


def _matches(pattern: str, root: Path) -> dict[str, Path]:
    """The documents of one pattern, by source."""
    sources = {document_source(path, root): path for path in _readable_matches(pattern, root)}
    matches = {source: path for source, path in sources.items() if _OWN_FOLDER not in source.split("/")}
    if not matches:
        raise ConfigurationError(
            f"documents: {pattern!r} matches no document below {root}; known kinds: {_known_kinds()}"
        )
    _check_names(matches)
    return matches


def _readable_matches(pattern: str, root: Path) -> list[Path]:
    try:
        return _matching_files(pattern, root)
    except OSError as error:
        raise ConfigurationError(
            f"documents: {pattern!r}: {error.filename} cannot be read ({error.strerror}); allow it, or leave it out"
        ) from error


def _matching_files(pattern: str, root: Path) -> list[Path]:
    place = Path(os.path.normpath(root / pattern))
    if place.is_dir():
        return [path for path in _files_below(place) if _is_document(path)]
    if place.exists():
        return [_named_document(pattern, place)]
    if not _MAGIC.search(pattern):
        raise ConfigurationError(f"documents: {pattern!r} does not exist below {root}; name a file, a folder or a glob")
    return _glob(pattern, root)


def _named_document(pattern: str, path: Path) -> Path:
    if path.suffix.lower() not in DOCUMENT_SUFFIXES:
        raise ConfigurationError(f"documents: {pattern!r} is of an unknown kind; known kinds: {_known_kinds()}")
    return path


def _known_kinds() -> str:
    return " ".join(sorted(DOCUMENT_SUFFIXES))


def _is_document(path: Path) -> bool:
    return path.suffix.lower() in DOCUMENT_SUFFIXES


def _glob(pattern: str, root: Path) -> list[Path]:
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if _MAGIC.search(part))
    start = Path(os.path.normpath(root.joinpath(*parts[:fixed])))
    wanted = parts[fixed:]
    depth = None if "**" in wanted else len(wanted)
    return [
        path
        for path in _files_below(start, depth)
        if _is_document(path) and _fits(path.relative_to(start).parts, wanted)
    ]


def _fits(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the path of ``parts`` fits the glob of ``wanted``, where ``**`` stands for any number of folders."""
    if not wanted:
        return not parts
    if wanted[0] == "**":
        return _fits(parts, wanted[1:]) or (bool(parts) and _fits(parts[1:], wanted))
    return bool(parts) and fnmatchcase(parts[0], wanted[0]) and _fits(parts[1:], wanted[1:])


def _check_names(sources: Iterable[str]) -> None:
    for source in sources:
        try:
            source.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(f"documents: the name of {source!a} is not UTF-8; rename it") from None


def _files_below(start: Path, depth: int | None = None) -> Iterator[Path]:
    """The files that are not hidden, at most ``depth`` names below ``start``.

    Folders are visited before links to folders, so that files go by their own names. A folder that was
    visited, or that holds ``start``, is not entered (again): a link to it would lead in circles.
    """
    visited = {_identity(parent) for parent in start.resolve().parents}
    folders, links = deque([(start, 1)]), deque[tuple[Path, int]]()
    while folders or links:
        folder, level = (folders or links).popleft()
        identity = _identity(folder)
        if identity in visited:
            continue
        visited.add(identity)
        for path in _entries(folder):
            if path.is_file():
                yield path
            elif path.is_dir() and (depth is None or level < depth):
                (links if path.is_symlink() else folders).append((path, level + 1))


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _entries(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 (the names alone, without a Path for the hidden ones)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in names if not name.startswith(".")]


# ---- Reading ---------------------------------------------------------------------------------


def read_document(path: Path, root: Path) -> Document:
    """The document at ``path`` with its extracted text; its source is relative to ``root``.

    Raises:
        DocumentError: when it cannot be read, is larger than 100 MB, holds no text or more than 20 million
            characters, is not in the encoding that its kind asks for, is damaged or encrypted, or is a PDF
            that takes longer than 300 s.
        MissingExtraError: for a PDF where pypdf is not installed.

    """
    source = document_source(path, root)
    return document_of(read_content(path, source), source)


def read_content(path: Path, source: str) -> bytes:
    """A document's bytes; DocumentError where it is of an unknown kind, no regular file, too large or unreadable."""
    if not _is_document(path):
        raise DocumentError(f"{source}: a document of an unknown kind; known kinds: {_known_kinds()}")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DocumentError(f"{source}: not a regular file; {_leave_out(source)}")
        with path.open("rb") as file:
            content = file.read(LARGEST_DOCUMENT + 1)
    except OSError as error:
        raise DocumentError(
            f"{source}: cannot be read ({error.strerror}); allow it, or {_leave_out(source)}"
        ) from error
    if len(content) > LARGEST_DOCUMENT:
        raise DocumentError(f"{source}: larger than {LARGEST_DOCUMENT // 2**20} MB; split it, or {_leave_out(source)}")
    return content


def _leave_out(source: str) -> str:
    return f"leave it out with {_NOT + source!r} among the documents"


def document_of(content: bytes, source: str) -> Document:
    """The document with the text that ``content`` holds, read as the suffix of ``source`` tells.

    Raises as :func:`read_document` does.
    """
    text = _EXTRACTORS[PurePosixPath(source).suffix.lower()](content, source)
    if not text.strip():
        raise DocumentError(f"{source}: holds no text; {_leave_out(source)}")
    _check_length(len(text), source)
    return Document(source=source, text=text)


def _check_length(length: int, source: str) -> None:
    if length > LARGEST_TEXT:
        raise DocumentError(
            f"{source}: holds more than {LARGEST_TEXT:,} characters of text; split it, or {_leave_out(source)}"
        )


# ---- Text and HTML


def _plain_text(content: bytes, source: str) -> str:
    return _decoded(content, "utf-8", source)


def _text_of_html(content: bytes, source: str) -> str:
    from pytest_ragcheck.rag.html_text import html_to_text

    return html_to_text(_decoded(content, _charset(content, source), source))


def _decoded(content: bytes, encoding: str, source: str) -> str:
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        place = f" at byte {error.start}" if isinstance(error, UnicodeDecodeError) else ""
        raise DocumentError(f"{source}: not {encoding.upper()}{place}; save it as UTF-8") from None
    text = text.removeprefix("\ufeff")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DocumentError(
            f"{source}: a NUL character in line {line}; is it a text file? save it anew, or {_leave_out(source)}"
        )
    return text


_DECLARED_CHARSET = re.compile(rb"<meta\s[^>]{0,400}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.+-]{1,40})", re.IGNORECASE)
_WHERE_CHARSETS_STAND = 4096
_CHARSETS = frozenset(
    """utf-8 cp866 cp874 cp932 cp949 cp950 koi8-r koi8-u mac-roman mac-cyrillic shift_jis euc_jp iso2022_jp euc_kr
    gb2312 gbk gb18030 big5 big5hkscs""".split()  # noqa: SIM905
) | {*(f"cp{page}" for page in range(1250, 1259)), *(f"iso8859-{part}" for part in range(2, 17))}
_AS_BROWSERS_READ = {"ascii": "cp1252", "iso8859-1": "cp1252", "utf-16": "utf-8", "utf-16-le": "utf-8"}


def _charset(content: bytes, source: str) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    declared = _DECLARED_CHARSET.search(content, 0, _WHERE_CHARSETS_STAND)
    if declared is None or content.startswith(codecs.BOM_UTF8):
        return "utf-8"
    label = declared[1].decode("ascii")
    try:
        name = codecs.lookup(label).name
    except LookupError:
        name = ""
    name = _AS_BROWSERS_READ.get(name, name)
    if name not in _CHARSETS:  # Python's codecs also hold compressions and escapes, which are no charsets.
        raise DocumentError(f"{source}: declares the charset {label!r}, which is not known; save it as UTF-8")
    return name


# ---- PDF

_LONGEST_CAUSE = 120


def _text_of_pdf(content: bytes, source: str) -> str:
    with _quiet_pypdf():
        try:
            from pypdf import PdfReader
            from pypdf.errors import DependencyError
        except ImportError:
            raise MissingExtraError(f"{source}: reading PDF documents", extra="rag") from None
        try:
            pages = run_for(PDF_SECONDS, lambda: _pages(PdfReader(io.BytesIO(content)), source))
        except DependencyError:  # newer ciphers need a library beyond pypdf
            pages = None
        except DocumentError:
            raise
        except TimeoutError:
            problem = f"{source}: reading it took longer than {PDF_SECONDS} s"
            raise DocumentError(f"{problem}; split it, or {_leave_out(source)}") from None
        except Exception as error:  # pypdf raises nearly anything for a damaged file
            cause = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST_CAUSE]
            raise DocumentError(f"{source}: damaged PDF ({cause}); save it anew, or {_leave_out(source)}") from error
    if pages is None:
        raise DocumentError(f"{source}: encrypted PDF; save it without a password, or {_leave_out(source)}")
    text = "\n\n".join(page for page in pages if page)
    if not text:
        raise DocumentError(
            f"{source}: a PDF without a text layer (scanned, or damaged?); run OCR on it, or {_leave_out(source)}"
        )
    return text


def _pages(reader: PdfReader, source: str) -> list[str] | None:
    """The text of each page; None where a password is missing."""
    # Many a PDF is encrypted only to restrict printing; an empty password opens it.
    if reader.is_encrypted and not reader.decrypt(""):
        return None
    pages, length = [], 0
    for page in reader.pages:
        pages.append(_clean(page.extract_text()))
        length += len(pages[-1])
        _check_length(length, source)
    return pages


def _clean(text: str) -> str:
    """Page text without what no text file can hold: NULs, and halves of surrogate pairs."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "").strip()


@contextmanager
def _quiet_pypdf() -> Iterator[None]:
    """Silence about what pypdf tells: every oddity of a file, to the log and as warnings, even where it can read on."""
    log = logging.getLogger("pypdf")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


_EXTRACTORS: Mapping[str, Callable[[bytes, str], str]] = {
    ".md": _plain_text,
    ".markdown": _plain_text,
    ".txt": _plain_text,
    ".html": _text_of_html,
    ".htm": _text_of_html,
    ".pdf": _text_of_pdf,
}

DOCUMENT_SUFFIXES: frozenset[str] = frozenset(_EXTRACTORS)
"""The kinds of documents, in small letters; upper case in file names is fine."""

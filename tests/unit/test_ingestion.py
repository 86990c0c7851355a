from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_ragcheck.errors import ConfigurationError, DocumentError, MissingExtraError
from pytest_ragcheck.rag import ingestion
from pytest_ragcheck.rag.ingestion import (
    DOCUMENT_SUFFIXES,
    chunk_document,
    document_source,
    find_documents,
    read_document,
)


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text of {name}.", encoding="utf-8")


def found(root: Path, *patterns: str) -> list[str]:
    return [document_source(path, root) for path in find_documents(patterns, root)]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write(
        tmp_path,
        "docs/b.md",
        "docs/a.TXT",
        "docs/deep/er/c.html",
        "docs/deep/d.md",
        "docs/picture.png",
        "docs/.hidden.md",
        "docs/.git/e.md",
        ".ragcheck/report.md",
        "README.markdown",
        "setup.py",
        "notes [draft].txt",
    )
    return tmp_path


# ---- Finding


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["docs/**/*.md"], ["docs/b.md", "docs/deep/d.md"]),
        (["docs/*.md"], ["docs/b.md"]),
        (["**/*.md"], ["docs/b.md", "docs/deep/d.md"]),
        (["docs/*/*"], ["docs/deep/d.md"]),
        (["docs/**"], ["docs/a.TXT", "docs/b.md", "docs/deep/d.md", "docs/deep/er/c.html"]),
        (["docs/**/er/**/*.html"], ["docs/deep/er/c.html"]),
        (["do?s/[ab].*"], ["docs/a.TXT", "docs/b.md"]),
        (["docs"], ["docs/a.TXT", "docs/b.md", "docs/deep/d.md", "docs/deep/er/c.html"]),
        (["docs/"], ["docs/a.TXT", "docs/b.md", "docs/deep/d.md", "docs/deep/er/c.html"]),
        (["docs/deep", "docs/**/d.md", "./docs/deep/d.md"], ["docs/deep/d.md", "docs/deep/er/c.html"]),
        (["README.markdown", "docs/a.TXT"], ["README.markdown", "docs/a.TXT"]),
        (["notes [draft].txt"], ["notes [draft].txt"]),
        (["docs/.hidden.md"], ["docs/.hidden.md"]),
        (["docs/.git/*.md"], ["docs/.git/e.md"]),
        (["*.markdown"], ["README.markdown"]),
        (["!docs/deep", "docs", "!docs/*.TXT"], ["docs/b.md"]),
        (["docs/deep/**", "!**/d.md"], ["docs/deep/er/c.html"]),
        ([], []),
    ],
)
def test_patterns_find_documents_sorted_and_once(tree: Path, patterns: list[str], expected: list[str]) -> None:
    assert found(tree, *patterns) == expected


def test_patterns_may_lead_out_of_the_root(tree: Path) -> None:
    root = tree / "docs" / "deep"
    assert found(root, "../*.md", "../../README.markdown") == ["../../README.markdown", "../b.md"]
    assert found(root, f"{tree}/docs/**/*.html") == ["er/c.html"]
    assert found(root, str(tree / "docs" / "b.md")) == ["../b.md"]


def test_all_documents_below_the_root(tree: Path) -> None:
    assert found(tree, ".") == [
        "README.markdown",
        "docs/a.TXT",
        "docs/b.md",
        "docs/deep/d.md",
        "docs/deep/er/c.html",
        "notes [draft].txt",
    ]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("docs/*.pdf", "matches no document"),
        ("nowhere/**/*.md", "matches no document"),
        ("README.markdown/*.md", "matches no document"),
        ("docs/*.png", "matches no document"),
        (".ragcheck", "matches no document"),
        ("docs/missing.md", "does not exist"),
        ("missing", "does not exist"),
        ("setup.py", "unknown kind; known kinds: .htm .html .markdown .md .pdf .txt"),
        ("docs/picture.png", "unknown kind"),
        ("!docs/missing.md", "does not exist"),
        ("!docs/*.pdf", "matches no document"),
    ],
)
def test_a_pattern_without_documents_is_refused(tree: Path, pattern: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_documents(["docs", pattern], tree)
    assert problem in str(caught.value)
    assert repr(pattern.removeprefix("!")) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_all_documents_can_be_left_out(tree: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^documents: all are left out; name .* without '!'$"):
        find_documents(["docs", "!."], tree)


def test_links_that_lead_in_circles_are_followed_once(tree: Path) -> None:
    (tree / "docs" / "deep" / "up").symlink_to(tree / "docs")
    (tree / "docs" / "deep" / "far-up").symlink_to(tree)
    (tree / "docs" / "self").symlink_to(tree / "docs" / "self")
    (tree / "docs" / "broken.md").symlink_to(tree / "gone.md")
    for name in ("one", "two"):
        for number in range(20):
            (tree / "docs" / "deep" / f"{name}{number}").symlink_to(tree / "docs" / "deep" / "er")
    assert found(tree, "docs/**/*") == ["docs/a.TXT", "docs/b.md", "docs/deep/d.md", "docs/deep/er/c.html"]


def test_linked_folders_and_files_are_documents_too(tree: Path) -> None:
    write(tree, "elsewhere/x.md")
    (tree / "docs" / "a-link").symlink_to(tree / "elsewhere")
    (tree / "docs" / "z.md").symlink_to(tree / "elsewhere" / "x.md")
    assert found(tree, "docs/**/*.md") == ["docs/a-link/x.md", "docs/b.md", "docs/deep/d.md", "docs/z.md"]


def test_a_folder_goes_by_its_own_name_before_links_to_it(tree: Path) -> None:
    (tree / "docs" / "a-link").symlink_to(tree / "docs" / "deep" / "er")
    assert found(tree, "docs/**/*.html") == ["docs/deep/er/c.html"]


@pytest.mark.usefixtures("permissions_count")
def test_an_unreadable_folder_is_no_empty_folder(tree: Path) -> None:
    (tree / "docs" / "deep").chmod(0)
    try:
        with pytest.raises(ConfigurationError, match=r"deep cannot be read \(Permission denied\)"):
            find_documents(["docs"], tree)
    finally:
        (tree / "docs" / "deep").chmod(0o755)


def test_a_name_that_is_not_utf8_is_refused(tree: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(tree / "docs") + b"/\xe9.md")).write_text("Text.")
    except OSError:
        pytest.skip("this file system allows no such name")
    with pytest.raises(ConfigurationError, match=r"is not UTF-8; rename it") as caught:
        find_documents(["docs"], tree)
    str(caught.value).encode("utf-8")


def test_sources_are_relative_with_forward_slashes(tmp_path: Path) -> None:
    assert document_source(tmp_path / "a" / "b.md", tmp_path) == "a/b.md"
    assert document_source(tmp_path / "b.md", tmp_path / "a") == "../b.md"
    assert document_source(tmp_path / "a" / ".." / "b.md", tmp_path) == "b.md"


# ---- Reading text


def read(tmp_path: Path, name: str, content: bytes) -> str:
    (tmp_path / name).write_bytes(content)
    document = read_document(tmp_path / name, tmp_path)
    assert document.source == name
    return document.text


def refusal(tmp_path: Path, name: str, content: bytes) -> str:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        read_document(tmp_path / name, tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["a.md", "a.MARKDOWN", "a.txt"])
def test_markdown_and_text_are_kept_as_decoded(tmp_path: Path, name: str) -> None:
    text = "---\ntitle: x\n---\r\n# Título \u2028 😀\r\rText  \n\n"
    assert read(tmp_path, name, text.encode()) == text
    assert read(tmp_path, name, b"\xef\xbb\xbf" + text.encode()) == text


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.md", b"caf\xe9", "not UTF-8 at byte 3; save it as UTF-8"),
        ("a.txt", "Text".encode("utf-16"), "not UTF-8 at byte 0"),
        ("a.md", b"one\ntwo\0", "a NUL character in line 2"),
        ("a.html", b"<p>\0</p>", "a NUL character in line 1"),
        ("a.md", b"", "holds no text"),
        ("a.txt", b"\xef\xbb\xbf \n\t", "holds no text"),
        ("a.html", b"<script>x</script><p> </p>", "holds no text"),
        ("a.html", b"<p>\xe9</p>", "not UTF-8 at byte 3"),
        ("a.html", b"<meta charset='klingon'><p>x", "declares the charset 'klingon', which is not known"),
        ("a.html", b"<meta charset=zlib><p>x", "declares the charset 'zlib', which is not known"),
        ("a.html", b"<meta charset=rot13><p>x", "declares the charset 'rot13'"),
        ("a.html", b"<meta charset=shift_jis><p>\xff\xff", "not SHIFT_JIS at byte"),
        ("a.html", b"\xff\xfe<\x00p", "not UTF-16"),
        ("a.docx", b"PK", "unknown kind; known kinds"),
        ("a.pdf", b"not a PDF", "damaged PDF"),
        ("a.pdf", b"", "damaged PDF"),
    ],
)
def test_what_is_no_text_is_refused_with_a_remedy(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    if name.endswith(".pdf"):
        pytest.importorskip("pypdf")
    assert problem in refusal(tmp_path, name, content)


def test_missing_folders_and_odd_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "folder.md").mkdir()
    for name, problem in (
        ("missing.md", "cannot be read (No such file or directory)"),
        ("pipe.md", "not a regular file"),
        ("folder.md", "not a regular file"),
    ):
        with pytest.raises(DocumentError) as caught:
            read_document(tmp_path / name, tmp_path)
        assert str(caught.value).startswith(f"{name}: {problem}")


@pytest.mark.usefixtures("permissions_count")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Text.")
    (tmp_path / "a.md").chmod(0)
    with pytest.raises(DocumentError, match=r"^a\.md: cannot be read \(Permission denied\)"):
        read_document(tmp_path / "a.md", tmp_path)


def test_too_large_a_file_is_refused_and_the_largest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "LARGEST_DOCUMENT", 2**20)
    assert "larger than 1 MB" in refusal(tmp_path, "a.txt", b"x" * (2**20 + 1))
    assert len(read(tmp_path, "a.txt", b"x" * 2**20)) == 2**20


def test_too_long_a_text_is_refused_and_the_longest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingestion, "LARGEST_TEXT", 1_000)
    assert len(read(tmp_path, "a.txt", b"x" * 1_000)) == 1_000
    for name, content in (("a.txt", b"x" * 1_001), ("a.html", b"<p>" + b"x" * 1_001)):
        assert "holds more than 1,000 characters of text; split it, or leave it out" in refusal(tmp_path, name, content)


# ---- Reading HTML


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ("", "utf-8"),
        ("<meta charset=utf-8>", "utf-8"),
        ("<meta charset='UTF-16'>", "utf-8"),
        ('<META http-equiv="Content-Type" content="text/html; charset=ISO-8859-1">', "cp1252"),
        ("<meta name=a><meta  charset = 'windows-1252' />", "cp1252"),
        ("<meta charset=iso-8859-15>", "iso8859-15"),
        ("", "utf-16"),
        ("<meta charset=latin1>", "utf-8-sig"),
    ],
)
def test_html_is_read_in_its_charset(tmp_path: Path, head: str, encoding: str) -> None:
    page = f"<html><head>{head}</head><body><h1>Prix</h1><p>café 5 €</body>"
    assert read(tmp_path, "a.html", page.encode(encoding)) == "# Prix\n\ncafé 5 €"


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("shift_jis", "漢字"),
        ("euc-jp", "漢字"),
        ("gb18030", "漢字"),
        ("big5", "漢字"),
        ("koi8-r", "Привет"),
        ("windows-1251", "Привет"),
        ("macintosh", "é"),
    ],
)
def test_declared_charsets_of_other_scripts(tmp_path: Path, charset: str, text: str) -> None:
    assert read(tmp_path, "a.htm", f"<meta charset={charset}><p>{text}".encode(charset)) == text


# ---- Reading PDF


def pdf(*pages: str | None) -> bytes:
    """A PDF of pages that show a text, or (None) a picture alone."""
    objects = ["<< /Type /Catalog /Pages 2 0 R >>", ""]
    kids = []
    for text in pages:
        content = (
            "q 10 0 0 10 0 0 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x80 EI Q"
            if text is None
            else f"BT /F1 12 Tf 72 720 Td 14 TL {' '.join(f'({line}) Tj T*' for line in text.splitlines())} ET"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
        font = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {len(objects)} 0 R "
            f"/Resources << /Font << /F1 {font} >> >> >>"
        )
        kids.append(f"{len(objects)} 0 R")
    objects[1] = f"<< /Type /Pages /Kids [{' '.join(kids)}] /Count {len(kids)} >>"
    body, places = b"%PDF-1.4\n", []
    for number, value in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{value}\nendobj\n".encode("latin-1")
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    trailer = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return body + f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode()


def encrypted(content: bytes, password: str, algorithm: str = "RC4-128") -> bytes:
    pypdf = pytest.importorskip("pypdf")
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(content))
    writer.encrypt(user_password=password, owner_password="owner", algorithm=algorithm)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def test_pdf_text_comes_page_by_page(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    text = read(tmp_path, "a.PDF", pdf("First page.\nIts second line.", None, "Second page."))
    assert text == "First page.\nIts second line.\n\nSecond page."
    document = read_document(tmp_path / "a.PDF", tmp_path)
    (chunk,) = chunk_document(document, size=50, overlap=0)
    assert chunk.text == text


def test_a_pdf_with_too_much_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pypdf")
    monkeypatch.setattr(ingestion, "LARGEST_TEXT", 20)
    assert "holds more than 20 characters of text" in refusal(tmp_path, "a.pdf", pdf("First page.", "Second page."))


def test_a_pdf_that_takes_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pypdf")
    monkeypatch.setattr(ingestion, "PDF_SECONDS", 0)
    monkeypatch.setattr(ingestion, "_pages", lambda *_: threading.Event().wait(5))
    assert refusal(tmp_path, "a.pdf", pdf("Text.")).startswith(
        "a.pdf: reading it took longer than 0 s; split it, or leave it out"
    )


def test_a_pdf_of_pictures_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    assert "without a text layer (scanned, or damaged?); run OCR on it" in refusal(tmp_path, "a.pdf", pdf(None, None))


def test_an_encrypted_pdf_is_refused_unless_it_opens_without_a_password(tmp_path: Path) -> None:
    content = pdf("Secret text.")
    assert "encrypted PDF; save it without a password" in refusal(tmp_path, "a.pdf", encrypted(content, "password"))
    assert read(tmp_path, "a.pdf", encrypted(content, "")) == "Secret text."


def test_aes_without_a_password(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    assert read(tmp_path, "a.pdf", encrypted(pdf("Secret text."), "", "AES-256")) == "Secret text."


def test_a_cipher_that_pypdf_lacks_a_library_for_is_refused_as_encrypted(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    (tmp_path / "a.pdf").write_bytes(encrypted(pdf("Secret text."), "", "AES-256"))
    program = """
import sys
from pathlib import Path
sys.modules["cryptography"] = sys.modules["Crypto"] = None
from pytest_ragcheck.rag.ingestion import read_document
try:
    read_document(Path("a.pdf"), Path())
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == (
        "DocumentError a.pdf: encrypted PDF; save it without a password, "
        "or leave it out with '!a.pdf' among the documents\n"
    )
    assert done.stderr == ""


@pytest.fixture
def no_noise(caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder):
    level = logging.getLogger("pypdf").level
    with caplog.at_level(logging.DEBUG):
        yield
    assert caplog.records == []
    assert list(recwarn) == []
    assert logging.getLogger("pypdf").level == level


@pytest.mark.usefixtures("no_noise")
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (b"trailer", b"rubbish"),
        (b"/Kids [4 0 R 6 0 R]", b"/Kids [2 0 R 2 0 R]"),
        (b"<< /Length", b"<< /Filter /FlateDecode /Length"),
    ],
)
def test_a_damaged_pdf_is_refused_without_noise(tmp_path: Path, good: bytes, bad: bytes) -> None:
    pytest.importorskip("pypdf")
    whole = pdf("Some text.", "More text.")
    assert good in whole
    assert "PDF" in refusal(tmp_path, "a.pdf", whole.replace(good, bad))
    assert "damaged PDF" in refusal(tmp_path, "a.pdf", whole[:120])


@pytest.mark.usefixtures("no_noise")
@pytest.mark.parametrize(("good", "bad"), [(b"startxref\n", b"startxref\n9"), (b"/Root 1 0 R", b"/Root 9 0 R")])
def test_a_pdf_that_can_be_repaired_is_read_without_noise(tmp_path: Path, good: bytes, bad: bytes) -> None:
    pytest.importorskip("pypdf")
    text = read(tmp_path, "a.pdf", pdf("Some text.").replace(good, bad))
    assert text == "Some text."


def test_a_pdf_without_pypdf_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    (tmp_path / "a.pdf").write_bytes(pdf("Text."))
    with pytest.raises(MissingExtraError, match=r'a\.pdf: reading PDF documents .*"pytest-ragcheck\[rag\]"'):
        read_document(tmp_path / "a.pdf", tmp_path)


def test_every_suffix_is_known(tmp_path: Path) -> None:
    assert frozenset({".md", ".markdown", ".txt", ".html", ".htm", ".pdf"}) == DOCUMENT_SUFFIXES

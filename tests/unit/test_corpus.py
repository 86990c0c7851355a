from __future__ import annotations

import os

import pytest

from pytest_ragcheck.errors import ConfigurationError, DocumentError
from pytest_ragcheck.rag import corpus as corpus_module
from pytest_ragcheck.rag import ingestion
from pytest_ragcheck.rag.corpus import read_corpus
from pytest_ragcheck.store import Store


@pytest.fixture
def store():
    with Store(None) as store:
        yield store


@pytest.fixture
def root(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.md").write_text("# B\n\nText of b.", encoding="utf-8")
    (tmp_path / "docs" / "a.html").write_text("<h1>A</h1><p>Text of a &amp; more.", encoding="utf-8")
    (tmp_path / "docs" / "c.txt").write_text("Text of c.", encoding="utf-8")
    return tmp_path


@pytest.fixture
def extracted(monkeypatch):
    """The sources whose text was really extracted."""
    sources = []
    real = ingestion.document_of

    def counting(content, source):
        sources.append(source)
        return real(content, source)

    monkeypatch.setattr(corpus_module, "document_of", counting)
    return sources


def test_documents_stand_in_the_order_of_their_sources(root, store):
    corpus = read_corpus(["docs/*.txt", "docs/*.md", "docs/*.html"], root, store)
    assert [document.source for document in corpus.documents] == ["docs/a.html", "docs/b.md", "docs/c.txt"]
    assert corpus.texts == {
        "docs/a.html": "# A\n\nText of a & more.",
        "docs/b.md": "# B\n\nText of b.",
        "docs/c.txt": "Text of c.",
    }


def test_the_text_of_an_unchanged_page_comes_from_the_store(root, store, extracted):
    first = read_corpus(["docs"], root, store)
    assert extracted == ["docs/a.html", "docs/b.md", "docs/c.txt"]
    del extracted[:]
    assert read_corpus(["docs"], root, store) == first
    assert extracted == ["docs/b.md", "docs/c.txt"]  # plain text needs no extraction to keep

    del extracted[:]
    (root / "docs" / "a.html").write_text("<p>Changed.")
    changed = read_corpus(["docs"], root, store)
    assert changed.texts["docs/a.html"] == "Changed."
    assert changed.fingerprint != first.fingerprint
    assert "docs/a.html" in extracted


def test_an_equal_page_under_another_name_keeps_its_own_source(root, store):
    (root / "docs" / "copy.html").write_bytes((root / "docs" / "a.html").read_bytes())
    texts = read_corpus(["docs"], root, store).texts
    assert texts["docs/copy.html"] == texts["docs/a.html"]


def test_the_fingerprint_is_that_of_sources_and_texts(root, store, monkeypatch):
    first = read_corpus(["docs"], root, store).fingerprint
    assert read_corpus(["docs/c.txt", "docs/*.md", "docs/*.html"], root, store).fingerprint == first
    assert read_corpus(["docs/*.md"], root, store).fingerprint != first

    (root / "docs" / "b.md").rename(root / "docs" / "b2.md")
    renamed = read_corpus(["docs"], root, store).fingerprint
    assert renamed != first
    (root / "docs" / "b2.md").rename(root / "docs" / "b.md")
    (root / "docs" / "b.md").write_bytes(b"\xef\xbb\xbf# B\n\nText of b.")  # a byte order mark is no text
    (root / "docs" / "a.html").write_text("<h1>A</h1><!-- other bytes --><p>Text of a &amp; more.")
    assert read_corpus(["docs"], root, store).fingerprint == first
    monkeypatch.setattr(corpus_module, "EXTRACTION_VERSION", -1)
    assert read_corpus(["docs"], root, store).fingerprint != first


def test_each_document_of_a_small_corpus_is_known_by_its_text(root, store, monkeypatch):
    first = read_corpus(["docs"], root, store).digests
    (root / "docs" / "b.md").write_text("# B\n\nAnother text of b.")
    then = read_corpus(["docs"], root, store).digests

    assert {source for source in first if first[source] != then[source]} == {"docs/b.md"}
    assert first.keys() == then.keys() == read_corpus(["docs"], root, store).texts.keys()
    monkeypatch.setattr(corpus_module, "MOST_NAMED", len(first) - 1)
    assert read_corpus(["docs"], root, store).digests == {}


def test_another_extraction_does_not_use_what_the_last_one_stored(root, store, extracted, monkeypatch):
    read_corpus(["docs/*.html"], root, store)
    monkeypatch.setattr(corpus_module, "EXTRACTION_VERSION", -1)
    read_corpus(["docs/*.html"], root, store)
    assert extracted == ["docs/a.html"] * 2


def test_another_pdf_library_does_not_use_what_the_last_one_stored(root, store, monkeypatch):
    texts = iter(["Text as pypdf 1 has it.", "Text as pypdf 2 has it."])
    monkeypatch.setitem(ingestion._EXTRACTORS, ".pdf", lambda _content, _source: next(texts))
    (root / "d.pdf").write_bytes(b"%PDF")
    for version in ("1", "1", "2", "2"):
        monkeypatch.setattr("importlib.metadata.version", lambda _name, version=version: version)
        assert read_corpus(["d.pdf"], root, store).texts == {"d.pdf": f"Text as pypdf {version} has it."}


@pytest.mark.parametrize("name", ["large.html", "large.pdf", "large.md"])
def test_too_large_a_document_is_refused_before_it_is_kept_in_memory(root, store, monkeypatch, name):
    monkeypatch.setattr(ingestion, "LARGEST_DOCUMENT", 2**20)
    with (root / name).open("wb") as file:
        file.truncate(2**40)  # a sparse terabyte, which no memory holds
    with pytest.raises(
        DocumentError,
        match=rf"^{name}: larger than 1 MB; split it, or leave it out with '!{name}' among the documents$",
    ):
        read_corpus([name], root, store)


@pytest.mark.parametrize("name", ["pipe.html", "pipe.pdf", "pipe.md"])
def test_a_pipe_is_refused_rather_than_waited_for(root, store, name):
    os.mkfifo(root / name)
    with pytest.raises(
        DocumentError, match=rf"^{name}: not a regular file; leave it out with '!{name}' among the documents$"
    ):
        read_corpus([name], root, store)


def test_a_refused_document_leaves_nothing_in_the_store(root, store):
    (root / "empty.html").write_text("<script>only()</script>")
    for _ in range(2):
        with pytest.raises(DocumentError, match=r"^empty\.html: holds no text"):
            read_corpus(["empty.html"], root, store)
    assert store.size().entries == {}


def test_half_characters_in_a_page_can_be_kept(root, store):
    (root / "half.html").write_text("<p>one &#xD800; &#55357;&#56832; two")
    first = read_corpus(["half.html"], root, store)
    assert read_corpus(["half.html"], root, store) == first
    next(first.documents).text.encode("utf-8")


def test_no_match_is_told(root, store):
    with pytest.raises(ConfigurationError, match=r"matches no document"):
        read_corpus(["*.rst"], root, store)

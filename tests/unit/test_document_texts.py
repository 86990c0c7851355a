from __future__ import annotations

import sys

import pytest

from pytest_ragcheck.errors import DocumentError
from pytest_ragcheck.rag.corpus import Corpus
from pytest_ragcheck.rag.document_texts import DocumentTexts

LONG = 10_000
ROOM = 3 * (LONG + sys.getsizeof(""))


class Folder:
    """Documents as a disk would hold them, and which of them were read."""

    def __init__(self, count):
        self.texts = {f"{number}.md": str(number) * LONG for number in range(count)}
        self.read = []

    def open(self, **settings):
        def read(source):
            self.read.append(source)
            if source not in self.texts:
                raise DocumentError(f"{source}: cannot be read (No such file or directory); allow it, or leave it out")
            return self.texts[source]

        return DocumentTexts(self.texts, read, **settings)


def test_texts_that_fit_are_read_once():
    folder = Folder(3)
    texts = folder.open(held=ROOM)
    assert [dict(texts), dict(texts)] == [folder.texts, folder.texts]
    assert folder.read == ["0.md", "1.md", "2.md"]
    folder.texts["1.md"] = "changed"
    assert texts["1.md"] == "1" * LONG  # what was read first counts


def test_those_used_longest_ago_are_read_again_beyond_that():
    folder = Folder(4)
    texts = folder.open(held=ROOM)
    _ = texts["0.md"], texts["1.md"], texts["2.md"], texts["0.md"], texts["3.md"]
    del folder.read[:]
    _ = texts["0.md"], texts["2.md"], texts["3.md"], texts["1.md"]
    assert folder.read == ["1.md"]
    assert len(texts._held) == 3


def test_one_that_is_larger_than_the_room_is_held_while_it_is_used():
    folder = Folder(2)
    texts = folder.open(held=LONG // 2)
    _ = texts["0.md"], texts["0.md"], texts["1.md"], texts["1.md"], texts["0.md"]
    assert folder.read == ["0.md", "1.md", "0.md"]


def test_a_document_that_changed_or_vanished_since_it_was_read_is_told():
    folder = Folder(4)
    texts = folder.open(held=LONG)
    _ = dict(texts)
    folder.texts["1.md"] = folder.texts["1.md"][:-1] + "!"
    del folder.texts["2.md"]
    assert texts["0.md"] == "0" * LONG
    with pytest.raises(DocumentError, match=r"^1\.md: it was changed while the run used it; run again$"):
        _ = texts["1.md"]
    with pytest.raises(DocumentError) as caught:
        _ = texts["2.md"]
    assert str(caught.value) == (
        "2.md: it could be read when the run started, but no more: cannot be read (No such file or directory); "
        "allow it, or leave it out"
    )
    folder.texts["1.md"] = "1" * LONG
    assert texts["1.md"] == "1" * LONG


def test_a_document_that_cannot_be_read_at_first_is_told_as_it_is():
    folder = Folder(1)
    texts = folder.open()
    folder.texts.clear()
    with pytest.raises(DocumentError, match=r"^0\.md: cannot be read"):
        _ = texts["0.md"]


def test_looking_for_a_document_reads_none():
    folder = Folder(3)
    texts = folder.open()
    assert "1.md" in texts
    assert "9.md" not in texts
    assert (list(texts), len(texts), folder.read) == (["0.md", "1.md", "2.md"], 3, [])
    assert [document.source for document in Corpus(texts, "").documents] == ["0.md", "1.md", "2.md"]

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from zlib import crc32

import pytest

from pytest_ragcheck.errors import ConfigurationError, DocumentError, MissingExtraError
from pytest_ragcheck.rag import document_texts
from pytest_ragcheck.rag import embedding as embedding_module
from pytest_ragcheck.rag import index as index_module
from pytest_ragcheck.rag.chunking import chunk_documents
from pytest_ragcheck.rag.corpus import Corpus, read_corpus
from pytest_ragcheck.rag.embedding import CachedEmbedder
from pytest_ragcheck.rag.index import Index
from pytest_ragcheck.rag.index_files import INDEXES_KEPT
from pytest_ragcheck.rag.vectors import approximate_index, map_rows, nearest, nearly_nearest, recall
from pytest_ragcheck.store import Store, digest

np = pytest.importorskip("numpy")
faiss = pytest.importorskip("faiss")

DIMENSIONS = 24
BOILERPLATE = "This page is reviewed once a year by the owner of the handbook."


def vectors(texts):
    """A vector for each text, from its bytes alone; texts that share a first word are near each other."""
    rows = np.stack(
        [
            np.random.default_rng(crc32(text.encode())).normal(size=DIMENSIONS)
            + 2 * np.random.default_rng(crc32(text.split()[0].encode())).normal(size=DIMENSIONS)
            for text in texts
        ]
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


class LoggingEmbedder:
    fingerprint = "logging 1"

    def __init__(self):
        self.batches = []
        self.loaded = 0

    @property
    def texts(self):
        return [text for batch in self.batches for text in batch]

    def load(self):
        self.loaded += 1

    def embed(self, texts):
        self.batches.append(list(texts))
        return vectors(texts)


def corpus(pages):
    texts = dict(sorted(pages.items()))
    return Corpus(texts, digest(*(part for page in texts.items() for part in page)).hex())


PAGES = {
    f"page-{page}.md": "\n\n".join(
        [f"Topic{page} sentence {number} says {number * page} things." for number in range(8)] + [BOILERPLATE]
    )
    for page in range(9)
}


class Place:
    """A folder with a store, opened as often as a test wants to play another session."""

    def __init__(self, folder):
        self.folder = folder / "index"
        self.store_path = folder / "cache.sqlite"
        self.stores = []

    def open(self, pages=PAGES, *, embedder=None, size=12, overlap=0, **settings):
        store = Store(self.store_path)
        self.stores.append(store)
        made = embedder or LoggingEmbedder()
        cached = CachedEmbedder(made, store)
        pages = pages if isinstance(pages, Corpus) else corpus(pages)
        index = Index(pages, folder=self.folder, embedder=cached, store=store, size=size, overlap=overlap, **settings)
        return index, made

    def read(self):
        """What stands in the folder ``docs``."""
        self.stores.append(Store(None))
        return read_corpus(["docs"], self.folder.parent, self.stores[-1])

    def indexes(self):
        return sorted(path for path in self.folder.iterdir() if path.is_dir())


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    yield place
    for store in place.stores:
        store.close()


def exact(chunk_vectors, query, top_k):
    """What a search must find: scores in double precision, ties in the order of the chunks."""
    scores = (chunk_vectors.astype(np.float64) @ query.astype(np.float64)).tolist()
    order = sorted(range(len(scores)), key=lambda row: (-round(scores[row], 12), row))[:top_k]
    return order, [scores[row] for row in order]


# ---- What is found


def test_scores_and_order_are_those_of_an_exact_search(place):
    index, _ = place.open()
    chunks = list(chunk_documents(corpus(PAGES).documents, size=12, overlap=0))
    assert list(index.chunks) == chunks
    questions = [f"Topic{number % 9} question {number}" for number in range(40)]
    for question, contexts in zip(questions, index.search_many(questions, 7), strict=True):
        rows, scores = exact(vectors([chunk.text for chunk in chunks]), vectors([question])[0], 7)
        assert [context.chunk_id for context in contexts] == [chunks[row].id for row in rows]
        assert [context.score for context in contexts] == pytest.approx(scores, abs=1e-12)
        assert [context.rank for context in contexts] == [1, 2, 3, 4, 5, 6, 7]
        for context, row in zip(contexts, rows, strict=True):
            assert (context.text, context.source) == (chunks[row].text, chunks[row].source)
            assert (context.start, context.end) == (chunks[row].start, chunks[row].end)


@pytest.mark.parametrize("top_k", [1, 2, 8, 9, 10, 40])
def test_equal_chunks_keep_the_order_of_the_documents_wherever_the_cut_falls(place, top_k):
    index, _ = place.open()
    contexts = index.search(BOILERPLATE, top_k)
    assert [context.source for context in contexts[:9]] == [f"page-{page}.md" for page in range(9)][:top_k]
    assert len({context.score for context in contexts[:9]}) == 1


def test_a_score_does_not_depend_on_what_else_is_searched(tmp_path):
    questions = [f"Topic{number % 9} question {number}" for number in range(60)]
    together, alone = (Place(tmp_path / name) for name in ("together", "alone"))
    try:
        many = together.open()[0].search_many(questions, 5)
        single = alone.open()[0]
        assert many == [single.search(question, 5) for question in questions]
    finally:
        for store in (*together.stores, *alone.stores):
            store.close()


def test_a_search_in_a_large_index_is_exact():
    generator = np.random.default_rng(3)
    rows = generator.normal(size=(3_003, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    rows[::50] = rows[7]
    queries = np.concatenate([rows[[7, 50]], generator.normal(size=(30, 64)).astype(np.float32)])
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    for top_k in (1, 5, 60, 150):
        for query, hits in zip(queries, nearest(rows, queries, top_k), strict=True):
            order, scores = exact(rows, query, top_k)
            assert [row for row, _ in hits] == order
            assert [score for _, score in hits] == pytest.approx(scores, abs=1e-12)


# ---- Where there are too many chunks for an exact search


def many_vectors(count, dimensions=32):
    """Around a few hundred centres, as texts lie around their topics."""
    generator = np.random.default_rng(11)
    centres = generator.normal(size=(200, dimensions))
    rows = centres[generator.integers(200, size=count)] + 0.7 * generator.normal(size=(count, dimensions))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def test_an_approximate_search_finds_most_and_scores_exactly():
    flat, queries = many_vectors(6_000), many_vectors(6_100)[6_000:]
    approximate = approximate_index(flat)
    assert approximate.nlist > 1
    assert approximate.nprobe < approximate.nlist / 2
    exact_hits, found = nearest(flat, queries, 10), nearly_nearest(flat, approximate, queries, 10)
    assert 0.9 < recall(exact_hits, found) <= 1
    for one, other in zip(exact_hits, found, strict=True):
        assert other == sorted(other, key=lambda hit: (-hit[1], hit[0]))
        assert set(other) & set(one) == {hit for hit in other if hit[0] in dict(one)}
    again = nearly_nearest(flat, approximate_index(flat), queries, 10)
    assert again == found


def test_recall_counts_what_was_found():
    assert recall([[(1, 0.5), (2, 0.4)], [(3, 0.1)]], [[(2, 0.4), (9, 0.3)], [(3, 0.1)]]) == pytest.approx(2 / 3)
    assert recall([[]], [[]]) == 1


def test_a_few_rows_can_be_searched_approximately_too():
    flat = many_vectors(3)
    assert len(nearly_nearest(flat, approximate_index(flat), many_vectors(2), 10)[0]) == 3


def test_beyond_a_size_the_index_is_approximate_and_says_what_it_finds(place):
    index, _ = place.open(exact_up_to=10)
    exact_index, _ = place.open()
    assert len(index.chunks) > 10
    assert (index.is_exact, exact_index.is_exact) == (False, True)
    questions = [f"Topic{number % 9} question {number}" for number in range(40)]
    found, wanted = index.search_many(questions, 3), exact_index.search_many(questions, 3)
    rows = {chunk.id for chunk in index.chunks}
    assert all(context.chunk_id in rows for contexts in found for context in contexts)
    shares = [
        len({one.chunk_id for one in contexts} & {one.chunk_id for one in exact_contexts}) / 3
        for contexts, exact_contexts in zip(found[:32], wanted[:32], strict=True)
    ]
    assert index.recall == pytest.approx(sum(shares) / 32)
    assert exact_index.recall is None
    again, embedder = place.open(exact_up_to=10)
    assert again.search_many(questions, 3) == found
    assert (again.built, embedder.texts, again.recall) == (False, [], index.recall)
    again.search("Topic1 other", 3)
    again.search_deeper("Topic1 other", 7)
    assert again.recall == index.recall


def test_damaged_lists_are_built_again(place):
    index, _ = place.open(exact_up_to=10)
    found = index.search("Topic1 a", 3)
    (folder,) = place.indexes()
    (folder / "lists.faiss").unlink()
    again, embedder = place.open(exact_up_to=10)
    again.search("Topic1 other", 3)
    assert again.built
    assert embedder.texts == ["Topic1 other"]
    assert again.search("Topic1 a", 3) == found


def test_a_corpus_is_embedded_in_batches(place, monkeypatch):
    monkeypatch.setattr(embedding_module, "TEXTS_PER_BATCH", 7)
    index, embedder = place.open()
    index.search("Topic1 a", 3)
    assert max(map(len, embedder.batches)) == 7
    assert len(embedder.texts) == len(set(embedder.texts))


@pytest.mark.parametrize("top_k", [99, 100, 5_000])
def test_more_than_there_is_gives_all_there_is(place, top_k):
    index, _ = place.open({"one.md": "One page.", "two.md": "Two pages."})
    contexts = index.search("Two", top_k)
    assert [context.source for context in contexts] == ["two.md", "one.md"]


def test_the_same_question_twice_is_searched_once_and_answered_twice(place):
    index, embedder = place.open()
    first, second, other = index.search_many(["Topic1 a", "Topic1 a", "Topic2 b"], 3)
    assert first == second != other
    assert embedder.batches[0] == ["Topic1 a", "Topic2 b"]
    assert index.search_many([], 3) == []
    unused, _ = place.open(size=13)
    assert unused.search_many([], 3) == []
    assert not unused.built


# ---- Built once


def test_it_is_built_once_and_then_mapped_into_memory(place, monkeypatch):
    index, embedder = place.open(exact_up_to=10)
    assert not place.folder.exists()
    index.search("Topic1 a", 3)
    assert index.built
    assert len(embedder.texts) == len(set(embedder.texts))

    flags = []
    read_index = faiss.read_index
    monkeypatch.setattr(faiss, "read_index", lambda name, flag: flags.append(flag) or read_index(name, flag))
    monkeypatch.setattr(faiss, "write_index", None)
    again, embedder = place.open(exact_up_to=10)
    again.search("Topic1 another", 3)
    assert not again.built
    assert embedder.texts == ["Topic1 another"]
    assert flags == [faiss.IO_FLAG_MMAP_IFC]
    rows = map_rows(again._files.path("vectors.float32"), len(again.chunks))
    assert (rows == vectors([chunk.text for chunk in again.chunks])).all()
    assert not rows.flags.owndata
    assert not rows.flags.writeable


def test_making_ready_does_all_but_the_search(place):
    index, embedder = place.open()
    index.make_ready(["Topic1 a"], 3)
    assert embedder.loaded == 1
    assert index.built
    index.search("Topic1 a", 3)
    again, embedder = place.open()
    again.make_ready(["Topic1 a"], 3)
    assert embedder.loaded == 0
    assert "_vectors" not in vars(again)
    again.make_ready(["Topic1 a"], 4)
    assert "_vectors" in vars(again)


def test_one_process_embeds_the_questions_of_all(place):
    questions = ["Topic1 a", "Topic2 b"]
    (first, embedder), (second, other) = place.open(), place.open()
    first.make_ready(questions, 3, for_all=True)
    assert set(questions) < set(embedder.texts)
    second.make_ready(questions, 3, for_all=True)
    assert second.search_many(questions, 3) == first.search_many(questions, 3)
    assert (second.built, other.loaded, other.texts) == (False, 0, [])


def test_known_searches_need_neither_faiss_nor_vectors(place, monkeypatch):
    index, _ = place.open()
    questions = ["Topic1 a", "Topic2 b"]
    found = index.search_many(questions, 3)
    (folder,) = place.indexes()
    (folder / "vectors.float32").unlink()
    monkeypatch.setitem(sys.modules, "faiss", None)
    again, embedder = place.open()
    again.make_ready(questions, 3)
    assert again.search_many(questions, 3) == found
    assert (embedder.loaded, embedder.texts, again.built) == (0, [], False)
    assert again.searches_reused == 2
    with pytest.raises(MissingExtraError, match=r'searching documents .*"pytest-ragcheck\[rag\]"'):
        again.search("Topic3 c", 3)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def remove(path):
    path.unlink()


@pytest.mark.parametrize("damage", [truncate, flip, empty, remove])
@pytest.mark.parametrize("name", ["chunks.table", "vectors.float32", "manifest.json"])
def test_a_damaged_index_is_built_again_without_embedding_again(place, name, damage):
    index, _ = place.open()
    found = index.search("Topic1 a", 3)
    (folder,) = place.indexes()
    damage(folder / name)
    again, embedder = place.open()
    assert [context.chunk_id for context in again.search("Topic1 other", 3)]
    assert again.built
    assert again.search("Topic1 a", 3) == found
    assert embedder.texts == ["Topic1 other"]
    third, _ = place.open()
    third.search("Topic1 third", 3)
    assert not third.built
    assert place.indexes() == [folder]


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"chunks.table": 5}', '{"chunks.table": null}'])
def test_a_manifest_of_another_shape_is_a_damaged_one(place, content):
    index, _ = place.open()
    index.search("Topic1 a", 3)
    (folder,) = place.indexes()
    (folder / "manifest.json").write_text(content)
    again, _ = place.open()
    again.search("Topic1 b", 3)
    assert again.built


def test_a_changed_page_embeds_that_page_alone(place):
    index, _ = place.open()
    index.search("Topic1 a", 3)
    changed = PAGES | {"page-3.md": "Topic3 is new.", "page-9.md": BOILERPLATE}
    again, embedder = place.open(changed)
    assert again.fingerprint != index.fingerprint
    again.search("Topic1 a", 3)
    assert embedder.texts == ["Topic3 is new."]


@pytest.mark.parametrize("change", [{"size": 30}, {"overlap": 3}])
def test_other_chunking_is_another_index(place, change):
    index, _ = place.open()
    other, _ = place.open(**change)
    assert index.fingerprint != other.fingerprint
    assert list(index.chunks) != list(other.chunks)
    assert len(place.indexes()) == 2


def test_the_last_few_states_are_kept_and_older_ones_dropped(place):
    names = []
    for number in range(INDEXES_KEPT + 2):
        index, _ = place.open({"page.md": f"State {number}."})
        _ = index.chunks
        names.append(index.fingerprint[:32])
        os.utime(place.folder / names[-1], (number, number))
    assert {folder.name for folder in place.indexes()} == set(names[2:])


def test_a_new_index_is_kept_even_where_the_clock_was_set_back(place):
    for number in range(INDEXES_KEPT):
        index, _ = place.open({"page.md": f"State {number}."})
        _ = index.chunks
        os.utime(place.folder / index.fingerprint[:32], (4e9, 4e9))
    newest, _ = place.open({"page.md": "Newest."})
    assert [chunk.text for chunk in newest.chunks] == ["Newest."]
    assert len(place.indexes()) == INDEXES_KEPT


def test_what_a_killed_builder_left_is_removed(place):
    left = place.folder / "building-abc"
    left.mkdir(parents=True)
    (left / "vectors.float32").write_bytes(b"half")
    index, _ = place.open()
    _ = index.chunks
    assert place.indexes() == [place.folder / index.fingerprint[:32]]


def test_an_old_index_that_a_killed_process_half_removed_is_removed(place, monkeypatch):
    for number in range(INDEXES_KEPT):
        index, _ = place.open({"page.md": f"State {number}."})
        _ = index.chunks
        os.utime(place.folder / index.fingerprint[:32], (number, number))
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if killed there
        index, _ = place.open({"page.md": "One more."})
        _ = index.chunks
    assert len(place.indexes()) == INDEXES_KEPT + 1

    index, _ = place.open({"page.md": "The next."})
    _ = index.chunks
    assert len(place.indexes()) == INDEXES_KEPT
    assert all((folder / "manifest.json").exists() for folder in place.indexes())


def forge(folder, name, content):
    """Put other content into a file of an index, and say in the manifest that it was written so."""
    (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest[name] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


FORGED = {
    "no vectors": ("vectors.float32", lambda content: b""),
    "few vectors": ("vectors.float32", lambda content: content[:100]),
    "longer vectors": ("vectors.float32", lambda content: 2 * content),
    "no chunks": ("chunks.table", lambda content: b""),
    "half of the chunks": ("chunks.table", lambda content: content[: len(content) // 2]),
    "more chunks": ("chunks.table", lambda content: content + bytes(24)),
    "very many chunks": ("chunks.table", lambda content: b'{"sources": [], "chunks": 1000000000000}\n'),
    "chunks of no document": ("chunks.table", lambda content: b'{"sources": [], "chunks": 1}\n' + bytes(24)),
    "chunks that are a list": ("chunks.table", lambda content: b"[]\n"),
}


@pytest.mark.parametrize("forged", FORGED)
def test_an_index_that_its_manifest_calls_whole_and_that_is_not_is_built_again(place, forged):
    name, change = FORGED[forged]
    index, _ = place.open()
    expected = index.search("Topic1 sentence", 3)
    (folder,) = place.indexes()
    forge(folder, name, change((folder / name).read_bytes()))
    place.stores[-1].clear()

    index, _ = place.open()
    assert index.search("Topic1 sentence", 3) == expected
    assert index.built
    index, _ = place.open()
    assert index.search("Topic2 sentence", 3)
    assert not index.built


def test_an_embedder_whose_vectors_become_longer_under_one_fingerprint(place):
    class Longer(LoggingEmbedder):
        def embed(self, texts):
            rows = super().embed(texts)
            return np.hstack([rows, np.zeros_like(rows)])

    index, _ = place.open()
    before = index.search("Topic1 sentence", 3)
    index, _ = place.open(embedder=Longer())
    after = index.search("Topic1 sentence 2", 3)
    assert len(after) == len(before)
    assert index.built


def test_a_failed_build_leaves_nothing(place):
    class Broken(LoggingEmbedder):
        def embed(self, texts):
            if len(texts) > 1:
                raise RuntimeError("no vectors today")
            return super().embed(texts)

    index, _ = place.open(embedder=Broken())
    with pytest.raises(RuntimeError, match="no vectors today"):
        index.search("Topic1 a", 3)
    assert place.indexes() == []
    again, _ = place.open()
    assert again.search("Topic1 a", 1)


def test_a_folder_that_cannot_be_written_is_told_in_one_line(place):
    place.folder.parent.mkdir(parents=True, exist_ok=True)
    place.folder.write_text("a file stands here")
    index, _ = place.open()
    with pytest.raises(ConfigurationError, match=r"the index cannot be written \(File exists\)") as caught:
        _ = index.chunks
    assert str(caught.value).startswith(f"{place.folder}: ")
    assert "\n" not in str(caught.value)


def test_faiss_that_cannot_write_is_told_in_one_line(place, monkeypatch):
    write_index = faiss.write_index
    monkeypatch.setattr(faiss, "write_index", lambda index, name: write_index(index, f"{name}/no/such/folder"))
    index, _ = place.open(exact_up_to=10)
    with pytest.raises(ConfigurationError, match=r"the index cannot be written \(") as caught:
        _ = index.chunks
    assert "\n" not in str(caught.value)
    assert place.indexes() == []


def test_without_faiss_it_says_what_to_install(place, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    index, _ = place.open()
    with pytest.raises(MissingExtraError, match=r'"pytest-ragcheck\[rag\]"'):
        _ = index.chunks


LIMITED = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_index import PAGES, Place
from pytest_ragcheck.errors import ConfigurationError

place = Place(Path(sys.argv[1]))
place.store_path = None
index, _ = place.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, 1_000))
try:
    index.search("Topic1 a", 3)
except ConfigurationError as problem:
    print(problem)
"""


def test_a_full_disk_leaves_no_half_index(tmp_path):
    shutil.copy(__file__, tmp_path / "test_index.py")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True, timeout=300
    )
    folder = tmp_path / "index"
    told = f"{folder}: the index cannot be written (File too large); make room, and make the folder writable\n"
    assert (done.stdout, done.stderr) == (told, "")
    assert [path.name for path in folder.iterdir()] == ["build.lock"]


# ---- Documents that change meanwhile


@pytest.fixture
def files(place, monkeypatch):
    """The pages as files, of which one at a time is held in memory."""
    monkeypatch.setattr(document_texts, "HELD", 1)
    folder = place.folder.parent / "docs"
    folder.mkdir()
    for name, text in PAGES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_texts_that_are_read_again_give_the_same_index(place, files):
    index, _ = place.open()
    on_disk, _ = place.open(place.read())
    assert [chunk.text for chunk in on_disk.chunks] == [chunk.text for chunk in index.chunks]
    found = on_disk.search_many(["Topic1 a", "Topic7 b"], 5)
    assert [[context.text for context in contexts] for contexts in found] == [
        [context.text for context in contexts] for contexts in index.search_many(["Topic1 a", "Topic7 b"], 5)
    ]


@pytest.mark.parametrize("change", [remove, lambda path: path.write_text("Topic3 is new.")])
def test_a_document_that_changes_before_it_is_indexed_is_told_and_leaves_no_index(place, files, change):
    index, _ = place.open(place.read())
    change(files / "page-3.md")
    with pytest.raises(DocumentError, match=r"^docs/page-3\.md: it (could be read when|was changed while)"):
        index.search("Topic1 a", 3)
    assert place.indexes() == []


def test_a_document_that_changes_after_it_was_indexed_is_told(place, files):
    index, _ = place.open(place.read())
    index.make_ready(["Topic3 a", "Topic1 a"], 1)
    (files / "page-3.md").write_text(PAGES["page-3.md"] + " More.")
    with pytest.raises(DocumentError, match=r"^docs/page-3\.md: it was changed while the run used it; run again$"):
        index.search("Topic3 a", 1)
    assert index.search("Topic1 a", 1)[0].source == "docs/page-1.md"


# ---- Several processes

BUILDER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_index
from test_index import PAGES, LoggingEmbedder, Place

place = Place(Path(sys.argv[2]))
name = sys.argv[3]

class Slow(LoggingEmbedder):
    def embed(self, texts):
        if len(texts) > 1:  # the chunks, that is: under the lock of the one who builds
            (place.folder / f"in-{name}").touch()
            while not (place.folder / "go").exists():
                time.sleep(0.01)
        return super().embed(texts)

index, embedder = place.open(embedder=Slow())
(place.store_path.parent / f"ready-{name}").touch()
found = index.search("Topic1 a", 3)
print(index.built, len(embedder.texts), [context.chunk_id for context in found])
"""


def wait_for(condition, processes):
    import time

    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end
        assert all(process.poll() is None for process in processes), [process.communicate() for process in processes]
        time.sleep(0.01)


def test_two_processes_build_one_index(tmp_path):
    shutil.copy(__file__, tmp_path / "test_index.py")
    (tmp_path / "state").mkdir()
    (tmp_path / "program.py").write_text(BUILDER)
    command = [sys.executable, "program.py", str(tmp_path), str(tmp_path / "state")]
    processes = [
        subprocess.Popen([*command, name], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    folder = tmp_path / "state" / "index"
    wait_for(lambda: len(list((tmp_path / "state").glob("ready-*"))) == 2, processes)
    wait_for(lambda: list(folder.glob("in-*")), processes)
    assert not list(folder.glob("*/chunks.table"))
    (folder / "go").touch()
    shown = [process.communicate(timeout=300) for process in processes]
    assert [error for _, error in shown] == ["", ""]
    assert len(list(folder.glob("in-*"))) == 1
    lines = sorted(output for output, _ in shown)
    assert lines[0].startswith("False ")
    assert lines[1].startswith("True ")
    assert lines[0].partition("[")[2] == lines[1].partition("[")[2]
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 1


def test_an_interrupted_build_is_done_again(tmp_path):
    shutil.copy(__file__, tmp_path / "test_index.py")
    (tmp_path / "state").mkdir()
    (tmp_path / "program.py").write_text(BUILDER)
    command = [sys.executable, "program.py", str(tmp_path), str(tmp_path / "state")]
    killed = subprocess.Popen([*command, "one"], cwd=tmp_path)
    folder = tmp_path / "state" / "index"
    wait_for(lambda: list(folder.glob("in-*")), [killed])
    killed.kill()
    killed.wait()
    (folder / "go").touch()
    done = subprocess.run([*command, "two"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.startswith("True ")


def test_the_version_is_part_of_the_fingerprint(place, monkeypatch):
    index, _ = place.open()
    before = index.fingerprint
    monkeypatch.setattr(index_module, "INDEX_VERSION", index_module.INDEX_VERSION + 1)
    other, _ = place.open()
    assert other.fingerprint != before


# ---- What the store holds of searches


def search_rows(place, change):
    with closing(sqlite3.connect(place.store_path, isolation_level=None)) as connection:
        rows = connection.execute("SELECT key, value FROM entries WHERE kind = 'search'").fetchall()
        for key, value in rows:
            hits = json.loads(value[9:])
            connection.execute("UPDATE entries SET value = ? WHERE key = ?", (json.dumps(change(hits)).encode(), key))
    return len(rows)


@pytest.mark.parametrize(
    "change",
    [
        lambda hits: [],
        lambda hits: hits[:-1],
        lambda hits: [*hits, [0, -1.0]],
        lambda hits: hits[::-1],
        lambda hits: [hits[0], hits[0], *hits[2:]],
        lambda hits: [[-1, hits[0][1]], *hits[1:]],
        lambda hits: [[10**6, hits[0][1]], *hits[1:]],
        lambda hits: [[True, hits[0][1]], *hits[1:]],
        lambda hits: [[hits[0][0], True], *hits[1:]],
        lambda hits: [[hits[0][0], 7.0], *hits[1:]],
        lambda hits: [[hits[0][0], "0.9"], *hits[1:]],
        lambda hits: {str(row): score for row, score in hits},
        lambda hits: hits[0][1],
    ],
)
def test_a_stored_search_that_none_can_have_found_is_searched_again(place, change):
    index, _ = place.open()
    found = index.search("Topic3 sentence", 4)
    assert search_rows(place, change) == 1
    again, _ = place.open()
    again.make_ready(["Topic3 sentence"], 4)
    assert again.search("Topic3 sentence", 4) == found
    assert place.stores[-1].damaged["search"] == 1


def test_a_stored_search_of_an_earlier_version_is_taken(place):
    index, _ = place.open()
    found = index.search("Topic3 sentence", 4)
    search_rows(place, lambda hits: hits)
    again, _ = place.open()
    assert again.search("Topic3 sentence", 4) == found
    assert again.searches_reused == 1

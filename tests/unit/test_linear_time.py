"""Hostile texts cost time in proportion to their length: every pattern, and what reads texts of others."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import re
import time

import pytest

from pytest_ragcheck.gateway import ModelRequest
from pytest_ragcheck.gateway.replies import with_form
from pytest_ragcheck.gateway.transport import AttemptResult, Message, RetryAction
from pytest_ragcheck.lexical import content_words, is_refusal, states, stem
from pytest_ragcheck.metrics.base import Case
from pytest_ragcheck.metrics.text import Groundedness, MustContain, ReferenceCoverage
from pytest_ragcheck.model import Answer, Context, Document, Question, Usage
from pytest_ragcheck.rag.chunking import chunk_document
from pytest_ragcheck.rag.extractive import ExtractiveGenerator
from pytest_ragcheck.rag.html_text import html_to_text
from pytest_ragcheck.sentences import sentence_spans

ROOTS = (
    "lexical",
    "dataset",
    "rag",
    "report",
    "metrics",
    "sentences",
    "run_file",
    "gateway",
    "baseline",
    "store",
    "commands",
    "session",
    "safe_text",
    "strict_json",
)
BOUNDED = {
    "lexical.refusal": "texts of more than 4,000 characters are no refusals",
    "lexical.words._SENTENCE_START": "looks at 12 characters",
    "dataset.csv_rows._PYTHON_STRING": "looks at what is known to be nothing but strings",
}
# fmt: off
PIECES = [
    'a', 'A', 'y', 'ay', 'sy', 'é', '漢', 'का', '٣', '1', '1,', '1.', "1'", '1/', '1^', '1万', '1,1', '0,', '½', '¹',
    'a.', '..', 'a@', "n't", "'s", "'", '"', '`', '~', '*', '**', '_', '-', '--', '+', '>', '#', '|', '&', '&a',
    '&#1', '<', '<a', '</', '<!--', '<script>', '(', '[', '[a](', '](', '{', '{{', '}', '\\', '/', '=', ':', '::',
    ';', ',', '?', '!', '%', '$', '@', 'http://', '#L', '[1,', 'x-', ' ', '\n', '\t', '\r', '\n\n', '- ', ' - ',
    'a b ', '1 000 ', 'the ', '> ', '1. ', ' |', 'a\n', '\x1b[', '\u202f1', '```\n', '```a', '\\"', '::error::',
]
OPENINGS = {'\n': '```', ' ': '```', '#': 'a', 'a': '"', '\\': '"', '/': 'http:', '=': '<a ', '-': '<!'}
"""What some of them come after: a fence that nothing closes, a string, a tag."""
# fmt: on
ENDS = ("", "!")
GROWTH = 8
NOTICEABLE = 0.01
"""Seconds below which the growth of a cost cannot be told from noise."""


def modules():
    for root in ROOTS:
        package = importlib.import_module(f"pytest_ragcheck.{root}")
        yield package
        for found in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{package.__name__}."):
            try:
                yield importlib.import_module(found.name)
            except ImportError:  # an extra that is not installed
                continue


def searching_patterns():
    """Patterns that are looked for anywhere in a text; others are tried at one place."""
    for module in modules():
        source = inspect.getsource(module)
        for name, value in vars(module).items():
            label = f"{module.__name__.removeprefix('pytest_ragcheck.')}.{name}"
            bounded = label in BOUNDED or label.rpartition(".")[0] in BOUNDED
            if not isinstance(value, re.Pattern) or not isinstance(value.pattern, str) or bounded:
                continue
            if re.search(rf"\b{name}\.(?:search|finditer|findall|sub|subn|split)\b", source):
                yield pytest.param(lambda text, one=value: one.sub("", text), id=f"{label} anywhere")
            if re.search(rf"\b{name}\.(?:match|fullmatch)\b", source):
                yield pytest.param(
                    lambda text, one=value: (one.match(text), one.fullmatch(text)), id=f"{label} at once"
                )


def test_a_long_word_is_read():
    assert content_words("y" * 100_000)[0].key == "y" * 99_999 + "i"
    assert stem("y" * 5_000 + "eed") == "y" * 5_000 + "e"
    assert content_words("x" + "'s" * 50_000)[0].key == "x"


def measure(metric, answer, context="", **question):
    case = Case(
        question=Question(id="q", question="?", **question),
        contexts=(Context(text=context, rank=1),),
        answer=Answer(text=f"{answer}.", refused=False),
    )
    return asyncio.run(metric.measure(case))


def read_reply(text):
    """As the reply of a judge that was asked for JSON."""
    message = Message(text=text, tool_inputs=(), stop_reason="end_turn", model="m", usage=Usage())
    request = ModelRequest(model="m", messages=[], schema={"type": "object"})
    return with_form(AttemptResult(effect=RetryAction.DONE, message=message), request)


READERS = {
    "a reply": read_reply,
    "words": content_words,
    "a word": lambda text: stem(re.sub(r"[^a-z]", "", text.casefold()) or "y" * len(text)),
    "sentences": sentence_spans,
    "chunks": lambda text: chunk_document(Document(source="a.md", text=text), size=200, overlap=20),
    "html": html_to_text,
    "refusal": is_refusal,
    "states": lambda text: states(text, "25 days of leave"),
    "states itself": lambda text: states(text, text),
    "extractive": lambda text: ExtractiveGenerator().answer("How many days?", [Context(text=text, rank=1, score=0.9)]),
    "groundedness of answers": lambda text: measure(Groundedness(), text, "25 days"),
    "groundedness in contexts": lambda text: measure(Groundedness(), "25 days", text),
    "groundedness in itself": lambda text: measure(Groundedness(), text, text),
    "coverage": lambda text: measure(ReferenceCoverage(), text, reference=text + " end"),
    "facts": lambda text: measure(MustContain(), text, must_contain=(("25 days",),)),
}


def cost(function, text):
    started = time.process_time()
    function(text)
    return time.process_time() - started


def assert_grows_with_length(function, small, pieces=PIECES):
    for number, piece in enumerate(pieces):
        for end in ENDS:
            opening = OPENINGS.get(piece, "")
            # Different texts each time, so that no cache answers.
            long, short = (opening + (piece * size)[:size] + f"{number}{end}" for size in (small * GROWTH, small))
            taken = cost(function, long)
            if taken < NOTICEABLE:
                continue
            taken = min(taken, cost(function, f"{long}?"))
            basis = max(NOTICEABLE / GROWTH / 4, *(cost(function, short + mark) for mark in "qrs"))
            # Linear costs grow by 8, quadratic ones by 64.
            assert taken / basis < 4 * GROWTH, (
                f"{piece!r}: {basis:.4f} s for {small}, {taken:.4f} s for {small * GROWTH}"
            )


@pytest.mark.parametrize("search", list(searching_patterns()))
def test_patterns(search):
    assert_grows_with_length(search, 2_000)


@pytest.mark.parametrize("piece", ["\n", "```\n", "{", '{"a":', "[", " "])
def test_a_reply_of_a_megabyte(piece):
    """A fence that nothing closes, before line breaks, took the square of its length: an hour."""
    text = "```json" + (piece * 1_000_000)[:1_000_000]
    assert cost(read_reply, text) < 50 * max(cost(read_reply, text[: len(text) // 16]), NOTICEABLE)


@pytest.mark.parametrize("reader", list(READERS))
def test_readers_of_texts(reader):
    assert_grows_with_length(READERS[reader], 500)

"""Query engines and retrievers, as LlamaIndex makes them."""

from __future__ import annotations

import pytest

pytest.importorskip("llama_index.core")

from llama_index.core.llms import MockLLM
from llama_index.core.query_engine import CustomQueryEngine, RetrieverQueryEngine
from llama_index.core.retrievers import BaseRetriever
from llama_index.core.schema import NodeWithScore, TextNode

from pytest_ragcheck.model import Context

LEAVE = Context(text="Staff have 25 days.", rank=1, score=0.5, source="docs/leave.md", chunk_id="n1")


class Retriever(BaseRetriever):
    def _retrieve(self, query_bundle):
        metadata = {"file_path": "docs/leave.md", "file_name": "leave.md"}
        node = TextNode(id_="n1", text="Staff have 25 days.", metadata=metadata, start_char_idx=7, end_char_idx=26)
        return [NodeWithScore(node=node, score=0.5)]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_query_engine(answered, question, streaming):
    engine = RetrieverQueryEngine.from_args(Retriever(), llm=MockLLM(max_tokens=3), streaming=streaming)

    [first, second] = answered(engine, question, question)

    assert first == second
    assert (first.text.split(), first.contexts) == (["text"] * 3, (LEAVE,))


def test_a_query_engine_of_the_users(answered, question):
    class Engine(CustomQueryEngine):
        def custom_query(self, query_str):
            return f"25 days, as to {query_str}"

    [answer] = answered(Engine(), question)

    assert answer.text == f"25 days, as to {question.question}"
    assert not answer.contexts


def test_a_retriever(answered, question):
    [answer] = answered(Retriever(), question)

    assert (answer.generated, answer.contexts) == (False, (LEAVE,))

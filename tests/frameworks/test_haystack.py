"""Pipelines, as Haystack makes them."""

from __future__ import annotations

import pytest

pytest.importorskip("haystack")

from haystack import Document, Pipeline, component
from haystack.components.builders import AnswerBuilder, ChatPromptBuilder, PromptBuilder
from haystack.components.joiners import DocumentJoiner
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
from haystack.dataclasses import ChatMessage
from haystack.document_stores.in_memory import InMemoryDocumentStore

from pytest_ragcheck.errors import ConfigurationError

TEMPLATE = "{% for document in documents %}{{ document.content }}{% endfor %} {{ question }}"


@component
class Extractive:
    @component.output_types(replies=list[str])
    def run(self, prompt: str):
        return {"replies": [prompt.partition(".")[0]]}


@component
class Chat:
    @component.output_types(replies=list[ChatMessage])
    def run(self, messages: list[ChatMessage]):
        return {"replies": [ChatMessage.from_assistant(" | ".join(message.text for message in messages))]}


def store():
    documents = InMemoryDocumentStore()
    documents.write_documents(
        [
            Document(content="Staff have 25 days of leave.", meta={"file_path": "docs/leave.md"}, id="d1"),
            Document(content="Meals are paid.", meta={"file_path": "docs/expenses.md"}, id="d2"),
        ]
    )
    return documents


def retriever():
    return InMemoryBM25Retriever(store(), top_k=1)


def generative():
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever())
    pipeline.add_component("joiner", DocumentJoiner())
    pipeline.add_component("prompt", PromptBuilder(TEMPLATE, required_variables="*"))
    pipeline.add_component("generator", Extractive())
    pipeline.connect("retriever.documents", "joiner.documents")
    pipeline.connect("joiner.documents", "prompt.documents")
    pipeline.connect("prompt.prompt", "generator.prompt")
    return pipeline


def with_answers():
    pipeline = generative()
    pipeline.add_component("answers", AnswerBuilder())
    pipeline.connect("generator.replies", "answers.replies")
    pipeline.connect("joiner.documents", "answers.documents")
    return pipeline


@pytest.mark.parametrize("make", [generative, with_answers])
def test_pipelines_that_generate(answered, question, make):
    [first, second] = answered(make(), question, question)

    assert first == second
    assert first.text == "Staff have 25 days of leave"
    [context] = first.contexts
    assert (context.text, context.source, context.chunk_id) == ("Staff have 25 days of leave.", "docs/leave.md", "d1")
    assert context.score > 0


def test_what_the_prompt_got_goes_before_the_documents_of_the_answer(answered, question):
    pipeline = Pipeline()
    pipeline.add_component("retriever", InMemoryBM25Retriever(store(), top_k=2))
    pipeline.add_component("joiner", DocumentJoiner(top_k=1))
    pipeline.add_component("prompt", PromptBuilder(TEMPLATE, required_variables="*"))
    pipeline.add_component("generator", Extractive())
    pipeline.add_component("answers", AnswerBuilder())
    pipeline.connect("retriever.documents", "joiner.documents")
    pipeline.connect("joiner.documents", "prompt.documents")
    pipeline.connect("prompt.prompt", "generator.prompt")
    pipeline.connect("generator.replies", "answers.replies")
    pipeline.connect("retriever.documents", "answers.documents")

    [answer] = answered(pipeline, question)

    assert answer.text == "Staff have 25 days of leave"
    assert [context.source for context in answer.contexts] == ["docs/leave.md"]


def test_a_pipeline_that_retrieves(answered, question):
    pipeline = Pipeline()
    pipeline.add_component("retriever", retriever())

    [answer] = answered(pipeline, question)

    assert (answer.generated, [context.source for context in answer.contexts]) == (False, ["docs/leave.md"])


def test_a_retriever_by_itself(answered, question):
    [answer] = answered(retriever(), question)

    assert (answer.generated, [context.source for context in answer.contexts]) == (False, ["docs/leave.md"])


def test_chat_messages(answered, follow_up):
    by_prompt = Pipeline()
    by_prompt.add_component(
        "prompt", ChatPromptBuilder([ChatMessage.from_user("Q: {{ question }}")], required_variables="*")
    )
    by_prompt.add_component("chat", Chat())
    by_prompt.connect("prompt.prompt", "chat.messages")
    direct = Pipeline()
    direct.add_component("chat", Chat())

    [answer] = answered(direct, follow_up)

    assert answer.text == "Is there leave? | There is. | How many days?"
    assert not answer.contexts_known


def test_a_pipeline_that_needs_more_than_a_question(answered, question):
    pipeline = Pipeline()
    pipeline.add_component("retriever", InMemoryEmbeddingRetriever(store()))

    with pytest.raises(ConfigurationError, match=r"needs retriever\.query_embedding, which is no question; wrap"):
        answered(pipeline, question)

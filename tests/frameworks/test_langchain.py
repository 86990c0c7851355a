"""Runnables, retrieval chains, retrievers and a graph, as LangChain makes them."""

from __future__ import annotations

from operator import itemgetter

import pytest

pytest.importorskip("langchain_core")

from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate, MessagesPlaceholder
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough

from pytest_ragcheck.errors import MeasurementError
from pytest_ragcheck.model import Context

LEAVE = Context(text="Staff have 25 days.", rank=1, source="docs/leave.md", chunk_id="d1")


class Retriever(BaseRetriever):
    def _get_relevant_documents(self, query, *, run_manager):
        return [Document("Staff have 25 days.", metadata={"source": "docs/leave.md"}, id="d1")]


def model():
    return FakeListChatModel(responses=["25 days."])


def prompt(text="{context} {input}"):
    return ChatPromptTemplate.from_template(text)


def lcel_with_contexts():
    found = RunnablePassthrough.assign(context=itemgetter("input") | Retriever())
    return found.assign(answer=prompt() | model() | StrOutputParser())


def retrieval_chain():
    pytest.importorskip("langchain_classic")
    from langchain_classic.chains import create_retrieval_chain
    from langchain_classic.chains.combine_documents import create_stuff_documents_chain

    return create_retrieval_chain(Retriever(), create_stuff_documents_chain(model(), prompt()))


def retrieval_qa():
    pytest.importorskip("langchain_classic")
    from langchain_classic.chains import RetrievalQA

    return RetrievalQA.from_chain_type(llm=model(), retriever=Retriever(), return_source_documents=True)


@pytest.mark.parametrize("make", [lcel_with_contexts, retrieval_chain, retrieval_qa])
def test_chains_that_return_their_contexts(make, answered, question):
    chain = make()

    [first, second] = answered(chain, question, question)

    assert first == second
    assert (first.text, first.contexts) == ("25 days.", (LEAVE,))


@pytest.mark.parametrize("parser", [None, StrOutputParser()], ids=["message", "text"])
def test_a_chain_that_returns_its_text_alone(answered, question, parser):
    chain = {"context": Retriever(), "input": RunnablePassthrough()} | prompt() | model()

    [answer] = answered(chain if parser is None else chain | parser, question)

    assert (answer.text, answer.contexts_known) == ("25 days.", False)


def test_a_retriever(answered, question):
    [answer] = answered(Retriever(), question)

    assert (answer.generated, answer.contexts) == (False, (LEAVE,))


def test_a_vector_store(answered, question):
    from langchain_core.embeddings import DeterministicFakeEmbedding
    from langchain_core.vectorstores import InMemoryVectorStore

    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents([Document("Staff have 25 days.", metadata={"source": "docs/leave.md"}, id="d1")])

    [answer] = answered(store, question)

    assert (answer.generated, answer.contexts) == (False, (LEAVE,))


def test_a_plain_function_as_a_runnable(answered, question):
    chain = RunnableLambda(lambda given: {"result": given["query"], "documents": []})

    [answer] = answered(chain, question)

    assert answer.text == question.question


def test_earlier_turns_reach_the_prompt(answered, follow_up):
    messages = ChatPromptTemplate.from_messages([MessagesPlaceholder("chat_history"), ("human", "{input}")])
    echo = RunnableLambda(lambda value: " | ".join(message.text for message in value.to_messages()))

    [answer] = answered(messages | echo, follow_up)

    assert answer.text == "Is there leave? | There is. | How many days?"
    with pytest.raises(MeasurementError, match="takes none"):
        answered(prompt("{input}") | model(), follow_up)


def test_a_graph(answered, follow_up):
    pytest.importorskip("langgraph")
    from langchain_core.messages import AIMessage, ToolMessage
    from langgraph.graph import END, START, MessagesState, StateGraph

    def search(state):
        found = Retriever().invoke(state["messages"][-1].text)
        return {"messages": [ToolMessage(content="found", tool_call_id="1", artifact=found)]}

    def reply(state):
        asked = [message.text for message in state["messages"] if message.type == "human"]
        return {"messages": [AIMessage(content=f"25 days, as to {' and '.join(asked)}")]}

    graph = StateGraph(MessagesState)
    graph.add_node("search", search)
    graph.add_node("reply", reply)
    graph.add_edge(START, "search")
    graph.add_edge("search", "reply")
    graph.add_edge("reply", END)

    [answer] = answered(graph.compile(), follow_up)

    assert answer.text == "25 days, as to Is there leave? and How many days?"
    assert answer.contexts == (LEAVE,)

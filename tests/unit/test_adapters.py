"""Systems by their shape. The classes here have the shapes of libraries' own; the real ones are in tests/frameworks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_ragcheck.errors import ConfigurationError, MeasurementError
from pytest_ragcheck.model import Answer, Context, Question, Turn
from pytest_ragcheck.rag.adapters import as_answer, as_contexts
from pytest_ragcheck.rag.pipeline import as_pipeline

QUESTION = Question(id="q", question="How long?")
FOLLOW_UP = Question(
    id="q", question="And then?", history=(Turn(role="user", text="What now?"), Turn(role="assistant", text="Tea."))
)
MESSAGES = [{"role": "user", "content": "What now?"}, {"role": "assistant", "content": "Tea."}]


@dataclass
class Document:
    """LangChain's."""

    page_content: str
    metadata: dict[str, Any] = field(default_factory=dict)
    id: str | None = None


@dataclass
class Node:
    """LlamaIndex'."""

    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    node_id: str = "n1"


@dataclass
class NodeWithScore:
    node: Node
    score: float


LEAVE = Document("25 days", {"source": "docs/leave.md", "start_index": 3}, "d1")


def answered(system, question=QUESTION):
    async def ask():
        pipeline = as_pipeline(system)
        return await pipeline.generate(question, await pipeline.retrieve(question))

    return asyncio.run(ask())


# ---- What is returned ------------------------------------------------------------------------


def test_a_text_says_nothing_of_contexts():
    assert as_answer("25 days") == Answer(text="25 days", contexts_known=False)


@pytest.mark.parametrize(
    "key", ["answer", "response", "result", "output", "output_text", "generated_text", "text", "reply", "content"]
)
@pytest.mark.parametrize(
    "contexts",
    [
        "contexts", "context", "retrieved_contexts", "retrieval_context", "source_documents", "documents", "docs",
        "source_nodes", "chunks", "passages", "hits",
    ],
)  # fmt: skip
def test_mappings_and_objects(key, contexts):
    fields = {"question": "How long?", key: "a week", contexts: ["one"]}

    for returned in (fields, SimpleNamespace(**fields)):
        assert as_answer(returned) == Answer(text="a week", contexts=(Context(text="one", rank=1),))


def test_an_empty_list_of_contexts_is_known_and_none_is_not():
    assert as_answer({"answer": "a", "contexts": []}).contexts_known
    assert not as_answer({"answer": "a", "contexts": None}).contexts_known
    assert not as_answer({"answer": "a"}).contexts_known


def test_names_of_sources_belong_to_the_contexts_and_are_none_themselves():
    both = as_answer({"answer": "a", "contexts": ["one", "two"], "sources": ["1.md", None]})
    alone = as_answer({"answer": "a", "sources": ["1.md"]})
    documents = as_answer({"answer": "a", "sources": [LEAVE]})

    assert [(context.text, context.source) for context in both.contexts] == [("one", "1.md"), ("two", None)]
    assert not alone.contexts_known
    assert documents.contexts[0].source == "docs/leave.md"


def test_what_a_system_says_of_itself():
    answer = as_answer({"answer": "No idea.", "contexts": [], "refused": True, "model": "m-1"})

    assert (answer.refused, answer.model) == (True, "m-1")


def test_messages():
    message = SimpleNamespace(content="25 days", type="ai")
    blocks = SimpleNamespace(
        content=[{"type": "thinking", "text": "hm"}, {"type": "text", "text": "25 "}, {"type": "text", "text": "days"}]
    )

    assert [as_answer(one).text for one in (message, blocks, {"answer": message})] == ["25 days"] * 3
    assert as_answer((message, [LEAVE])).contexts[0].source == "docs/leave.md"


def test_an_agents_conversation():
    tool = SimpleNamespace(type="tool", content="25 days as told", artifact=[LEAVE])
    plain_tool = {"role": "tool", "content": "another hit"}
    messages = [{"role": "user", "content": "How long?"}, tool, plain_tool, SimpleNamespace(type="ai", content="25.")]

    answer = as_answer({"messages": messages})

    assert answer.text == "25."
    assert [(context.text, context.source) for context in answer.contexts] == [
        ("25 days", "docs/leave.md"),
        ("another hit", None),
    ]
    assert not as_answer({"messages": messages[-1:]}).contexts_known


def test_contexts_alone():
    for returned in ([LEAVE], {"documents": [LEAVE], "query": "How long?"}):
        answer = as_answer(returned)

        assert not answer.generated
        assert answer.contexts[0].text == "25 days"


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (None, "NoneType, which is not understood; it must be an Answer, a text, a pair"),
        (7, "int"),
        (("a", "b"), "tuple"),
        (("a", {"b": 1}), "tuple"),
        (("a", ["b"], ["c"]), "tuple"),
        ({}, "dict with no keys"),
        ({"reply_text": "a", "contexts": ["b"]}, "dict with the keys 'reply_text', 'contexts'"),
        ({f"key {n}": n for n in range(20)}, "'key 7', ..., which"),
        ({"answer": None, "contexts": ["b"]}, "the pipeline's 'answer' is None, so that there is no answer"),
        ({"answer": {"a": 1}}, "the pipeline's 'answer' holds no text: it is dict with the keys 'a'"),
        ({"answer": "a", "contexts": 7}, "contexts must be a list, got int"),
        ({"answer": "a", "contexts": {"b": 1}}, "contexts must be a list, got dict with the keys 'b'"),
        ({"answer": "a", "contexts": [object()]}, "context 1 has no text: got object; a context is a text, a Context"),
        ({"answer": "a", "contexts": ["b"], "sources": []}, "there are 1 contexts, but 0 sources"),
        ({"messages": [{"role": "assistant", "tool_calls": []}]}, "the last of the messages holds no text"),
        (SimpleNamespace(status_code=200, text="{}"), "SimpleNamespace"),
        ([7], "context 1 has no text: got int"),
    ],
)
def test_what_is_not_understood_is_told_on_one_line(returned, told):
    with pytest.raises(MeasurementError) as caught:
        as_answer(returned)

    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.kind == "wrong-return"


# ---- Contexts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "context"),
    [
        (LEAVE, Context(text="25 days", rank=1, source="docs/leave.md", chunk_id="d1")),
        ((LEAVE, 0.5), Context(text="25 days", rank=1, score=0.5, source="docs/leave.md", chunk_id="d1")),
        (
            NodeWithScore(Node("25 days", {"file_path": "/x/leave.md", "file_name": "leave.md"}), 0.25),
            Context(text="25 days", rank=1, score=0.25, source="/x/leave.md", chunk_id="n1"),
        ),
        (
            SimpleNamespace(content="25 days", meta={"file_path": "leave.md"}, score=2, id="h1"),
            Context(text="25 days", rank=1, score=2.0, source="leave.md", chunk_id="h1"),
        ),
        (
            {"id": 7, "score": 0.125, "payload": {"text": "25 days", "source": "leave.md"}},
            Context(text="25 days", rank=1, score=0.125, source="leave.md", chunk_id="7"),
        ),
        ({"text": "25 days", "score": float("nan")}, Context(text="25 days", rank=1)),
        ({"text": "", "source": {"a": 1}}, Context(text="", rank=1)),
        (SimpleNamespace(get_content=lambda: "a table"), Context(text="a table", rank=1)),
    ],
)
def test_documents_nodes_and_hits(item, context):
    assert as_contexts([item]) == (context,)


def test_one_text_is_one_context():
    assert as_contexts("all of it in one") == (Context(text="all of it in one", rank=1),)


# ---- How systems are asked -------------------------------------------------------------------


class QueryEngine:
    """LlamaIndex': it retrieves too, but is asked."""

    async def aquery(self, text):
        return SimpleNamespace(response=f"{text} 25 days", source_nodes=[NodeWithScore(Node("25 days"), 0.5)])

    def query(self, text):
        raise AssertionError("the async twin is there")

    def retrieve(self, text):
        raise AssertionError("it is more than a retriever")


def test_a_query_engine():
    answer = answered(QueryEngine())

    assert answer.text == "How long? 25 days"
    assert answer.contexts == (Context(text="25 days", rank=1, score=0.5, chunk_id="n1"),)


@pytest.mark.parametrize("name", ["invoke", "query", "run", "retrieve", "get_relevant_documents", "search"])
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_methods_of_users_own_classes(name, is_async):
    async def ask_async(question):
        return [f"about {question}"]

    def ask(question):
        return [f"about {question}"]

    if is_async:
        twins = {"run": "run_async"}
        system = SimpleNamespace(**{twins.get(name, f"a{name}"): ask_async})
    else:
        system = SimpleNamespace(**{name: ask})
    answer = answered(system)

    assert not answer.generated
    assert answer.contexts == (Context(text="about How long?", rank=1),)


def test_a_retriever_gives_its_contexts_before_anything_is_generated():
    pipeline = as_pipeline(SimpleNamespace(retrieve=lambda question: [LEAVE]))

    contexts = asyncio.run(pipeline.retrieve(QUESTION))

    assert [context.text for context in contexts] == ["25 days"]


def test_an_own_class_that_can_be_called_is_called():
    class System:
        def __call__(self, question):
            return "called"

        def query(self, question):
            return "queried"

    assert answered(System()).text == "called"


def test_history_reaches_a_method():
    class System:
        def query(self, question, history):
            return f"{history} {question}"

    assert answered(System(), FOLLOW_UP).text == f"{MESSAGES} And then?"


class Runnable:
    """LangChain's: the schema of its input says what goes in."""

    def __init__(self, schema):
        self._schema = schema

    def get_input_schema(self):
        if self._schema is None:
            raise TypeError("no schema for that")
        return SimpleNamespace(model_json_schema=lambda: self._schema)

    def invoke(self, given):
        raise AssertionError("the async twin is there")

    async def ainvoke(self, given):
        return {"answer": repr(given), "context": [LEAVE]}

    def __call__(self, given):
        raise AssertionError("deprecated")


def properties(*names):
    return {"type": "object", "properties": {name: {} for name in names}}


@pytest.mark.parametrize(
    ("schema", "given"),
    [
        ({"type": "string"}, "How long?"),
        ({"title": "Anything"}, "How long?"),
        (None, "How long?"),
        (properties("input", "context"), {"input": "How long?"}),
        (properties("question"), {"question": "How long?"}),
        ({"properties": {"query": {}}}, {"query": "How long?"}),
        (properties("input", "chat_history"), {"chat_history": [], "input": "How long?"}),
        ({"type": "object"}, {"input": "How long?", "question": "How long?", "query": "How long?"}),
        (properties("messages"), {"messages": [{"role": "user", "content": "How long?"}]}),
    ],
)
def test_a_runnable_gets_what_its_schema_asks_for(schema, given):
    answer = answered(Runnable(schema))

    assert answer.text == repr(given)
    assert answer.contexts[0].source == "docs/leave.md"


def test_earlier_turns_reach_a_runnable_that_has_a_place_for_them():
    chain = answered(Runnable(properties("input", "chat_history")), FOLLOW_UP)
    agent = answered(Runnable(properties("messages")), FOLLOW_UP)

    assert chain.text == repr({"chat_history": MESSAGES, "input": "And then?"})
    assert agent.text == repr({"messages": [*MESSAGES, {"role": "user", "content": "And then?"}]})
    with pytest.raises(MeasurementError, match="takes none"):
        answered(Runnable(properties("input")), FOLLOW_UP)


@dataclass
class Socket:
    name: str


class ChatMessage:
    """Haystack's."""

    def __init__(self, role, text):
        self.role, self.text = role, text

    @classmethod
    def from_user(cls, text):
        return cls("user", text)

    @classmethod
    def from_assistant(cls, text):
        return cls("assistant", text)


class HaystackPipeline:
    def __init__(self, inputs, outputs, returned, edges=()):
        self._inputs, self._outputs, self._returned = inputs, outputs, returned
        self.given = None
        edge = {"from_socket": Socket("documents")}
        self.graph = SimpleNamespace(edges=lambda data: [(*ends, edge) for ends in edges])

    def inputs(self):
        needed = {"type": str, "is_mandatory": True}
        return {
            component: {name: needed if kind is None else kind for name, kind in sockets.items()}
            for component, sockets in self._inputs.items()
        }

    def outputs(self, *, include_components_with_connected_outputs):
        assert include_components_with_connected_outputs
        return self._outputs

    def run(self, data, include_outputs_from):
        self.given = data, include_outputs_from
        return self._returned


HIT = SimpleNamespace(content="25 days", meta={"file_path": "leave.md"}, score=0.5, id="h1")
OPTIONAL = {"type": Any, "is_mandatory": False}


def test_a_haystack_pipeline():
    pipeline = HaystackPipeline(
        {
            "retriever": {"query": None, "top_k": {"type": int, "is_mandatory": False}},
            "prompt": {"question": OPTIONAL, "template": OPTIONAL, "history": OPTIONAL},
            "embedder": {"text": None},
        },
        {"retriever": {"documents": {}}, "ranker": {"documents": {}}, "llm": {"replies": {}}},
        {"llm": {"replies": ["25 days."], "meta": [{}]}, "ranker": {"documents": [HIT]}},
        edges=[("retriever", "ranker"), ("ranker", "prompt")],
    )

    answer = answered(pipeline, FOLLOW_UP)

    assert pipeline.given == (
        {
            "retriever": {"query": "And then?"},
            "prompt": {"question": "And then?", "history": MESSAGES},
            "embedder": {"text": "And then?"},
        },
        {"ranker"},
    )
    assert answer.text == "25 days."
    assert [(context.text, context.source, context.score) for context in answer.contexts] == [
        ("25 days", "leave.md", 0.5)
    ]


def test_a_haystack_pipeline_for_chat_messages():
    kind = {"type": list[ChatMessage] | None, "is_mandatory": True}
    pipeline = HaystackPipeline(
        {"agent": {"messages": kind}}, {}, {"agent": {"replies": [ChatMessage.from_assistant("25 days.")]}}
    )

    answer = answered(pipeline, FOLLOW_UP)

    [(component, given)] = pipeline.given[0].items()
    assert component == "agent"
    assert [(message.role, message.text) for message in given["messages"]] == [
        ("user", "What now?"),
        ("assistant", "Tea."),
        ("user", "And then?"),
    ]
    assert replace(answer, latency=None) == Answer(text="25 days.", contexts_known=False)


@pytest.mark.parametrize(
    ("returned", "text", "contexts"),
    [
        ({"builder": {"answers": [SimpleNamespace(data="25.", documents=[HIT])]}}, "25.", ["25 days"]),
        (
            {"builder": {"answers": [SimpleNamespace(data="25.", documents=[])]}, "r": {"documents": [HIT]}},
            "25.",
            ["25 days"],
        ),
        ({"r": {"documents": [HIT]}}, "", ["25 days"]),
        ({"llm": {"replies": ["25."]}, "r": {"documents": []}}, "25.", []),
    ],
)
def test_outputs_of_haystack_pipelines(returned, text, contexts):
    pipeline = HaystackPipeline({"r": {"query": None}}, {"r": {"documents": {}}}, returned)

    answer = answered(pipeline)

    assert (answer.text, [context.text for context in answer.contexts]) == (text, contexts)
    assert answer.contexts_known
    assert answer.generated == bool(text)


@pytest.mark.parametrize(
    ("edges", "contexts"),
    [
        ([("retriever", "answers"), ("retriever", "ranker"), ("ranker", "prompt")], ["ranked"]),
        ([("retriever", "prompt"), ("retriever", "ranker"), ("ranker", "answers")], ["retrieved"]),
        ([("retriever", "ranker"), ("ranker", "adapter"), ("adapter", "prompt"), ("ranker", "answers")], ["ranked"]),
        ([("retriever", "ranker"), ("ranker", "answers")], ["referenced"]),
    ],
)
def test_what_a_haystack_prompt_builder_gets_goes_before_the_documents_of_the_answer(edges, contexts):
    retrieved, ranked, referenced = (
        SimpleNamespace(content=name, meta={}, score=0.5, id=name) for name in ("retrieved", "ranked", "referenced")
    )
    pipeline = HaystackPipeline(
        {"retriever": {"query": None}},
        {
            "retriever": {"documents": {}},
            "ranker": {"documents": {}},
            "adapter": {"output": {}},
            "prompt": {"prompt": {}},
            "answers": {"answers": {}},
        },
        {
            "retriever": {"documents": [retrieved]},
            "ranker": {"documents": [ranked]},
            "answers": {"answers": [SimpleNamespace(data="25.", documents=[referenced])]},
        },
        edges=[*edges, ("prompt", "llm"), ("llm", "answers")],
    )

    answer = answered(pipeline)

    assert answer.text == "25."
    assert [context.text for context in answer.contexts] == contexts


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ({"r": {"query": None, "query_embedding": None}}, "needs r.query_embedding, which is no question; wrap"),
        ({"r": {"top_k": OPTIONAL}}, "has no input for a question (query, question); wrap the pipeline in a function"),
    ],
)
def test_inputs_of_haystack_pipelines_that_cannot_be_given(inputs, told):
    with pytest.raises(ConfigurationError) as caught:
        as_pipeline(HaystackPipeline(inputs, {}, {}))

    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ({}, "neither answers, replies nor documents: nothing"),
        ({"llm": {"meta": []}}, "neither answers, replies nor documents: llm: dict with the keys 'meta'"),
        ({"a": {"replies": ["1"]}, "b": {"replies": ["2"]}}, "'replies' of several components: a, b"),
        ({"llm": {"replies": []}}, "the Haystack pipeline's 'replies' are empty"),
    ],
)
def test_outputs_of_haystack_pipelines_that_are_no_answer(returned, told):
    with pytest.raises(MeasurementError) as caught:
        answered(HaystackPipeline({"r": {"query": None}}, {}, returned))

    assert told in str(caught.value)


def test_no_library_is_imported_for_it():
    import subprocess
    import sys

    code = (
        "import sys; from pytest_ragcheck.rag.pipeline import as_pipeline; as_pipeline(lambda question: question); "
        "heavy = {'langchain_core', 'llama_index', 'haystack', 'numpy', 'pydantic', 'httpx2', 'anthropic'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"

"""Haystack's pipelines: a question goes into those of their inputs that take one, answers come from their ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

from pytest_ragcheck.errors import ConfigurationError
from pytest_ragcheck.rag.adapters.answers import as_answer as answer_of_fields
from pytest_ragcheck.rag.adapters.answers import retrieved
from pytest_ragcheck.rag.adapters.contexts import as_contexts
from pytest_ragcheck.rag.adapters.messages import messages_of
from pytest_ragcheck.rag.adapters.shapes import is_sequence, kind_of, wrong_return

if TYPE_CHECKING:
    from pytest_ragcheck.model import Answer, Context, Question

__all__ = ["Inputs", "as_answer", "is_pipeline"]

QUESTION_NAMES = frozenset({"query", "question"})
TEXT_NAMES = frozenset({"text", "prompt"})
"""Inputs for a question only where they must be given: an embedder's text, a generator's prompt."""
HISTORY_NAMES = frozenset({"history", "chat_history"})
DOCUMENTS = "documents"
PROMPT = "prompt"
_ANSWER_NAMES = ("answers", "replies", "answer", "reply", "response")


def is_pipeline(candidate: Any) -> bool:
    """Whether it has what all pipelines of Haystack have."""
    return all(callable(getattr(candidate, name, None)) for name in ("run", "inputs", "outputs"))


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Where in a pipeline the question and the earlier turns go; places are (component, input)."""

    question: tuple[tuple[str, str], ...]
    history: tuple[tuple[str, str], ...]
    messages: Mapping[tuple[str, str], Any] = field(default_factory=dict)
    """Inputs for chat messages, with the pipeline's own class of messages."""
    retrievers: tuple[str, ...]
    """Components whose documents are the contexts."""
    are_in_prompt: bool = False
    """Whether they are what a prompt builder gets, whatever documents the answer itself names."""

    @classmethod
    def of(cls, pipeline: Any) -> Inputs:
        """As the pipeline describes its open inputs; ConfigurationError where one cannot be given."""
        question, history, messages, missing = [], [], {}, []
        for component, sockets in pipeline.inputs().items():
            for name, socket in sockets.items():
                place = component, name
                is_needed = socket.get("is_mandatory", False)
                message_class = _message_class(socket.get("type"))
                if name in QUESTION_NAMES or (is_needed and name in TEXT_NAMES and socket.get("type") is str):
                    question.append(place)
                elif name in HISTORY_NAMES:
                    history.append(place)
                elif is_needed and message_class is not None:
                    messages[place] = message_class
                elif is_needed:
                    missing.append(f"{component}.{name}")
        _check(question=[*question, *messages], missing=missing)
        in_prompt = _given_to_prompt(pipeline)
        return cls(
            question=tuple(question),
            history=tuple(history),
            messages=messages,
            retrievers=in_prompt or _retrievers(pipeline),
            are_in_prompt=bool(in_prompt),
        )

    @property
    def takes_history(self) -> bool:
        """Whether earlier turns have a place in it."""
        return bool(self.history or self.messages)

    def made(self, question: Question) -> dict[str, dict[str, Any]]:
        """The data for one run, by component and input."""
        data: dict[str, dict[str, Any]] = {}
        for component, name in self.question:
            data.setdefault(component, {})[name] = question.question
        for component, name in self.history:
            data.setdefault(component, {})[name] = messages_of(question)
        for (component, name), message_class in self.messages.items():
            data.setdefault(component, {})[name] = _chat_messages(message_class, question)
        return data


def _check(*, question: Iterable[Any], missing: list[str]) -> None:
    remedy = "wrap the pipeline in a function that gets the question and calls run() with all inputs"
    if missing:
        raise ConfigurationError(f"the Haystack pipeline needs {', '.join(missing)}, which is no question; {remedy}")
    if not list(question):
        names = ", ".join(sorted(QUESTION_NAMES))
        raise ConfigurationError(f"the Haystack pipeline has no input for a question ({names}); {remedy}")


def _message_class(kind: Any) -> Any | None:
    """The class of chat messages, where an input takes a list of them."""
    candidates = [kind, *get_args(kind)]
    classes = [argument for candidate in candidates for argument in get_args(candidate)]
    return next((found for found in classes if hasattr(found, "from_user") and hasattr(found, "from_assistant")), None)


def _chat_messages(message_class: Any, question: Question) -> list[Any]:
    makers = {"user": message_class.from_user, "assistant": message_class.from_assistant}
    return [makers[turn.role](turn.text) for turn in question.history] + [message_class.from_user(question.question)]


def _given_to_prompt(pipeline: Any) -> tuple[str, ...]:
    """The last components that give documents on each way to a prompt builder."""
    outputs = pipeline.outputs(include_components_with_connected_outputs=True)
    senders: dict[str, set[str]] = {}
    for sender, receiver, _ in _edges(pipeline):
        senders.setdefault(receiver, set()).add(sender)
    giving = {name for name, sockets in outputs.items() if DOCUMENTS in sockets}
    before_giving = {name: found for name, found in senders.items() if name not in giving}
    found = [_reachable(name, before_giving) & giving for name, sockets in outputs.items() if PROMPT in sockets]
    return tuple(name for name in outputs if any(name in names for names in found))


def _retrievers(pipeline: Any) -> tuple[str, ...]:
    """Of the components that give documents those whose documents go through no other one: after a ranker, say."""
    outputs = pipeline.outputs(include_components_with_connected_outputs=True)
    giving = [name for name, sockets in outputs.items() if DOCUMENTS in sockets]
    followers = _followers(pipeline)
    return tuple(name for name in giving if not _reachable(name, followers) & (set(giving) - {name}))


def _followers(pipeline: Any) -> dict[str, set[str]]:
    """By component those that get its documents, as far as the pipeline tells."""
    followers: dict[str, set[str]] = {}
    for sender, receiver, edge in _edges(pipeline):
        if getattr(edge.get("from_socket"), "name", DOCUMENTS) == DOCUMENTS:
            followers.setdefault(sender, set()).add(receiver)
    return followers


def _edges(pipeline: Any) -> Iterable[tuple[str, str, Mapping[str, Any]]]:
    graph = getattr(pipeline, "graph", None)
    return graph.edges(data=True) if graph is not None else ()


def _reachable(start: str, followers: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        for name in followers.get(ahead.pop(), ()):
            if name not in found:
                found.add(name)
                ahead.append(name)
    return found


def as_answer(returned: Any, *, retrievers: Iterable[str], are_in_prompt: bool = False) -> Answer:
    """The answer among the components' outputs; MeasurementError where there is none, or more than one."""
    if not isinstance(returned, Mapping) or not all(isinstance(outputs, Mapping) for outputs in returned.values()):
        return answer_of_fields(returned)
    contexts = _contexts(returned, retrievers)
    for name in _ANSWER_NAMES:
        found = {component: outputs[name] for component, outputs in returned.items() if name in outputs}
        if len(found) > 1:
            raise wrong_return(f"the Haystack pipeline has {name!r} of several components: {', '.join(found)}")
        for value in found.values():
            if is_sequence(value) and not value:
                raise wrong_return(f"the Haystack pipeline's {name!r} are empty")
            answer = answer_of_fields({name: value})
            if contexts is None or (answer.contexts and not are_in_prompt):
                return answer
            return answer_of_fields((answer.text, contexts))
    if contexts is None:
        outputs = ", ".join(f"{component}: {kind_of(fields)}" for component, fields in returned.items())
        raise wrong_return(f"the Haystack pipeline has neither answers, replies nor documents: {outputs or 'nothing'}")
    return retrieved(contexts)


def _contexts(returned: Mapping[str, Any], retrievers: Iterable[str]) -> tuple[Context, ...] | None:
    named = [returned[name][DOCUMENTS] for name in retrievers if DOCUMENTS in returned.get(name, {})]
    return as_contexts([document for documents in named for document in documents]) if named else None

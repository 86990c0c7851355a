"""What the ways with deepeval alone share: the questions, the answers, and a judge as users write one."""

import asyncio
import json
from pathlib import Path

from anthropic import Anthropic, AsyncAnthropic, transform_schema
from deepeval import metrics as theirs
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import LLMTestCase

ROWS = json.loads(Path(__file__).with_name("rows.json").read_text())
WRITER, JUDGE = "claude-sonnet-5-5", "claude-haiku-5-5"


def asked(row):
    prompt = "\n\n".join([*row["contexts"], row["question"]])
    return {"model": WRITER, "max_tokens": 1024, "messages": [{"role": "user", "content": prompt}]}


def generate_answer(client, row):
    return client.messages.create(**asked(row)).content[0].text


async def generate_answers(rows):
    async with AsyncAnthropic() as client:
        messages = await asyncio.gather(*(client.messages.create(**asked(row)) for row in rows))
    return [message.content[0].text for message in messages]


class ClaudeJudge(DeepEvalBaseLLM):
    def __init__(self):
        self.client, self.async_client = Anthropic(), AsyncAnthropic()
        super().__init__(JUDGE)

    def load_model(self):
        return self.client

    def get_model_name(self):
        return JUDGE

    def _asked(self, prompt, schema):
        shape = {"type": "json_schema", "schema": transform_schema(schema)}
        messages = [{"role": "user", "content": prompt}]
        return {"model": JUDGE, "max_tokens": 4096, "messages": messages, "output_config": {"format": shape}}

    def generate(self, prompt, schema):
        message = self.client.messages.create(**self._asked(prompt, schema))
        return schema.model_validate_json(message.content[0].text)

    async def a_generate(self, prompt, schema):
        message = await self.async_client.messages.create(**self._asked(prompt, schema))
        return schema.model_validate_json(message.content[0].text)


def metrics(judge, **options):
    kinds = (theirs.FaithfulnessMetric, theirs.AnswerRelevancyMetric, theirs.ContextualPrecisionMetric)
    kinds += (theirs.ContextualRecallMetric,)
    return [kind(model=judge, threshold=0.0, **options) for kind in kinds]


def case_of(row, answer):
    return LLMTestCase(
        input=row["question"],
        actual_output=answer,
        expected_output=row["reference"],
        retrieval_context=row["contexts"],
    )


def judge_one_by_one(answers):
    judge = ClaudeJudge()
    for row, answer in zip(ROWS, answers, strict=True):
        for metric in metrics(judge, async_mode=False):
            metric.measure(case_of(row, answer), _show_indicator=False)

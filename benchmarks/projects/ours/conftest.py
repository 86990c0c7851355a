"""The user's own pipeline: it calls the server itself, outside of the plugin."""

import asyncio
import json
import os
from contextlib import nullcontext
from pathlib import Path

import pytest
from anthropic import AsyncAnthropic, DefaultAioHttpClient

from pytest_ragcheck import Answer, Context

ROWS = {row["question"]: row for row in json.loads(Path(__file__).with_name("rows.json").read_text())}


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    client = AsyncAnthropic(max_retries=20, http_client=DefaultAioHttpClient())

    limit = int(os.environ.get("PIPELINE_LIMIT", "0"))
    places = asyncio.Semaphore(limit) if limit else nullcontext()

    async def answer(question):
        texts = ROWS[question]["contexts"]
        prompt = "\n\n".join([*texts, question])
        messages = [{"role": "user", "content": prompt}]
        async with places:
            message = await client.messages.create(model="claude-sonnet-5-5", max_tokens=1024, messages=messages)
        contexts = tuple(Context(text=text, rank=rank) for rank, text in enumerate(texts, 1))
        metadata = {"request_id": message._request_id}  # noqa: SLF001 (public, as the SDK's documentation says)
        return Answer(text=message.content[0].text, contexts=contexts, metadata=metadata)

    return answer

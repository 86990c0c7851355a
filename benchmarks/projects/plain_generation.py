"""The plain script without judging: ``python plain_generation.py CALLS_IN_FLIGHT`` (0: no limit)."""

import asyncio
import json
import sys
from contextlib import nullcontext
from pathlib import Path

from anthropic import AsyncAnthropic, DefaultAioHttpClient


async def answer(client, places, row):
    messages = [{"role": "user", "content": "\n\n".join([*row["contexts"], row["question"]])}]
    async with places:
        reply = await client.messages.create(model="claude-sonnet-5-5", max_tokens=1024, messages=messages)
    return reply.content[0].text


async def answer_all(rows, limit):
    places = asyncio.Semaphore(limit) if limit else nullcontext()
    async with AsyncAnthropic(max_retries=20, http_client=DefaultAioHttpClient()) as client:
        return await asyncio.gather(*(answer(client, places, row) for row in rows))


answers = asyncio.run(answer_all(json.loads(Path("rows.json").read_text()), int(sys.argv[1])))
print(f"{len(answers)} questions answered")

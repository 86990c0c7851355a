import os

import library_bot
import pytest

from pytest_ragcheck.testing.messages_api import MessagesApi


def pytest_configure(config):
    """A server on this machine stands for Anthropic's, so that the example needs no key."""
    api = MessagesApi()
    config.add_cleanup(api.close)
    os.environ |= {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "any"}


@pytest.fixture(scope="session")
def ragcheck_pipeline(ragcheck_gateway):
    async def ask(question):
        notices = library_bot.search(question)
        documents = "\n".join(f"<document>{notice}</document>" for notice in notices)
        reply = await ragcheck_gateway.complete(
            model="claude-haiku-5-5",
            system="Answer from the documents alone.",
            messages=[{"role": "user", "content": f"{documents}\n\nQuestion: {question}"}],
            max_tokens=200,
        )
        return reply.text, notices

    return ask

import library_bot
import pytest

from pytest_ragcheck import Context


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    def ask(question):
        found = library_bot.search(question)
        contexts = [Context(text=text, rank=rank, source=name) for rank, (name, text) in enumerate(found, start=1)]
        return library_bot.write_answer([text for _, text in found]), contexts

    return ask

import library_bot
import pytest


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    def ask(question):
        notices = library_bot.search(question)
        return library_bot.write_answer(notices), notices

    return ask

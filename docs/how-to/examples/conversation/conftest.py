import library_bot
import pytest


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    return library_bot.answer

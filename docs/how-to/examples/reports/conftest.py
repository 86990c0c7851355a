import library_bot
import pytest


def pytest_addoption(parser):
    parser.addoption("--notices", type=int, default=3)


@pytest.fixture(scope="session")
def ragcheck_pipeline(request):
    def ask(question):
        notices = library_bot.search(question, count=request.config.getoption("notices"))
        return library_bot.write_answer(notices), notices

    return ask

import library_bot
import pytest


@pytest.fixture(scope="session", params=[1, 3], ids=["one-notice", "three-notices"])
def ragcheck_pipeline(request):
    def ask(question):
        notices = library_bot.search(question, count=request.param)
        return library_bot.write_answer(notices), notices

    return ask

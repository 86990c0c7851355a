import pytest

PAGE = "Up to five days of leave can be carried over into the next year. They expire on 31 March."


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    def ask(question):
        if "leave" in question:
            return "Five days of leave can be carried over, and expire on 31 March.", [PAGE]
        return "The handbook does not say that.", []

    return ask

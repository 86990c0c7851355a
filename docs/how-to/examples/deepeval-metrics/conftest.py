import pytest

HOURS = {
    "main": "The main library is open from 9:00 to 20:00.",
    "harbour": "The harbour branch opens its doors to readers, visitors and school classes from 12:00 to 18:00.",
}


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    def answer(question):
        found = HOURS["harbour" if "harbour" in question else "main"]
        return found, [found]

    return answer


@pytest.fixture(scope="session")
def ragcheck_metrics(ragcheck_judge):
    from deepeval.metrics import GEval
    from deepeval.test_case import SingleTurnParams

    return [
        GEval(
            name="clarity",
            evaluation_steps=["Would a reader understand the actual output at first sight?"],
            evaluation_params=[SingleTurnParams.ACTUAL_OUTPUT],
            model=ragcheck_judge,
            threshold=0.7,
        )
    ]

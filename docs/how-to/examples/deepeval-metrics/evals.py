from deepeval.metrics import GEval
from deepeval.test_case import SingleTurnParams


def tone(model):
    return GEval(
        name="tone",
        evaluation_steps=["Is the actual output friendly, and does it tell no more than was asked?"],
        evaluation_params=[SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT],
        model=model,
    )

from itertools import cycle

import pytest

NOTICE = "An overdue book costs 0.20 euros a day and never more than 10 euros. A loan can be renewed twice."
WORDINGS = {
    "What does an overdue book cost?": cycle(
        [
            "An overdue book costs 0.20 euros a day and never more than 10 euros.",
            "An overdue book costs 0.20 euros a day.",
            "It is 0.20 euros a day, but never more than 10 euros.",
        ]
    ),
    "How often can a loan be renewed?": cycle(["A loan can be renewed twice.", "It can be renewed twice."]),
}


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    """Stands for a model: the same question, another wording each time."""

    async def ask(question):
        return next(WORDINGS[question]), [NOTICE]

    return ask

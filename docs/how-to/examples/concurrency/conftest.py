import asyncio

import pytest

CAPITALS = {"Denmark": "Copenhagen", "Estonia": "Tallinn", "Finland": "Helsinki", "Latvia": "Riga", "Norway": "Oslo"}


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        country = question.removesuffix("?").rpartition(" ")[2]
        await asyncio.sleep(0.3)  # stands for the model that writes the answer
        sentence = f"The capital of {country} is {CAPITALS[country]}."
        return sentence, [sentence]

    return ask

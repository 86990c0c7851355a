import pytest

import pytest_ragcheck

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


@pytest_ragcheck.metric
def short_enough(answer):
    return len(answer.text) <= 60


@pytest_ragcheck.metric
async def polite(question, answer, judge):
    verdict = await judge.ask(
        f"Is this reply polite? Question: {question.question}\nReply: {answer.text}",
        schema={
            "type": "object",
            "properties": {"polite": {"type": "boolean"}},
            "required": ["polite"],
            "additionalProperties": False,
        },
    )
    return verdict["polite"]

import pytest
from generation import generate_answer_async
from retrieval import retrieve


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    async def ask(question):
        chunks = retrieve(question)
        answer = await generate_answer_async(question, "\n".join(chunks))
        return answer, chunks

    return ask

import pytest
import pytest_asyncio
from library_service import LibraryClient, serve


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def library_client():
    async with await serve() as server, LibraryClient(*server.sockets[0].getsockname()) as client:
        yield client


@pytest.fixture(scope="session")
def ragcheck_pipeline(library_client):
    async def ask(question):
        reply = await library_client.ask(question)
        return reply["answer"], reply["notices"]

    return ask

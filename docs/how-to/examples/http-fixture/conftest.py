import library_service
import pytest

from pytest_ragcheck import HttpEndpoint


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    port = library_service.start()
    return HttpEndpoint(f"http://127.0.0.1:{port}/ask", answer="data.answer", contexts="hits[*].body")

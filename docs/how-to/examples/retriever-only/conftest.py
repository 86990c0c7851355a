import pytest
from notice_search import NoticeSearch


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    return NoticeSearch()

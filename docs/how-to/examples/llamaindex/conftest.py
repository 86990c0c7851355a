from pathlib import Path

import pytest
from handbook_engine import make_query_engine

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    return make_query_engine(HERE / "docs", HERE)

from pathlib import Path

import pytest
from handbook_chain import make_chain

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    return make_chain(HERE / "docs", HERE)

import os
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "false"
    from handbook_pipeline import make_pipeline

    return make_pipeline(HERE / "docs", HERE)

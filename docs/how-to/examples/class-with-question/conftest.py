from pathlib import Path

import pytest
from library_bot import LibraryBot


@pytest.fixture(scope="session")
def ragcheck_pipeline():
    return LibraryBot(Path(__file__).parent / "notices")

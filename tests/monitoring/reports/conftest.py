"""A store of two weeks, which the tests read only."""

from __future__ import annotations

from pathlib import Path

import pytest
from weeks_of_calls import two_weeks


@pytest.fixture(scope="session")
def weeks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weeks") / "store"
    two_weeks().write(path)
    return path

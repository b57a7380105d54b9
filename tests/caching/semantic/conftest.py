"""Semantic caches in folders of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmops_sdk.caching import SemanticCache
from llmops_sdk.testing import ManualClock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def make_cache(folder: Path, clock: ManualClock) -> Iterator[Callable[..., SemanticCache]]:
    """Make caches in one folder; closed at the end."""
    opened: list[SemanticCache] = []

    def make(**options: Any) -> SemanticCache:
        made = SemanticCache(**{"path": folder, "clock": clock, **options})
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.close()


# A small vocabulary: the words of the tests that are spelled right.
WORDS = """
    account address bank beef book buy call card change chicken copy current debt deposit desktop direct dish eat email
    employee employer for history how install invoice list members my open order password prescription receive repeat
    request reset router savings sign spicy start statement station status table transfer turn update up water what
"""


@pytest.fixture(scope="session")
def vocabulary() -> frozenset[str]:
    return frozenset(WORDS.split())

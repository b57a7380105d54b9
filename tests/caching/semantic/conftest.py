"""A small vocabulary: the words of the tests that are spelled right."""

from __future__ import annotations

import pytest

WORDS = """
    account address bank beef book buy call card change chicken copy current debt deposit desktop direct dish eat email
    employee employer for history how install invoice list members my open order password prescription receive repeat
    request reset router savings sign spicy start statement station status table transfer turn update up water what
"""


@pytest.fixture(scope="session")
def vocabulary() -> frozenset[str]:
    return frozenset(WORDS.split())

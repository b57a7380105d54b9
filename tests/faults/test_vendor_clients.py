"""The real openai client under `@retry` and `@fallback`; tests/integration adds the anthropic client."""

from __future__ import annotations

import pytest
from fault_cases import FAULTS, SETUPS, WAYS
from vendor_calls import CONTENT_FAULTS, cells, play

pytestmark = [pytest.mark.thorough, pytest.mark.timeout(300)]


def test_openai_client_is_retried_or_falls_back():
    these = cells("openai")

    assert play("openai", these) == []
    assert {cell.case.fault for cell in these} == set(FAULTS) - CONTENT_FAULTS - {"drip"}
    assert {(cell.setup, cell.way, cell.tools) for cell in these} == {
        (setup, way, tools) for setup in SETUPS for way in WAYS for tools in (False, True)
    }

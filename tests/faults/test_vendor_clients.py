"""The real openai client under `@retry` and `@fallback`; tests/integration has the anthropic one beside it."""

from __future__ import annotations

import pytest
from fault_cases import FAULTS, SETUPS, WAYS
from vendor_calls import WHAT_CAME, cells, play

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_each_call_is_tried_again_or_answered_elsewhere_as_its_criterion_says():
    these = cells("openai")

    assert play("openai", these) == []
    assert {cell.case.fault for cell in these} == set(FAULTS) - WHAT_CAME - {"drip"}
    assert {(cell.setup, cell.way, cell.tools) for cell in these} == {
        (setup, way, tools) for setup in SETUPS for way in WAYS for tools in (False, True)
    }

"""Limiters over the state of this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from llmops_sdk.config import LimitSettings
from llmops_sdk.resilience.limits._limiter import Limiter
from llmops_sdk.shared._local import LocalState
from llmops_sdk.testing import ManualClock


@pytest.fixture
def make_limiter() -> Callable[..., Limiter]:
    """Return a function that makes a limiter with the real clock."""

    def make(**settings: Any) -> Limiter:
        return Limiter("model", LimitSettings(**settings), LocalState())

    return make


@pytest.fixture
def make_virtual(clock: ManualClock) -> Callable[..., Limiter]:
    """Return a function that makes a limiter with the test's clock."""

    def make(**settings: Any) -> Limiter:
        return Limiter("model", LimitSettings(**settings), LocalState(clock), clock)

    return make

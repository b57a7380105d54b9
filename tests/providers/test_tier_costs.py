"""The price of a call follows the tier that served it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from loopback import Recorded
from openai_server import OpenAIServer

import llmops_sdk as llmops

pytestmark = pytest.mark.slow  # importing litellm takes seconds

MODEL = "openai/gpt-5"


class TierServer(OpenAIServer):
    tier: str | None = "default"

    def _frame(self, request: Recorded, kind: str) -> dict[str, Any]:
        return {**super()._frame(request, kind), "service_tier": self.tier}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[TierServer]:
    with TierServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "key-for-tests")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        yield server


def costs(server: TierServer, tier: str | None) -> list[float | None]:
    server.tier = tier
    chunks = llmops.stream("Hello?", model=MODEL)
    for _ in chunks:
        pass
    return [llmops.chat("Hello?", model=MODEL).cost, chunks.response.cost]


def test_cost_follows_the_tier_that_served(server: TierServer):
    plain, flex, priority, unknown = (costs(server, tier) for tier in ("default", "flex", "priority", "gold"))
    assert flex[0] == pytest.approx(plain[0] / 2)
    assert priority[0] > plain[0]
    assert unknown == plain
    for whole, streamed in (plain, flex, priority):
        assert whole == pytest.approx(streamed)


def test_configured_price_counts_for_every_tier(server: TierServer):
    llmops.configure(prices={MODEL: {"input": 1_000_000, "output": 0}})
    assert costs(server, "flex") == [11.0, 11.0]

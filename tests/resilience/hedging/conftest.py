"""Policies that hedge at once, and the four ways to call a provider."""

from __future__ import annotations

import asyncio

import pytest
from gated_requests import REQUEST

from llmops_sdk.config import HedgeSettings
from llmops_sdk.resilience.hedging import HedgePolicies


@pytest.fixture
def settings() -> HedgeSettings:
    return HedgeSettings(share=1.0, samples=2, min_delay=0.001)


@pytest.fixture
def warm(settings) -> HedgePolicies:
    """Return policies that hedge at once: they have seen enough fast calls."""
    policies = HedgePolicies.of(settings)
    for policy in (policies.answers, policies.streams):
        for _ in range(10):
            policy.observe(0.0)
    return policies


@pytest.fixture(params=["complete", "acomplete", "stream", "astream"])
def way(request):
    """Return each of the four ways, as a function that gives (text, attempts)."""

    def run(provider, asked=REQUEST):
        if request.param == "complete":
            response = provider.complete(asked)
            return response.text, response.attempts
        if request.param == "acomplete":
            response = asyncio.run(provider.acomplete(asked))
            return response.text, response.attempts
        if request.param == "stream":
            chunks = list(provider.stream(asked))
        else:

            async def collect():
                return [chunk async for chunk in provider.astream(asked)]

            chunks = asyncio.run(collect())
        return "".join(chunk.text for chunk in chunks), chunks[-1].attempts

    run.name = request.param
    run.streams = "stream" in request.param
    run.sync = not request.param.startswith("a")
    return run

"""The rate-limit headers of OpenAI, Azure and Anthropic: their forms, and the way to answers, chunks and errors."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from hypothesis import given
from hypothesis import strategies as st
from loopback import Fault
from openai_server import OpenAIServer

from llmops_sdk.config import ModelSettings, Settings, resolve_model
from llmops_sdk.errors import RateLimitError
from llmops_sdk.providers import RateLimits, Request, open_provider
from llmops_sdk.providers.litellm.wire._rate_limits import read_rate_limits

_NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z

OPENAI = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "30000",
    "x-ratelimit-remaining-tokens": "29000",
    "x-ratelimit-reset-tokens": "6m0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:01Z",
    "anthropic-ratelimit-tokens-limit": "40000",
    "anthropic-ratelimit-tokens-remaining": "39000",
    "anthropic-ratelimit-tokens-reset": "2027-01-15T08:01:30Z",
}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [(OPENAI, (500, 499, 0.12, 30_000, 29_000, 360)), (ANTHROPIC, (50, 49, 1, 40_000, 39_000, 90))],
    ids=["openai", "anthropic"],
)
def test_headers_of_vendors_are_read(headers: dict[str, str], expected: tuple[float, ...]):
    assert astuple(read_rate_limits(headers, _NOW) or RateLimits()) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0), ("7.66s", 7.66), ("120ms", 0.12), ("6m0s", 360.0), ("2m59.56s", 179.56), ("1h2m3s", 3_723.0),
        ("1d", 86_400.0), ("30", 30.0), ("0", 0.0), ("2027-01-15T09:00:01+01:00", 1.0), ("2027-01-15T08:00:01", 1.0),
        # In the past, and hostile: bounded, or as if it were absent.
        ("2020-01-01T00:00:00Z", 0.0), ("9999-01-01T00:00:00Z", 86_400.0), ("999999d", 86_400.0), ("1e300", 86_400.0),
        ("nan", None), ("inf", None), ("-5", None), ("", None), ("soon", None), ("1s" * 1_000, None), ("٣s", 3.0),
    ],
)  # fmt: skip
def test_forms_of_a_reset(text: str, seconds: float | None):
    found = read_rate_limits({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": text}, _NOW)

    assert found is not None
    assert found.requests_reset_s == (None if seconds is None else pytest.approx(seconds))


@given(st.dictionaries(st.sampled_from([*OPENAI, *ANTHROPIC, "x-other"]), st.text(max_size=60)))
def test_no_header_raises_and_every_value_is_bounded(headers: dict[str, str]):
    found = read_rate_limits(headers, _NOW)

    assert all(value is None or 0.0 <= value <= 1e12 for value in astuple(found or RateLimits()))


def test_without_such_headers_there_is_nothing():
    assert read_rate_limits({"content-type": "application/json"}, _NOW) is None


@pytest.mark.slow  # importing litellm takes seconds
@pytest.mark.parametrize(
    ("vendor", "kind", "headers"),
    [("openai", OpenAIServer, OPENAI), ("anthropic", AnthropicServer, ANTHROPIC)],
    ids=["openai", "anthropic"],
)
async def test_answers_first_chunks_and_errors_have_the_limits(
    vendor: str, kind: Any, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TEAM_KEY", "key-for-tests")
    with kind() as server:
        base = server.base_url if isinstance(server, OpenAIServer) else server.url
        named = ModelSettings(model=f"{vendor}/m-x", base_url=base, api_key_env="TEAM_KEY")
        provider = open_provider(resolve_model(Settings(models={"m": named}), "m"))
        request = Request(model=f"{vendor}/m-x", messages=[{"role": "user", "content": "Hello?"}])
        server.reply_headers = headers
        whole = [provider.complete(request), await provider.acomplete(request)]
        streams = [list(provider.stream(request)), [chunk async for chunk in provider.astream(request)]]
        server.faults.extend([Fault(status=429, headers=headers)] * 2)
        errors: list[RateLimitError] = []
        for _ in range(2):
            with pytest.raises(RateLimitError) as caught:
                provider.complete(request) if not errors else [list(provider.stream(request))]
            errors.append(caught.value)
        server.reply_headers = {}
        without = provider.complete(request)
        await provider.aclose()

    left = {float(headers[name]) for name in headers if name.endswith(("remaining-requests", "requests-remaining"))}
    assert {answer.rate_limits.requests_left for answer in whole if answer.rate_limits} == left
    assert len([answer for answer in whole if answer.rate_limits]) == 2
    for chunks in streams:
        assert [chunk.rate_limits is not None for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    assert {error.rate_limits.requests_left for error in errors} == left
    assert without.rate_limits is None

"""Valid JSON over HTTP 200 that is not an answer raises retryable typed errors."""

from __future__ import annotations

from typing import Any

import pytest
from loopback import Recorded, Reply
from openai_server import OpenAIServer

import llmops_sdk as llmops

pytestmark = pytest.mark.slow  # importing litellm takes seconds

VECTOR = [1.0, 0.0]


class OddServer(OpenAIServer):
    """Replaces values in its answers."""

    def __init__(self, odd: dict[str, Any]) -> None:
        super().__init__()
        self._odd = odd

    def whole(self, request: Recorded) -> dict[str, Any]:
        return {**super().whole(request), **self._odd}


async def test_answer_without_choices_raises_server_error():
    with OddServer({"choices": []}) as server, llmops.LLM(f"{server.base_url}#m", retry=False) as model:
        with pytest.raises(llmops.ServerError, match=r"openai/m: .* no choices") as whole:
            model.chat("Hello?")
        with pytest.raises(llmops.ServerError, match="no choices"):
            await model.achat("Hello?")
        assert len(whole.value.attempts) == 1
        assert whole.value.provider == "openai_compatible"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param([], id="none"),
        pytest.param(None, id="null"),
        pytest.param([{"index": 0, "embedding": VECTOR}], id="too_few"),
        pytest.param([{"index": n, "embedding": VECTOR} for n in range(3)], id="too_many"),
        pytest.param([{"index": 0, "embedding": VECTOR}, {"index": 1, "embedding": None}], id="one_is_null"),
    ],
)
async def test_wrong_number_of_vectors_raises_server_error(data):
    with OddServer({"data": data}) as server, llmops.LLM(f"{server.base_url}#m", retry=False) as model:
        with pytest.raises(llmops.ServerError, match="one vector for each of the 2 texts"):
            model.embed(["a", "b"])
        with pytest.raises(llmops.ServerError, match="one vector for each of the 2 texts"):
            await model.aembed(["a", "b"])


@pytest.mark.parametrize(
    "vectors",
    [
        pytest.param([[], []], id="empty"),
        pytest.param([[1.0, 2.0], [1.0]], id="ragged"),
        pytest.param([[1.0], [None]], id="null"),
        pytest.param([[1.0], [float("nan")]], id="nan"),
        pytest.param([[1.0], [float("inf")]], id="infinite"),
        pytest.param([[1.0], ["1.0"]], id="text"),
        pytest.param([[1.0], [[1.0]]], id="nested"),
    ],
)
async def test_vectors_that_are_none_raise_server_error(vectors: list[Any]):
    data = [{"index": number, "embedding": vector} for number, vector in enumerate(vectors)]
    with OddServer({"data": data}) as server, llmops.LLM(f"{server.base_url}#m", retry=False) as model:
        with pytest.raises(llmops.ServerError):
            model.embed(["a", "b"])
        with pytest.raises(llmops.ServerError):
            await model.aembed(["a", "b"])
        assert len(server.requests) == 2


class PlainServer(OddServer):
    """Leaves out what only OpenAI sends."""

    def whole(self, request: Recorded) -> dict[str, Any]:
        return {key: value for key, value in super().whole(request).items() if key not in {"service_tier", "usage"}}


@pytest.mark.parametrize("vendor", ["groq", "openai", "mistral"])
def test_answer_without_service_tier_and_usage_is_an_answer(vendor: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TEAM_KEY", "key-for-tests")
    with PlainServer({}) as server:
        named = {"model": f"{vendor}/m-x", "base_url": server.base_url, "api_key_env": "TEAM_KEY"}
        llmops.configure(models={"m": named})
        assert llmops.chat("Hello?", model="m", retry=False).text == "Good day to you."


@pytest.mark.parametrize("count", [10**400, 10**30, -5], ids=["endless", "huge", "negative"])
def test_counts_of_tokens_that_cannot_be_true_count_as_none(count: int):
    with OpenAIServer(Reply(input_tokens=count)) as server, llmops.LLM(f"{server.base_url}#m", retry=False) as model:
        assert model.chat("Hello?").usage == llmops.Usage(output_tokens=7)
        assert [chunk.usage for chunk in model.stream("Hello?") if chunk.usage] == [llmops.Usage(output_tokens=7)]

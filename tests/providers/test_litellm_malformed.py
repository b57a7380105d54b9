"""Valid JSON over HTTP 200 that is not an answer raises retryable typed errors."""

from __future__ import annotations

from typing import Any

import pytest
from loopback import Recorded
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

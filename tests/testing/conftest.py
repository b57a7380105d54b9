"""The fixtures of our own plugin, which the project's settings leave out; and servers to be kept from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai_server import OpenAIServer

from llmops_sdk.testing._plugin import llmops_traces

__all__ = ["llmops_traces", "real"]


@pytest.fixture
def real() -> Iterator[OpenAIServer]:
    """A model that is called over the network."""
    with OpenAIServer() as server:
        yield server

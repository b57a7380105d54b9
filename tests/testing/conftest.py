"""The plugin's fixtures, which the project's own settings leave out, and servers that no call may reach."""

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

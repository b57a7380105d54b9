"""Providers of models: one protocol, the offline provider, cassettes, and litellm behind it.

Doors for other packages: `_accumulate`, `_canonical`, `_genai`, `_tools`, `_types`.
"""

from llmops_sdk.providers._accumulate import Accumulator, chunks_of
from llmops_sdk.providers._cost import cost_of
from llmops_sdk.providers._open import open_provider
from llmops_sdk.providers._protocol import Provider, WrapperProvider
from llmops_sdk.providers._tokens import count_messages, count_tokens
from llmops_sdk.providers._types import (
    Attempt,
    Chunk,
    Embeddings,
    Message,
    RateLimits,
    Request,
    Response,
    ToolCall,
    ToolCallDelta,
    Usage,
)

__all__ = [
    "Accumulator",
    "Attempt",
    "Chunk",
    "Embeddings",
    "Message",
    "Provider",
    "RateLimits",
    "Request",
    "Response",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "WrapperProvider",
    "chunks_of",
    "cost_of",
    "count_messages",
    "count_tokens",
    "open_provider",
]

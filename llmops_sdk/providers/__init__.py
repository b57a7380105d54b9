"""Providers of models: the protocol, the types, the offline provider and litellm."""

from llmops_sdk.providers._protocol import Provider, WrapperProvider
from llmops_sdk.providers._types import (
    Attempt,
    Chunk,
    Embeddings,
    Message,
    Request,
    Response,
    ToolCall,
    ToolCallDelta,
    Usage,
)

__all__ = [
    "Attempt",
    "Chunk",
    "Embeddings",
    "Message",
    "Provider",
    "Request",
    "Response",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "WrapperProvider",
]

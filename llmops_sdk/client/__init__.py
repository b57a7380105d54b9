"""Calls to models: functions, the class `LLM`, streams and prompt functions.

Doors for other packages: `_decorator`, `_llm`, `_prompt`, `_shared`, `_stream`.
"""

from llmops_sdk.client._decorator import llm
from llmops_sdk.client._functions import achat, aembed, astream, chat, embed, stream
from llmops_sdk.client._llm import LLM
from llmops_sdk.client._stream import AsyncStream, Stream

__all__ = ["LLM", "AsyncStream", "Stream", "achat", "aembed", "astream", "chat", "embed", "llm", "stream"]

"""What a call used, and what its end says to the policies: pure functions."""

from __future__ import annotations

import errno
import socket

from llmops_sdk.errors import LLMOpsError, ProviderError, StreamInterruptedError
from llmops_sdk.providers import Chunk, Embeddings, Response, Usage
from llmops_sdk.resilience._error_classes import status_code

__all__ = ["chunk_size", "is_free", "response_size", "tokens_of"]

_MOST_TOKENS = 1_000_000_000_000
"""A count above this, or below zero, is a mistake of the provider."""

_UNSENT = (ConnectionRefusedError, socket.gaierror)
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH})
# The classes of httpx, and of aiohttp, for a connection that was never made.
_UNSENT_NAMES = frozenset({"ConnectError", "ConnectTimeout", "ClientConnectorError"})


def is_free(error: BaseException) -> bool:
    """Return whether a call that failed before its answer cost nothing.

    So it is when the server refused it with an HTTP status, when no connection was made, and when the SDK itself
    refused it. After a cancelled call, a time-out or a broken connection the provider may charge for the prompt.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.resilience.traffic._use import is_free
        >>> is_free(llmops.ServerError("down", status_code=503)), is_free(llmops.ProviderTimeoutError("too slow"))
        (True, False)
    """
    if isinstance(error, LLMOpsError) and not isinstance(error, ProviderError):
        return True
    if isinstance(error, StreamInterruptedError):
        return False
    status = status_code(error)
    if status is not None and status >= 400:
        return True
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        if isinstance(cause, _UNSENT) or (isinstance(cause, OSError) and cause.errno in _UNREACHABLE):
            return True
        if _UNSENT_NAMES & {base.__name__ for base in type(cause).__mro__}:
            return True
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__
    return False


def tokens_of(usage: Usage | None) -> tuple[int, int] | None:
    """Return the tokens of the prompt and of the answer, or None where the provider does not say, or says nonsense."""
    if usage is None:
        return None
    prompt, output = usage.input_tokens, usage.output_tokens
    if (prompt or output) and 0 <= prompt <= _MOST_TOKENS and 0 <= output <= _MOST_TOKENS:
        return prompt, output
    return None


def response_size(answer: Response | Embeddings) -> int:
    """Return the characters of an answer."""
    if isinstance(answer, Embeddings):
        return 0
    tools = sum(len(call.name) + len(call.arguments) for call in answer.tool_calls)
    return len(answer.text) + len(answer.reasoning) + len(answer.refusal) + tools


def chunk_size(chunk: Chunk) -> int:
    """Return the characters of a chunk."""
    size = len(chunk.text) + len(chunk.reasoning) + len(chunk.refusal)
    return size + sum(len(call.arguments) for call in chunk.tool_calls) if chunk.tool_calls else size

"""Import litellm once, late, and without side effects.

litellm takes seconds to import, fetches a price map and header tables from the network, loads `.env` files, and prints
advice. Environment variables stop that. This module sets them before the import, unless the application has set them.
They stay set because litellm reads some of them at each call.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import Any

from llmops_sdk.providers.litellm._hooks import guard_own_clients, send_embeddings_once

__all__ = ["Library", "library"]

_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches prices, blocking
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",  # else it fetches a table of headers
    "LITELLM_MODE": "PRODUCTION",  # else it loads the `.env` files of the folders above
}
# Warnings about litellm's own code: it uses deprecated names of pydantic, and types that pydantic warns about in its
# own name when a provider's module is first imported. Position in a filter, argument of the filter, pattern.
_OWN_WARNINGS = (
    (3, "module", r"litellm(\.|$)"),
    (1, "message", r"Items? .* on TypedDict class .* using the `ReadOnly` qualifier"),
)
_lock = threading.Lock()
_library: Library | None = None


def _after_fork() -> None:
    # A thread of the parent, which does not exist in the child, may have held it.
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True, slots=True)
class Library:
    """The parts of litellm and its dependencies that this package uses."""

    litellm: Any
    openai: Any
    httpx: Any
    http_handler: Any
    """litellm's class around a sync httpx client."""
    async_http_handler: Any
    """litellm's class around an async httpx client, without its own second try."""
    is_internal_call: Any
    """litellm's context variable that marks a call as not to be logged, or None if this version lacks it."""
    raised: tuple[type[Exception], ...]
    """The exceptions that a call may raise: litellm raises plain ones too, at content and answers that it does not
    know."""


def library() -> Library:
    """Return litellm; the first call imports it."""
    global _library
    if _library is None:
        with _lock:
            if _library is None:
                _library = _load()
    # Checked at each call, which costs a microsecond: the application may have reset the filters.
    for position, argument, pattern in _OWN_WARNINGS:
        if not any(getattr(entry[position], "pattern", None) == pattern for entry in warnings.filters):
            filtered: Any = {argument: pattern}
            warnings.filterwarnings("ignore", **filtered)
    return _library


def _load() -> Library:
    application_uses_it = "litellm" in sys.modules  # then the application owns litellm's logging
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import httpx
        import litellm
        import openai
        from litellm._service_logger import ServiceLogging
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler, HTTPHandler
        from litellm.llms.openai.common_utils import BaseOpenAILLM
        from litellm.llms.openai.openai import OpenAIChatCompletion
    guard_own_clients(BaseOpenAILLM, HTTPHandler, AsyncHTTPHandler)
    send_embeddings_once(OpenAIChatCompletion)
    if not application_uses_it:
        litellm.suppress_debug_info = True
        # Otherwise each chunk of a sync stream starts an event loop in a thread, for loggers that do not exist.
        litellm.disable_streaming_logging = True
        # Otherwise some names ("llama-3…") make each stream fetch a tokenizer, to price a model without a price.
        litellm.disable_hf_tokenizer_download = True
        _silence_service_hook(ServiceLogging, litellm)
        for logger in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
            logging.getLogger(logger).setLevel(logging.CRITICAL)
    return Library(
        litellm=litellm,
        openai=openai,
        httpx=httpx,
        http_handler=HTTPHandler,
        async_http_handler=_without_second_try(AsyncHTTPHandler),
        is_internal_call=_internal_call(),
        raised=(Exception,),
    )


def _internal_call() -> Any:
    try:
        from litellm._internal_context import is_internal_call
    except ImportError:
        return None
    return is_internal_call


def _silence_service_hook(logger: Any, litellm: Any) -> None:
    """Stop sync calls from starting an event loop, or a task on a running one, for callbacks that are not set."""
    call_hook = logger.service_success_hook

    def call_hook_if_set(self: Any, *args: Any, **kwargs: Any) -> None:
        if litellm.service_callback:
            call_hook(self, *args, **kwargs)

    logger.service_success_hook = call_hook_if_set


def _without_second_try(handler: Any) -> Any:
    """Stop litellm's async client from repeating a request when the connection breaks: our retries do that."""

    class SingleTryHandler(handler):
        async def single_connection_post_request(self, *_args: Any, **_kwargs: Any) -> Any:
            raise sys.exc_info()[1] or RuntimeError("litellm repeats a request that did not fail")

    return SingleTryHandler

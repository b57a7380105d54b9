"""Importing litellm: once, late, and without its habits.

litellm takes seconds to import, fetches a price map and header tables from the network, loads `.env` files, and prints
advice. None of that may reach an application, so the variables that stop it are set before the import, unless the
application has set them itself; they stay set, because litellm reads some of them at its calls.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from dataclasses import dataclass
from typing import Any

__all__ = ["Library", "library"]

_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it fetches prices, blocking
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",  # else it fetches a table of headers
    "LITELLM_MODE": "PRODUCTION",  # else it loads the `.env` files of the folders above
}
# Warnings that are litellm's own affair: it uses names that pydantic deprecates, and types that pydantic warns of in
# its own name when a provider's module is first imported.
_OWN = {"module": r"litellm(\.|$)", "message": r"Items? .* on TypedDict class .* using the `ReadOnly` qualifier"}
_lock = threading.Lock()
_library: Library | None = None


@dataclass(frozen=True, slots=True)
class Library:
    """What we use of litellm and of the libraries that it brings."""

    litellm: Any
    openai: Any
    httpx: Any
    http_handler: Any
    """litellm's class around a sync httpx client."""
    async_http_handler: Any
    """litellm's class around an async httpx client, without its own second try."""
    raised: tuple[type[BaseException], ...]
    """Everything that a call may raise because of the provider."""


def library() -> Library:
    """litellm, imported at the first call of this function."""
    global _library
    if _library is None:
        with _lock:
            if _library is None:
                _library = _load()
    # Looked at each time, because the application may have reset the filters since; it costs a microsecond.
    for kind, pattern in _OWN.items():
        if not any(
            getattr(entry[1 if kind == "message" else 3], "pattern", None) == pattern for entry in warnings.filters
        ):
            warnings.filterwarnings(
                "ignore", message=pattern if kind == "message" else "", module=pattern if kind == "module" else ""
            )
    return _library


def _load() -> Library:
    theirs = "litellm" in sys.modules  # the application uses it too; its logging is then the application's
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import httpx
        import litellm
        import openai
        from litellm import exceptions
        from litellm._service_logger import ServiceLogging
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler, HTTPHandler
    if not theirs:
        litellm.suppress_debug_info = True
        # Else each chunk of a sync stream starts a thread's event loop, to log to nobody.
        litellm.disable_streaming_logging = True
        # Else the name of some models ("llama-3…") makes each stream fetch a tokenizer, to price what has no price.
        litellm.disable_hf_tokenizer_download = True
        _without_loop(ServiceLogging, litellm)
        for logger in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
            logging.getLogger(logger).setLevel(logging.CRITICAL)
    own = tuple(kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, Exception))
    return Library(
        litellm=litellm,
        openai=openai,
        httpx=httpx,
        http_handler=HTTPHandler,
        async_http_handler=_once(AsyncHTTPHandler),
        raised=(openai.OpenAIError, httpx.HTTPError, httpx.StreamError, OSError, *own),
    )


def _without_loop(logger: Any, litellm: Any) -> None:
    """Keep sync calls from making an event loop, or a task on a running one, for callbacks that nobody has set."""
    report = logger.service_success_hook

    def only_to_callbacks(self: Any, *args: Any, **kwargs: Any) -> None:
        if litellm.service_callback:
            report(self, *args, **kwargs)

    logger.service_success_hook = only_to_callbacks


def _once(handler: Any) -> Any:
    """The async client of litellm sends a request again when the connection breaks, which is for our retries to do."""

    class OnceOnly(handler):
        async def single_connection_post_request(self, *_args: Any, **_kwargs: Any) -> Any:
            error = sys.exc_info()[1]
            raise error if error is not None else RuntimeError("litellm asked for a second try of nothing")

    return OnceOnly

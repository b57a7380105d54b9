"""Watch the HTTP requests of a call: bound their waits, note their responses, and refuse redirects elsewhere.

The hooks stand in our own httpx clients and in those that litellm makes. In a client of litellm's, which the
application may share, they act only on calls of this package.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from llmops_sdk.providers.litellm._deadlines import keep_deadlines, limit_waits
from llmops_sdk.providers.litellm._loop_end import close_with_loop
from llmops_sdk.providers.litellm.wire._body import BodyReader

__all__ = ["RedirectRefusedError", "Watch", "guard_client", "guard_own_clients", "send_embeddings_once", "watching"]


class RedirectRefusedError(OSError):
    """A server redirects a call to another origin."""


class Watch(Protocol):
    """Follows the HTTP requests of one call."""

    refused: RedirectRefusedError | None
    body: BodyReader
    reads_whole: bool

    def on_request(self, request: Any) -> None:
        """Note that a request is about to be sent."""
        ...

    def on_response(self, response: Any) -> None:
        """Note a response, of which only the headers are read."""
        ...

    def seconds_left(self) -> float:
        """Return the seconds until the call must end."""
        ...

    def read_seconds_left(self) -> float:
        """Return the seconds until the server must send something."""
        ...


_watch: ContextVar[Watch | None] = ContextVar("llmops_watch", default=None)


@contextmanager
def watching(watch: Watch) -> Generator[None]:
    """Report the HTTP requests and responses of the calls in this block to `watch`."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def _on_request(request: Any) -> None:
    watch = _watch.get()
    if watch is not None:
        watch.on_request(request)
        limit_waits(request, reads=watch.read_seconds_left, others=watch.seconds_left)


def _on_response(response: Any) -> None:
    watch = _watch.get()
    if watch is not None:
        watch.on_response(response)
        _refuse_other_origin(watch, response)
        if watch.reads_whole and response.is_success:
            response.read()
            response._content = watch.body.whole(response.content)


async def _aon_request(request: Any) -> None:
    _on_request(request)


async def _aon_response(response: Any) -> None:
    watch = _watch.get()
    if watch is not None:
        watch.on_response(response)
        _refuse_other_origin(watch, response)
        if watch.reads_whole and response.is_success:
            await response.aread()
            response._content = watch.body.whole(response.content)


def _refuse_other_origin(watch: Watch, response: Any) -> None:
    """Raise if the response redirects to another origin: httpx would send the prompt there, and some vendors' keys."""
    if not response.has_redirect_location:
        return
    asked = response.request.url
    target = asked.join(response.headers["location"])
    if (target.scheme, target.host, target.port) != (asked.scheme, asked.host, asked.port):
        watch.refused = RedirectRefusedError(
            f"the server {_origin(asked)} redirects to {_origin(target)}. The SDK sends keys and prompts only to the "
            "configured server. If the new address is right, set the model's base_url to it"
        )
        raise watch.refused


def _origin(url: Any) -> str:
    port = "" if url.port is None else f":{url.port}"
    return f"{url.scheme}://{url.host}{port}"


def guard_client(client: Any, *, asynchronous: bool) -> Any:
    """Add the hooks to an httpx client and let it keep deadlines; return the client."""
    hooks = client.event_hooks
    request, response = (_aon_request, _aon_response) if asynchronous else (_on_request, _on_response)
    if request not in hooks["request"]:
        # Assigned: httpx copies the lists.
        client.event_hooks = {"request": [*hooks["request"], request], "response": [*hooks["response"], response]}
        keep_deadlines(client)
    return client


def guard_own_clients(openai_base: Any, http_handler: Any, async_http_handler: Any) -> None:
    """Add the hooks to every client that litellm makes from now on, for the vendors that take no client of ours."""
    for owner, name, asynchronous in (
        (openai_base, "_get_sync_http_client", False),
        (openai_base, "_get_async_http_client", True),
        (http_handler, "create_client", False),
        (async_http_handler, "create_client", True),
    ):
        made: Any = owner.__dict__.get(name)
        if made is None:  # a version of litellm without it
            continue
        function = getattr(made, "__func__", made)
        guarded = _guarded(function, asynchronous=asynchronous)
        # A static method keeps its kind.
        kept: Any = staticmethod if isinstance(made, staticmethod) else classmethod
        setattr(owner, name, kept(guarded) if isinstance(made, staticmethod | classmethod) else guarded)


def _guarded(make: Callable[..., Any], *, asynchronous: bool) -> Callable[..., Any]:
    def make_guarded(*args: Any, **kwargs: Any) -> Any:
        client = make(*args, **kwargs)
        if getattr(client, "event_hooks", None) is None:
            return client
        if asynchronous and _watch.get() is not None:
            close_with_loop(client)
        return guard_client(client, asynchronous=asynchronous)

    return make_guarded


class _TrueZero(int):
    """A zero that is true."""

    def __bool__(self) -> bool:
        return True


def send_embeddings_once(openai_handler: Any) -> None:
    """Let litellm's class for vendors with OpenAI's interface send each embedding request of ours once.

    It has the vendor's client repeat failed requests twice: it replaces a number of retries that is missing or false,
    as 0 is, and for some vendors litellm does not pass the number on.
    """
    embedding = openai_handler.embedding

    def embedding_once(*args: Any, **kwargs: Any) -> Any:
        if _watch.get() is not None:
            kwargs["max_retries"] = _TrueZero()
        return embedding(*args, **kwargs)

    openai_handler.embedding = embedding_once

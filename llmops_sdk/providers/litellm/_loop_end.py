"""Close the async clients that litellm makes for our calls when their event loop ends.

litellm keeps them in a cache by event loop, up to 200 of them, and nobody can use them after the loop. Programs with
many short loops would keep a client, its connections and its TLS context for each.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, NamedTuple

__all__ = ["close_with_loop"]


class _OfLoop(NamedTuple):
    clients: list[Any]
    closer: AsyncGenerator[None]
    """The loop closes it when it shuts down. Kept here, since a loop holds its generators weakly."""


_of_loops: dict[asyncio.AbstractEventLoop, _OfLoop] = {}
"""Without a lock: only the thread of a loop touches its entry."""


def close_with_loop(client: Any) -> None:
    """Close an httpx client when the running event loop ends. Outside of a loop, do nothing."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if (known := _of_loops.get(loop)) is not None:
        known.clients.append(client)
        return
    for ended in [one for one in list(_of_loops) if one.is_closed()]:
        _of_loops.pop(ended, None)  # it closed without ending its generators
    clients = [client]
    _of_loops[loop] = made = _OfLoop(clients, _closing(loop, clients))
    # The first step registers the generator with the loop.
    with suppress(StopIteration):
        made.closer.__anext__().send(None)


async def _closing(loop: asyncio.AbstractEventLoop, clients: list[Any]) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        _of_loops.pop(loop, None)
        _forget(clients)
        for client in clients:
            await client.aclose()


def _forget(clients: list[Any]) -> None:
    """Remove the clients from litellm's cache."""
    cache: Any = getattr(sys.modules.get("litellm"), "in_memory_llm_clients_cache", None)
    ids = {id(client) for client in clients}
    for key, value in list(getattr(cache, "cache_dict", {}).items()):
        # litellm's handler around an httpx client, and the OpenAI client around one.
        if not ids.isdisjoint({id(getattr(value, "client", None)), id(getattr(value, "_client", None))}):
            cache.delete_cache(key)

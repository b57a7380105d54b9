"""Connections to a Redis or Valkey that processes and machines share.

The one module that imports redis. Each operation on a socket has a time-out.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from llmops_sdk._util._optional import require
from llmops_sdk.shared._server import SharedServer

__all__ = ["RedisServer"]

_T = TypeVar("_T")

_TIMEOUT = 1.0
"""Seconds of each operation on a socket."""


class RedisServer:
    """The connections of one backend to one server, made at the first use.

    Args:
        server: The server.
        connections: The most connections at the same time.
    """

    def __init__(self, server: SharedServer, *, connections: int) -> None:
        self._redis: Any = require("redis", extra="redis", purpose="[shared] url")
        self._server = server
        self._connections = connections
        self._client: Any = None
        self.response_error: type[Exception] = self._redis.ResponseError
        """What the server says of a key of another type."""

    def run(self, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """Return the result of a script, which changes all of it or nothing.

        Raises:
            BackendError: The server is away, hangs or refuses.
        """

        def run(client: Any) -> Any:
            try:
                return client.evalsha(_digest(script), len(keys), *keys, *arguments)
            except self._redis.exceptions.NoScriptError:
                return client.eval(script, len(keys), *keys, *arguments)

        return self.use(run)

    def use(self, work: Callable[[Any], _T]) -> _T:
        """Return the result of `work(client)`; the client's pool has a connection for each thread.

        Raises:
            BackendError: The server is away, hangs or refuses.
        """
        client = self._client
        if client is None:
            with self._server.failing(self._redis.RedisError, ValueError):  # its parser of URLs raises this
                client = self._client = self._connect()
        with self._server.failing(self._redis.RedisError):
            return work(client)

    def disconnect(self) -> None:
        """Close the connections that nobody uses; the next use opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            client.connection_pool.disconnect(inuse_connections=False)  # another thread may have one

    def _connect(self) -> Any:
        retrying = require("redis.retry", extra="redis", purpose="[shared] url")
        backoff = require("redis.backoff", extra="redis", purpose="[shared] url")
        scheme, _, rest = self._server.url.partition("://")
        ours = {"valkey": "redis", "valkeys": "rediss"}
        # A second try finds a server that was restarted, never one that hangs.
        retry = retrying.Retry(backoff.NoBackoff(), 1, supported_errors=(self._redis.ConnectionError,))
        return self._redis.Redis.from_url(
            f"{ours.get(scheme, scheme)}://{rest}",
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            socket_keepalive=True,
            max_connections=self._connections,
            decode_responses=False,
            protocol=2,
            retry=retry,
        )


@functools.cache
def _digest(script: str) -> str:
    return hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()  # the name that Redis gives a script

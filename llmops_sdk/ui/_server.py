"""Serve the page on this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from llmops_sdk.collect._access import is_loopback
from llmops_sdk.errors import ConfigError
from llmops_sdk.ui._app import application
from llmops_sdk.ui._security import AccessRules

__all__ = ["PageServer"]

_CONNECTIONS = 256
_REQUEST_SECONDS = 10.0


class PageServer:
    """A server of the page, which runs until it is told to stop or gets SIGINT or SIGTERM.

    Args:
        folder: The store's folder.
        host: The address to listen on.
        port: The port; 0 picks a free one.
        token: The user's own token, or None for one that opens one browser.
        allow_hosts: Names that a request's `Host` may have beside localhost.
        allow_remote: Whether the address may be one that other machines reach.
        read_only: Whether to refuse every change.
        announce: Called with each address that opens the page: at the start, and when a browser has used one.

    Raises:
        ConfigError: Other machines reach the address, and it is not allowed or has no token; or the port is taken.
    """

    def __init__(
        self,
        folder: Path,
        *,
        host: str,
        port: int,
        token: str | None,
        allow_hosts: Sequence[str],
        allow_remote: bool,
        read_only: bool,
        announce: Callable[[str], None],
    ) -> None:
        if not is_loopback(host):
            if not allow_remote:
                raise ConfigError(f"other machines can reach {host}: add --allow-remote and --token-file to allow that")
            if token is None:
                raise ConfigError("an address that other machines reach needs a token of yours: give --token-file")
            allow_hosts = [*allow_hosts, host]
        self._socket = _listening(host, port)
        self.port = int(self._socket.getsockname()[1])
        self._host = f"[{host}]" if ":" in host else host
        self._announce = announce
        self._shows_token = token is None
        self._rules = AccessRules(
            token=token, hosts=allow_hosts, announce=lambda fresh: announce(self._address_with(fresh))
        )
        config = uvicorn.Config(
            application(folder, self._rules, read_only=read_only),
            http=_Connection,
            log_level="warning",
            access_log=False,  # addresses hold tokens and filters
            ws="none",
            proxy_headers=False,
            lifespan="off",
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)

    def _address_with(self, token: str) -> str:
        return f"http://{self._host}:{self.port}/?token={token}"

    def run(self) -> None:
        """Announce the address, and serve until a signal or `stop`."""
        own = f"http://{self._host}:{self.port}/"
        self._announce(self._address_with(self._rules.token) if self._shows_token else own)
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Stop soon, from another thread."""
        self._server.should_exit = True


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol: without it asyncio leaves out TCP_NODELAY, and each answer waits 40 ms for an acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"cannot listen on {host}:{port}: {error.strerror}. Another llmops ui may run there; use --port 0"
        ) from error
    return listening


class _Connection(H11Protocol):
    """A connection that ends when it sends no whole head of a request in time: else idle ones would use all places."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Read, and wait for the rest of a request that has begun."""
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        self._stop_waiting()

    def _wait(self) -> None:
        if self._is_answering():
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(_REQUEST_SECONDS, self._end)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _end(self) -> None:
        self._waiting = None
        if not self._is_answering():
            self.transport.close()

    def _is_answering(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None before the first request
        return cycle is not None and not cycle.response_complete

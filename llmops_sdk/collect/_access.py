"""Who may send: by the name that was asked for, the place that the request comes from, and a token."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Sequence
from email.message import Message

from llmops_sdk.collect._refusal import RefusedError

__all__ = ["Access", "is_loopback"]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Access:
    """Decides about a request by its headers.

    Args:
        any_host: Whether any name in `Host` will do: the collector is reached from elsewhere anyway.
        hosts: Names besides localhost and the loopback addresses.
        token: What `Authorization: Bearer` must bear, or None.
    """

    def __init__(self, *, any_host: bool, hosts: Sequence[str], token: str | None) -> None:
        self._any_host = any_host
        self._hosts = frozenset(host.lower() for host in hosts)
        self._token = token

    def check(self, headers: Message) -> None:
        """Pass, or raise RefusedError."""
        named = headers.get_all("Host", [])
        if len(named) != 1:
            raise RefusedError(400, "a request needs one Host")
        if not self._any_host:
            # A page in a browser on this machine can make its own name mean 127.0.0.1, but not send another name.
            host = _without_port(str(named[0]).strip().lower())
            if not is_loopback(host) and host not in self._hosts:
                raise RefusedError(403, f"requests for {host[:100]!r} are not taken: llmops collect --allow-host")
        if "Origin" in headers:
            raise RefusedError(403, "requests of web pages are not taken")
        if self._token is not None:
            kind, _, given = str(headers.get("Authorization", "")).partition(" ")
            right = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token.encode())
            if kind.lower() != "bearer" or not right:
                raise RefusedError(401, "a bearer token is needed", {"WWW-Authenticate": "Bearer"})


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]

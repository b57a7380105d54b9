"""Access rules: the Host header, the Origin header, and a bearer token."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Sequence
from email.message import Message

from llmops_sdk.collect._refusal import RefusedError

__all__ = ["AccessRules", "is_loopback"]

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\[\]:]+)(?::[0-9]{1,5})?")


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    if host.lower() == "localhost":
        return True
    try:
        if host.startswith("["):
            return host.endswith("]") and ipaddress.IPv6Address(host[1:-1]).is_loopback
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class AccessRules:
    """The rules that a request's headers must satisfy.

    Args:
        any_host: Accept every `Host`, as other machines can reach the collector anyway.
        hosts: Names to accept in addition to localhost and loopback addresses.
        token: The required bearer token, or None.
    """

    def __init__(self, *, any_host: bool, hosts: Sequence[str], token: str | None) -> None:
        self._any_host = any_host
        self._hosts = frozenset(host.lower() for host in hosts)
        self._token = token

    def check(self, headers: Message) -> None:
        """Raise RefusedError if the headers break a rule."""
        values = headers.get_all("Host", [])
        if len(values) != 1:
            raise RefusedError(400, "a request needs exactly one Host header")
        if not self._any_host:
            # A web page can make its own name resolve to 127.0.0.1 (DNS rebinding), but cannot change the Host.
            host = _without_port(str(values[0]).strip().lower())
            if not is_loopback(host) and host not in self._hosts:
                raise RefusedError(
                    403, f"the Host {host[:100]!r} is not allowed: add it with llmops collect --allow-host"
                )
        if "Origin" in headers:
            raise RefusedError(403, "requests of web pages are not allowed")
        if self._token is not None:
            scheme, _, token = str(headers.get("Authorization", "")).partition(" ")
            matches = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token.encode())
            if scheme.lower() != "bearer" or not matches:
                raise RefusedError(401, "the bearer token is missing or wrong", {"WWW-Authenticate": "Bearer"})


def _without_port(host: str) -> str:
    """Return the name or address; return a text with anything else after it unchanged, so that no rule fits."""
    found = _HOST.fullmatch(host)
    return found["name"] if found else host

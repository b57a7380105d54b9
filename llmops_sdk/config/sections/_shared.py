"""The settings of the server that processes and machines share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from pydantic import field_validator

from llmops_sdk._util._public import public
from llmops_sdk.config._secrets import HIDDEN
from llmops_sdk.config.sections._base import OptionalText, SettingsSection
from llmops_sdk.config.sections._value_types import ColumnName

__all__ = ["SharedSettings"]

_REDIS = frozenset({"redis", "rediss", "valkey", "valkeys"})
_POSTGRES = frozenset({"postgresql", "postgres"})
_EXPECTED = 'the URL of a server, as in "redis://host:6379/0" or "postgresql://host/database"'


@public("llmops_sdk.config")
class SharedSettings(SettingsSection):
    """A server that all processes and machines share: limits, budgets and, in place of this machine's, the cache."""

    url: OptionalText = None
    """The server: `redis://`, `rediss://` (TLS), `valkey://` or `postgresql://`. It may contain a password: no message
    shows it."""
    namespace: ColumnName = "llmops"
    """Programs with one namespace share: the beginning of the keys in Redis, the schema in Postgres."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        if url is not None and not _is_server(url):
            raise ValueError(_EXPECTED)
        return url

    @property
    def is_redis(self) -> bool:
        """Return whether the server speaks the protocol of Redis."""
        return self.url is not None and urlsplit(self.url).scheme in _REDIS

    @property
    def is_postgres(self) -> bool:
        """Return whether the server is a Postgres."""
        return self.url is not None and urlsplit(self.url).scheme in _POSTGRES

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Yield the fields without the URL: not every password in one can be told from the rest."""
        for name, value in super().__repr_args__():
            yield name, HIDDEN if name == "url" and value is not None else value


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # a password with a raw "/" or "#" ends as a part of the port
    except ValueError:
        return False
    # Postgres takes the host from its own variables, too.
    return (parts.scheme in _REDIS and bool(parts.hostname)) or parts.scheme in _POSTGRES

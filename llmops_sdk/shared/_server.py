"""The server of `[shared]`: what identifies it in messages, and errors without its password."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, unquote, urlsplit

from llmops_sdk.config import SharedSettings
from llmops_sdk.config._secrets import HIDDEN, is_secret_name

__all__ = ["BackendError", "SharedServer", "tag_id"]


class BackendError(Exception):
    """The store failed or was busy: the connection is closed, and nobody uses the store for some seconds."""


class SharedServer:
    """The server of the settings.

    Args:
        settings: The settings, with a URL.
        what: What lies on the server, for messages.

    Attributes:
        url: The URL, with its password.
        namespace: What the programs share.
        place: The URL without what may be secret, and the namespace.
    """

    def __init__(self, settings: SharedSettings, what: str = "the cache") -> None:
        assert settings.url is not None
        self._what = what
        self.url = settings.url
        self.namespace = settings.namespace
        parts = urlsplit(self.url)
        host = "" if parts.hostname is None else f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        port = "" if parts.port is None else f":{parts.port}"
        self.place = f"{parts.scheme}://{host}{port}{parts.path} ({self.namespace})"
        # A library may repeat what it was given, as it was written or decoded.
        parameters = [value for name, value in parse_qsl(parts.query) if is_secret_name(name)]
        written = [self.url, parts.netloc.rpartition("@")[0], parts.query, parts.password or "", *parameters]
        self._secrets = sorted({one for text in written for one in (text, unquote(text)) if one}, key=len, reverse=True)

    @contextmanager
    def failing(self, *errors: type[BaseException]) -> Generator[None]:
        """Raise a `BackendError` for these errors of a library and for those of the system.

        Args:
            errors: The errors of the library.
        """
        try:
            yield
        except (*errors, OSError) as error:
            text = f"{self._what} {self.place} failed: {type(error).__name__}: {error}"
            if any(secret in str(one) for one in _chain(error) for secret in self._secrets):
                raise BackendError(self._without_secrets(text)) from None  # a log would show the library's error
            raise BackendError(text) from error

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def tag_id(text: str) -> str:
    """Return 32 hex digits for a text of a user: as names on a server they have one length and show nothing."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

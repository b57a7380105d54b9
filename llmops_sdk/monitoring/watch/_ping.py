"""Ping an address after each look, so that a dead man's switch elsewhere notices a watcher that has ended."""

from __future__ import annotations

import os
import threading

from llmops_sdk._util._daemon import start_daemon
from llmops_sdk._util._guard import guarded
from llmops_sdk.config import Settings
from llmops_sdk.errors import ConfigError

__all__ = ["Ping"]

_SECONDS = 10.0


class Ping:
    """Sends one request at a time, in a thread: a slow receiver delays no look.

    Args:
        settings: `watch.heartbeat_url_env` names the environment variable with the address.

    Raises:
        ConfigError: The variable is not set, or holds no http address.
    """

    def __init__(self, settings: Settings) -> None:
        name = settings.watch.heartbeat_url_env
        self._url = None if name is None else os.environ.get(name, "").strip()
        if name is not None and not (self._url or "").startswith(("http://", "https://")):
            raise ConfigError(
                f"watch.heartbeat_url_env names {name}: set that environment variable to an http address",
                key="watch.heartbeat_url_env",
            )
        self._running: threading.Thread | None = None

    def send(self) -> None:
        """Send a request, unless the last one is still under way."""
        if self._url is not None and (self._running is None or not self._running.is_alive()):
            self._running = start_daemon(lambda: guarded("the heartbeat", None, self._get), "llmops-heartbeat")

    def _get(self) -> None:
        import httpx

        try:
            httpx.get(self._url or "", timeout=_SECONDS, follow_redirects=False)
        except httpx.HTTPError as error:
            # Without the address, which is a secret.
            raise ConfigError(f"the heartbeat could not be sent: {type(error).__name__}") from None

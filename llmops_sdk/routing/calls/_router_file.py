"""The trained router in a file, shared by all calls of the process: read when it changes, never a reason to fail."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from llmops_sdk.embeddings import open_embedder
from llmops_sdk.errors import EmbeddingError, MissingDependencyError
from llmops_sdk.routing._route import Route
from llmops_sdk.routing._router import Router
from llmops_sdk.routing.calls._exploration import RegretBudget

__all__ = ["RouterFile", "router_file"]

_log = logging.getLogger("llmops_sdk")
_lock = threading.Lock()
_files: dict[Path, RouterFile] = {}
_MOST_FILES = 64


class RouterFile:
    """A trained router in a file.

    Args:
        path: The file. It may come, change and go while the program runs.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._router: Router | None = None
        self._warned = False
        self.budget = RegretBudget()
        """What exploring with this router may still lose."""

    def router(self) -> Router | None:
        """Return the router that the file has now, or None."""
        try:
            found = self._path.stat()
        except OSError as error:
            self._warn(f"there is no router in {self._path} ({error.strerror}): train one with `llmops route train`")
            self._router, self._seen = None, None
            return None
        state = found.st_mtime_ns, found.st_size, found.st_ino
        if state != self._seen:
            with self._lock:
                if state != self._seen:
                    self._router, self._seen = self._read(), state
        return self._router

    def _read(self) -> Router | None:
        try:
            # No other embedder: it would get prompts that no guard has checked yet, and hold up the event loop.
            router = Router.load(self._path, embedder=open_embedder("static"))
        except (OSError, ValueError, MissingDependencyError, EmbeddingError) as error:
            self._warn(f"the router in {self._path} cannot be used: {error}")
            return None
        self._warned = False
        return router

    def choose(
        self, messages: Sequence[Any], quality: float | None, max_cost: float | None, allowed: Collection[str]
    ) -> tuple[Router, Route] | None:
        """Return the router and its choice, or None where it has none.

        Args:
            messages: The conversation.
            quality: The share of the strongest model's quality to keep.
            max_cost: Instead: USD that a call may cost on average.
            allowed: The models that can take the prompt.
        """
        router = self.router()
        if router is None or not set(router.models) & set(allowed):
            return None
        try:
            return router, router.choose(messages, quality=quality, max_cost=max_cost, allowed=allowed)
        except (ValueError, EmbeddingError) as error:
            self._warn(f"the router in {self._path} failed: {type(error).__name__}: {error}")
            return None

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("llmops: %s. Calls go to the default model (logged once)", text)


def router_file(path: Path) -> RouterFile:
    """Return the one `RouterFile` of a path in this process.

    Args:
        path: The file.
    """
    with _lock:
        found = _files.get(path)
        if found is None:
            if len(_files) >= _MOST_FILES:
                _files.pop(next(iter(_files)))
            found = _files[path] = RouterFile(path)
        return found

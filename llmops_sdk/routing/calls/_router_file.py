"""The trained router in a file, shared by all calls of the process: read when it changes, never a reason to fail."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Generic, TypeVar

from llmops_sdk.embeddings import open_embedder
from llmops_sdk.errors import EmbeddingError, MissingDependencyError
from llmops_sdk.routing._route import Route
from llmops_sdk.routing._router import Router
from llmops_sdk.routing.calls._exploration import RegretBudget
from llmops_sdk.routing.online._online_router import OnlineRouter

__all__ = ["RouterFile", "online_file", "router_file"]

_R = TypeVar("_R", Router, OnlineRouter)

_log = logging.getLogger("llmops_sdk")
_lock = threading.Lock()
_files: dict[tuple[Path, type], RouterFile[Any]] = {}
_MOST_FILES = 64
_ROOT = 0


class RouterFile(Generic[_R]):
    """A trained router in a file.

    Args:
        path: The file. It may come, change and go while the program runs.
        load: Reads it.
    """

    def __init__(self, path: Path, load: Callable[[Path], _R]) -> None:
        self._path, self._load = path, load
        self._lock = threading.Lock()
        self._seen: tuple[int, ...] | None = None
        self._router: _R | None = None
        self._warned = False
        self.budget = RegretBudget()
        """What exploring with this router may still lose."""

    def router(self) -> _R | None:
        """Return the router that the file has now, or None."""
        try:
            found = self._path.stat()
        except OSError as error:
            self._warn(f"there is no router in {self._path} ({error.strerror}): train one with `llmops route train`")
            self._router, self._seen = None, None
            return None
        state = found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode, found.st_uid
        if state != self._seen:
            with self._lock:
                if state != self._seen:
                    self._router, self._seen = self._read(found), state
        return self._router

    def _read(self, found: os.stat_result) -> _R | None:
        problem = _problem_of(found)
        if problem is not None:
            self._warn(f"the router in {self._path} {problem}")
            return None
        try:
            router = self._load(self._path)
        except (OSError, ValueError, MissingDependencyError, EmbeddingError) as error:
            self._warn(f"the router in {self._path} cannot be used: {error}")
            return None
        self._warned = False
        return router

    def choose(self, allowed: Collection[str], choice: Callable[[_R], Route]) -> tuple[_R, Route] | None:
        """Return the router and its choice, or None where it has none.

        Args:
            allowed: The models that can take the prompt.
            choice: Asks the router.
        """
        router = self.router()
        if router is None or not set(router.models) & set(allowed):
            return None
        try:
            return router, choice(router)
        except (ValueError, EmbeddingError) as error:
            self._warn(f"the router in {self._path} failed: {type(error).__name__}: {error}")
            return None

    def _warn(self, text: str) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("llmops: %s. Calls go to the default model (logged once)", text)


def _problem_of(found: os.stat_result) -> str | None:
    """Return why a file must not decide where prompts go, or None: others could have written it."""
    if not hasattr(os, "geteuid"):
        return None
    if found.st_uid not in {os.geteuid(), _ROOT}:
        return (
            f"belongs to another user (id {found.st_uid}; this process runs as {os.geteuid()}): train one of your own"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "is writable for other users: run `chmod go-w` on it, if nobody has changed it"
    return None


def router_file(path: Path) -> RouterFile[Router]:
    """Return the one file of a `Router` at a path in this process.

    Args:
        path: The file.
    """
    # No other embedder: it would get prompts that no guard has checked yet, and hold up the event loop.
    return _file((path, Router), lambda file: Router.load(file, embedder=open_embedder("static")))


def online_file(path: Path) -> RouterFile[OnlineRouter]:
    """Return the one file of an `OnlineRouter` at a path in this process.

    Args:
        path: The file.
    """
    return _file((path, OnlineRouter), OnlineRouter.load)


def _file(key: tuple[Path, type[_R]], load: Callable[[Path], _R]) -> RouterFile[_R]:
    with _lock:
        found = _files.get(key)
        if found is None:
            if len(_files) >= _MOST_FILES:
                _files.pop(next(iter(_files)))
            found = _files[key] = RouterFile(key[0], load)
        return found

"""Finding and reading `llmops.toml` and `pyproject.toml`."""

from __future__ import annotations

import logging
import os
import threading
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from llmops_sdk.config.loading._layers import Layer, Origin, anchored
from llmops_sdk.config.loading._problems import Problem, failure
from llmops_sdk.errors import ConfigError

__all__ = ["CONFIG_FILE", "Found", "Surroundings", "find", "forget_warnings", "is_trusted", "read_file"]

CONFIG_FILE = "llmops.toml"
_PYPROJECT = "pyproject.toml"

_log = logging.getLogger("llmops_sdk")
_lock = threading.Lock()
_warned: set[Path] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What loading reads of the machine.

    Attributes:
        cwd: The current folder.
        home: The user's home folder; the search does not go above it.
        user: The user's id, or None where files have no owner that could be compared (Windows).
        environ: The environment variables.
    """

    cwd: Path
    home: Path
    user: int | None
    environ: Mapping[str, str]

    @classmethod
    def here(cls) -> Surroundings:
        """Those of this process, now.

        Raises:
            ConfigError: The current folder no longer exists.
        """
        try:
            cwd = Path.cwd()
        except OSError as error:
            message = f"the current folder cannot be read ({error.strerror}): change to another one"
            raise ConfigError(message, source="the current folder") from error
        home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home raises where there is none
        user = os.geteuid() if hasattr(os, "geteuid") else None
        return cls(cwd=cwd, home=Path(os.path.realpath(home)), user=user, environ=dict(os.environ))


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the search found.

    Attributes:
        config: `llmops.toml`, or None.
        pyproject: The project's `pyproject.toml`, or None.
        folder: What the default store path is relative to: the folder of `config`, else the project's root (the first
            folder with a `pyproject.toml` or `.git`), else the current folder.
    """

    config: Path | None
    pyproject: Path | None
    folder: Path


def is_trusted(path: Path, user: int | None) -> bool:
    """Whether the file, and a link that leads to it, belongs to the user or to root.

    Someone else's file in a shared folder must not decide where prompts are sent. Root's is taken: root can change
    the program itself, and files in containers and system folders are root's. To root, only root's own is.
    """
    if user is None:
        return True
    return {path.lstat().st_uid, path.stat().st_uid} <= {user, 0}


def find(surroundings: Surroundings) -> Found:
    """Look for the files from the current folder up to the project's root, never above the home folder."""
    config: Path | None = None
    for folder in (surroundings.cwd, *surroundings.cwd.parents):
        if config is None:
            config = _candidate(folder / CONFIG_FILE, surroundings.user)
        if os.path.isfile(folder / _PYPROJECT) or os.path.exists(folder / ".git"):  # noqa: PTH110, PTH113 - as below
            pyproject = _candidate(folder / _PYPROJECT, surroundings.user)
            return Found(config=config, pyproject=pyproject, folder=config.parent if config else folder)
        if folder == surroundings.home:
            break
    return Found(config=config, pyproject=None, folder=config.parent if config else surroundings.cwd)


def _candidate(path: Path, user: int | None) -> Path | None:
    # os.path says False where Path raises: a folder above may be closed to this user.
    if not os.path.isfile(path):  # noqa: PTH113
        return None
    try:
        if is_trusted(path, user):
            return path
    except OSError:
        # It was removed, or closed to this user, since the line above.
        return None
    if path.name == _PYPROJECT and not _has_our_table(path):
        return None
    with _lock:
        first = path not in _warned
        _warned.add(path)
    if first:
        _log.warning(
            "llmops: %s is ignored, because it belongs to another user. If you trust it, name it: "
            "LLMOPS_CONFIG_FILE=%s, or configure(config_file=...).",
            path,
            path,
        )
    return None


def _has_our_table(path: Path) -> bool:
    try:
        return "llmops" in tomllib.loads(path.read_bytes().decode()).get("tool", {})
    except (OSError, ValueError):
        return False


def forget_warnings() -> None:
    """Warn again of files that belong to another user."""
    with _lock:
        _warned.clear()


def read_file(path: Path, *, named_by: str | None = None) -> Layer:
    """The layer of a file: of a `pyproject.toml` the table `[tool.llmops]`, of any other the whole.

    Args:
        path: The absolute path.
        named_by: What asked for just this file, for the error when it is missing.

    Raises:
        ConfigError: It is missing, unreadable, not UTF-8 or not TOML.
    """
    data = _parse(path, named_by)
    if data is None:
        return Layer({}, Origin.file(path))
    if path.name == _PYPROJECT:
        for name in ("tool", "llmops"):
            inner = data.get(name, {})
            if not isinstance(inner, dict):
                message = f"{path}: [tool.llmops] must be a table."
                raise failure([Problem(message=message, source=str(path), key="tool.llmops", value=inner)])
            data = cast("dict[str, Any]", inner)
    return Layer(anchored(data, path.parent), Origin.file(path))


def _parse(path: Path, named_by: str | None) -> dict[str, Any] | None:
    """The whole file; None for a `pyproject.toml` that does not speak of us, which may be broken for all we care."""
    by = f" (named by {named_by})" if named_by else ""
    try:
        # Editors on Windows put a byte order mark before UTF-8.
        content = path.read_bytes()
        if path.name == _PYPROJECT and b"llmops" not in content:
            return None
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError as error:
        message = f"{path}: there is no such file{by}: correct the path, or leave it out."
        raise ConfigError(message, source=str(path)) from error
    except OSError as error:
        message = f"{path}: the file cannot be read{by}: {error.strerror}."
        raise ConfigError(message, source=str(path)) from error
    except UnicodeDecodeError as error:
        message = f"{path}: the file is not UTF-8 (byte {error.start}): save it as UTF-8."
        raise ConfigError(message, source=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        message = f'{path}: the file is not valid TOML: {error}. Text needs quotes, as in model = "offline/echo".'
        raise ConfigError(message, source=str(path)) from error

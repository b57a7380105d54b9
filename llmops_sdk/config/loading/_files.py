"""Find and read `llmops.toml` and `pyproject.toml`."""

from __future__ import annotations

import logging
import os
import threading
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from llmops_sdk.config.loading._layers import Layer, ValueSource, with_absolute_paths
from llmops_sdk.config.loading._problems import Problem, config_error
from llmops_sdk.errors import ConfigError

__all__ = ["ConfigFiles", "ProcessEnvironment", "find_files", "forget_warnings", "read_file"]

_CONFIG_FILE = "llmops.toml"
_PYPROJECT = "pyproject.toml"

_log = logging.getLogger("llmops_sdk")
_lock = threading.Lock()
_warned: set[Path] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessEnvironment:
    """The parts of the process that loading reads.

    Attributes:
        cwd: The current folder.
        home: The user's home folder. The search does not go above it.
        user: The user's id, or None if files have no comparable owner (Windows).
        environ: The environment variables.
    """

    cwd: Path
    home: Path
    user: int | None
    environ: Mapping[str, str]

    @classmethod
    def of_this_process(cls) -> ProcessEnvironment:
        """Return the environment of this process, now.

        Raises:
            ConfigError: The current folder no longer exists.
        """
        try:
            cwd = Path.cwd()
        except OSError as error:
            message = f"the current folder cannot be read ({error.strerror}): change to another one"
            raise ConfigError(message, source="the current folder") from error
        home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home may raise
        user = os.geteuid() if hasattr(os, "geteuid") else None
        return cls(cwd=cwd, home=Path(os.path.realpath(home)), user=user, environ=dict(os.environ))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFiles:
    """The files that the search found.

    Attributes:
        config: `llmops.toml`, or None.
        pyproject: The project's `pyproject.toml`, or None.
        folder: The base of the default store path: the folder of `config`, else the project's root (the first folder
            with a `pyproject.toml` or `.git`), else the current folder.
    """

    config: Path | None
    pyproject: Path | None
    folder: Path


def find_files(process: ProcessEnvironment) -> ConfigFiles:
    """Search from the current folder up to the project's root, never above the home folder."""
    config: Path | None = None
    for folder in (process.cwd, *process.cwd.parents):
        if config is None:
            config = _candidate(folder / _CONFIG_FILE, process.user)
        if os.path.isfile(folder / _PYPROJECT) or os.path.exists(folder / ".git"):  # noqa: PTH110, PTH113 - as below
            pyproject = _candidate(folder / _PYPROJECT, process.user)
            return ConfigFiles(config=config, pyproject=pyproject, folder=config.parent if config else folder)
        if folder == process.home:
            break
    return ConfigFiles(config=config, pyproject=None, folder=config.parent if config else process.cwd)


def _candidate(path: Path, user: int | None) -> Path | None:
    # Path.is_file raises if a parent folder is not readable; os.path returns False.
    if not os.path.isfile(path):  # noqa: PTH113
        return None
    try:
        # Another user's file in a shared folder must not decide where prompts are sent. Trust root's files: they are
        # usual in containers, and root can change the program anyway. `lstat` is for symbolic links.
        if user is None or {path.lstat().st_uid, path.stat().st_uid} <= {user, 0}:
            return path
    except OSError:
        return None  # removed or made unreadable meanwhile
    if path.name == _PYPROJECT and not _has_our_table(path):
        return None
    with _lock:
        first = path not in _warned
        _warned.add(path)
    if first:
        _log.warning(
            "llmops: ignored %s, which belongs to another user. If you trust it, set LLMOPS_CONFIG_FILE=%s "
            "or call configure(config_file=...).",
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
    """Let the warnings about files of other users appear again."""
    with _lock:
        _warned.clear()


def read_file(path: Path, *, named_by: str | None = None) -> Layer:
    """Return the layer of a file: the table `[tool.llmops]` of a `pyproject.toml`, else the whole file.

    Args:
        path: The absolute path.
        named_by: The argument or variable that names this file, for error messages.

    Raises:
        ConfigError: The file is missing, unreadable, not UTF-8 or not TOML.
    """
    data = _parse(path, named_by)
    if data is None:
        return Layer({}, ValueSource.file(path))
    if path.name == _PYPROJECT:
        for name in ("tool", "llmops"):
            inner = data.get(name, {})
            if not isinstance(inner, dict):
                message = f"{path}: [tool.llmops] must be a table."
                raise config_error([Problem(message=message, source=str(path), key="tool.llmops", value=inner)])
            data = cast("dict[str, Any]", inner)
    return Layer(with_absolute_paths(data, path.parent), ValueSource.file(path))


def _parse(path: Path, named_by: str | None) -> dict[str, Any] | None:
    """Parse the file; return None for a `pyproject.toml` without our name, which may be broken."""
    by = f" (named by {named_by})" if named_by else ""
    try:
        content = path.read_bytes()
        if path.name == _PYPROJECT and b"llmops" not in content:
            return None
        return tomllib.loads(content.decode("utf-8-sig"))  # some editors write a byte order mark
    except FileNotFoundError as error:
        message = f"{path}: the file does not exist{by}: correct the path, or remove it."
        raise ConfigError(message, source=str(path)) from error
    except OSError as error:
        message = f"{path}: the file cannot be read{by}: {error.strerror}."
        raise ConfigError(message, source=str(path)) from error
    except UnicodeDecodeError as error:
        message = f"{path}: the file is not UTF-8 (byte {error.start}): save it as UTF-8."
        raise ConfigError(message, source=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        message = f'{path}: the file is not valid TOML: {error}. Put text in quotes, e.g. model = "offline/echo".'
        raise ConfigError(message, source=str(path)) from error

"""Find and read `llmops.toml` and `pyproject.toml`."""

from __future__ import annotations

import logging
import os
import stat
import sys
import threading
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from llmops_sdk.config.loading._layers import Layer, ValueSource, with_absolute_paths
from llmops_sdk.config.loading._problems import Problem, config_error
from llmops_sdk.errors import ConfigError

__all__ = ["ConfigFiles", "FoundFile", "ProcessEnvironment", "find_files", "forget_warnings", "read_file"]

_CONFIG_FILE = "llmops.toml"
_PYPROJECT = "pyproject.toml"
_MAX_BYTES = 16 * 1024 * 1024
_PACKAGE = Path(__file__).resolve().parents[2]

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
        program: The file of the running program (`__main__`), or None: a notebook, `python -c`, our own commands.
    """

    cwd: Path
    home: Path
    user: int | None
    environ: Mapping[str, str]
    program: Path | None = None

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
        return cls(
            cwd=cwd,
            home=Path(os.path.realpath(home)),
            user=user,
            environ=dict(os.environ),
            program=_program(),
        )


def _program() -> Path | None:
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    if not isinstance(file, str):
        return None
    path = Path(os.path.realpath(file))
    # Our commands run no code of the project in whose folder they start, even where the environment lies in it.
    is_command = path.is_relative_to(_PACKAGE) or path.name in {"llmops", "llmops.exe"} or "llmops.exe" in path.parts
    return None if is_command else path


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file that the search found, with the content that it had when its owner was checked."""

    path: Path
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFiles:
    """The files that the search found.

    Attributes:
        config: `llmops.toml`, or None.
        pyproject: The project's `pyproject.toml`, or None.
        folder: The base of the default store path: the folder of `config`, else the project's root (the first folder
            with a `pyproject.toml` or `.git`), else the current folder.
        root: The project's root, or the folder of `config` if there is no root or the root holds the home folder.
    """

    config: FoundFile | None
    pyproject: FoundFile | None
    folder: Path
    root: Path


def find_files(process: ProcessEnvironment) -> ConfigFiles:
    """Search from the current folder up to the project's root, never above the home folder.

    Raises:
        ConfigError: A file of this user cannot be read.
    """
    config: FoundFile | None = None
    for folder in (process.cwd, *process.cwd.parents):
        if config is None:
            config = _candidate(folder / _CONFIG_FILE, process.user)
        pyproject = _candidate(folder / _PYPROJECT, process.user)
        if pyproject is not None or _is_marker(folder / ".git", process.user):
            base = config.path.parent if config else folder
            # The home folder may be a repository of settings. What is cloned into it is another project.
            root = base if process.home.is_relative_to(os.path.realpath(folder)) else folder
            return ConfigFiles(config=config, pyproject=pyproject, folder=base, root=root)
        if folder == process.home:
            break
    base = config.path.parent if config else process.cwd
    return ConfigFiles(config=config, pyproject=None, folder=base, root=base)


def _is_marker(path: Path, user: int | None) -> bool:
    """Return whether a file or folder exists, and no stranger put it there."""
    try:
        return (user is None and path.exists()) or {path.lstat().st_uid, path.stat().st_uid} <= {user, 0}
    except OSError:
        return False


def _candidate(path: Path, user: int | None) -> FoundFile | None:
    # Path.is_file raises if a parent folder is not readable; os.path returns False.
    if not os.path.isfile(path):  # noqa: PTH113
        return None
    owners: set[int] = set()
    content = b""
    try:
        owners.add(path.lstat().st_uid)  # of the link, if it is one
        content, owner = _read(path)
        owners.add(owner)
    except FileNotFoundError:
        return None  # removed meanwhile
    except OSError as error:
        if user is None or _is_marker(path, user):
            raise _unreadable(path, error) from error
        owners.add(-1)
    # Another user's file in a shared folder must not decide where prompts are sent. Trust root's files: they are
    # usual in containers, and root can change the program anyway.
    if user is None or owners <= {user, 0}:
        return FoundFile(path, content)
    if path.name == _PYPROJECT and not _has_our_table(content):
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


def _read(path: Path) -> tuple[bytes, int]:
    """Return the content and the owner, both of one open file: a path may lead elsewhere a moment later."""
    # Without blocking: opening a named pipe would wait for a writer.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise OSError(0, "it is not a file")
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise OSError(0, f"it is larger than {_MAX_BYTES // 1024 // 1024} MB")
    return content, state.st_uid


def _has_our_table(content: bytes) -> bool:
    try:
        return "llmops" in tomllib.loads(content.decode()).get("tool", {})
    except (ValueError, RecursionError, AttributeError, TypeError):
        return False


def forget_warnings() -> None:
    """Let the warnings about files of other users appear again."""
    with _lock:
        _warned.clear()


def read_file(file: FoundFile | Path, *, named_by: str | None = None) -> Layer:
    """Return the layer of a file: the table `[tool.llmops]` of a `pyproject.toml`, else the whole file.

    Args:
        file: The file that was found, or the absolute path of one that is named.
        named_by: The argument or variable that names this file, for error messages.

    Raises:
        ConfigError: The file is missing, unreadable, not UTF-8 or not TOML.
    """
    by = f" (named by {named_by})" if named_by else ""
    path = file if isinstance(file, Path) else file.path
    data = _parse(path, _content(file, by) if isinstance(file, Path) else file.content)
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


def _content(path: Path, by: str) -> bytes:
    try:
        return _read(path)[0]
    except FileNotFoundError as error:
        message = f"{path}: the file does not exist{by}: correct the path, or remove it."
        raise ConfigError(message, source=str(path)) from error
    except OSError as error:
        raise _unreadable(path, error, by) from error


def _unreadable(path: Path, error: OSError, by: str = "") -> ConfigError:
    return ConfigError(f"{path}: the file cannot be read{by}: {error.strerror}.", source=str(path))


def _parse(path: Path, content: bytes) -> dict[str, Any] | None:
    """Parse the file; return None for a `pyproject.toml` without our name, which may be broken."""
    if path.name == _PYPROJECT and b"llmops" not in content:
        return None
    try:
        return tomllib.loads(content.decode("utf-8-sig"))  # some editors write a byte order mark
    except UnicodeDecodeError as error:
        message = f"{path}: the file is not UTF-8 (byte {error.start}): save it as UTF-8."
        raise ConfigError(message, source=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        message = f'{path}: the file is not valid TOML: {error}. Put text in quotes, e.g. model = "offline/echo".'
        raise ConfigError(message, source=str(path)) from error
    except RecursionError as error:
        message = f"{path}: the file is not valid TOML: its values are nested too deeply."
        raise ConfigError(message, source=str(path)) from error

"""The list of trusted configuration files in the user's own configuration folder: a path and a digest each."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from llmops_sdk._util._private_files import replace_file
from llmops_sdk.errors import ConfigError

if TYPE_CHECKING:
    from llmops_sdk.config.loading._files import ProcessEnvironment

__all__ = ["digest_of", "is_trusted", "list_file", "revoke", "trust", "trusted_files"]

_MAX_BYTES = 1024 * 1024
_MAX_FILES = 2_000
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def digest_of(data: Mapping[str, Any]) -> str:
    """Return the digest of a file's settings. Comments, and other tables of a `pyproject.toml`, do not count."""
    text = json.dumps(data, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def list_file(process: ProcessEnvironment) -> Path:
    """Return the list's path: `llmops/trusted.json` in `XDG_CONFIG_HOME`, by default `~/.config`."""
    base = process.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if os.path.isabs(base) else process.home / ".config"  # noqa: PTH117 - a text
    return folder / "llmops" / "trusted.json"


def is_trusted(process: ProcessEnvironment, file: Path, digest: str) -> bool:
    """Return whether the file is on the list with these settings.

    Raises:
        ConfigError: The list belongs to another user, others may write it, or it is damaged.
    """
    return trusted_files(process).get(os.path.realpath(file)) == digest


def trusted_files(process: ProcessEnvironment) -> dict[str, str]:
    """Return the digest of each trusted file by its path.

    Raises:
        ConfigError: The list belongs to another user, others may write it, or it is damaged.
    """
    path = list_file(process)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as file:
            state = os.fstat(file.fileno())
            content = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise _broken(path, f"it cannot be read ({error.strerror})") from error
    if process.user is not None and (state.st_uid != process.user or state.st_mode & _OTHERS_MAY_WRITE):
        raise _broken(path, "it belongs to another user, or others may write it")
    try:
        entries = json.loads(content) if len(content) <= _MAX_BYTES else None
    except (ValueError, RecursionError):
        entries = None
    if not isinstance(entries, dict) or not all(type(one) is str for one in cast("dict[str, Any]", entries).values()):
        raise _broken(path, "it is damaged")
    return cast("dict[str, str]", entries)


def _broken(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"{path}: the list of trusted configuration files cannot be used: {why}. Delete it, and run `llmops trust` "
        "again for the files that you trust.",
        source=str(path),
    )


def trust(process: ProcessEnvironment, file: Path, digest: str) -> None:
    """Put a file on the list, in place of its older settings."""
    files = trusted_files(process)
    files.pop(os.path.realpath(file), None)
    files[os.path.realpath(file)] = digest
    _write(process, dict(list(files.items())[-_MAX_FILES:]))


def revoke(process: ProcessEnvironment, file: Path) -> bool:
    """Remove a file from the list; return whether it was there."""
    files = trusted_files(process)
    if files.pop(os.path.realpath(file), None) is None:
        return False
    _write(process, files)
    return True


def _write(process: ProcessEnvironment, files: Mapping[str, str]) -> None:
    path = list_file(process)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, json.dumps(files, indent=1).encode())
    except OSError as error:
        raise ConfigError(
            f"{path}: the list of trusted configuration files cannot be written: {error.strerror}.", source=str(path)
        ) from error

"""Check that a folder is this user's own, and write files that only this user can read."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Generator
from pathlib import Path

__all__ = ["create_file", "folder_problem", "replace_file"]

_ROOT = 0


def folder_problem(path: Path) -> str | None:
    """Return what is wrong with a folder, with the remedy, or None; a missing folder is fine.

    A private folder belongs to this user or to root, only its owner can write to it, and it is no symbolic link.

    Args:
        path: The folder.
    """
    try:
        state = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(state.st_mode):
        return "is a symbolic link, which may lead to other files: name the folder itself"
    if not stat.S_ISDIR(state.st_mode) or not hasattr(os, "geteuid"):
        return None
    if state.st_uid not in {os.geteuid(), _ROOT}:
        return (
            f"belongs to another user (id {state.st_uid}; this process runs as {os.geteuid()}): run as that user, or "
            "use a folder of your own"
        )
    if state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return (
            f"is writable for other users (mode {stat.S_IMODE(state.st_mode):04o}): run `chmod go-w` on it, or use a "
            "new folder inside it"
        )
    return None


def create_file(file: Path, content: bytes, *, fsync: bool = False) -> None:
    """Create a file atomically, readable by its owner alone; leave an existing file unchanged."""
    with _half_written(file, content, fsync=fsync) as temporary, contextlib.suppress(FileExistsError):
        os.link(temporary, file)


def replace_file(file: Path, content: bytes, *, fsync: bool = False) -> None:
    """Write a file atomically, readable by its owner alone, in the place of an existing one."""
    with _half_written(file, content, fsync=fsync) as temporary:
        temporary.replace(file)


@contextlib.contextmanager
def _half_written(file: Path, content: bytes, *, fsync: bool) -> Generator[Path]:
    # The sweep of a store knows this name.
    temporary = file.with_name(f".{file.name}.{os.urandom(16).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            if fsync:
                out.flush()
                os.fsync(descriptor)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)

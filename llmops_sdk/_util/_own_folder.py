"""Say what is wrong with a folder that is a link, or that another user can change."""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["folder_problem"]

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

"""Write a file that exists completely or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from llmops_sdk.errors import StoreError
from llmops_sdk.store.files._locks import try_lock
from llmops_sdk.store.reading._query import StorePath

__all__ = ["check_target", "temporary_file"]

_YOUNG = 5.0  # seconds


def check_target(file: StorePath, store: Path, *, force: bool) -> Path:
    """Return the absolute path of a file to write.

    Args:
        file: The file.
        store: The store's folder.
        force: Whether the file may exist.

    Raises:
        StoreError: The file exists, or is inside the store.
    """
    target = Path(file).expanduser().absolute()
    if not force and target.exists():
        raise _exists(target)
    if target.resolve().is_relative_to(store.resolve()):
        raise StoreError(f"{target} is inside the store: choose a file elsewhere", path=str(target))
    return target


@contextmanager
def temporary_file(target: Path, *, force: bool) -> Generator[Path]:
    """Yield a path to write to, which becomes the target at the end of the block.

    Args:
        target: The target.
        force: Whether to replace an existing file.

    Raises:
        StoreError: The target cannot be written, or exists meanwhile.
    """
    folder = target.with_name(f".{target.name}.{uuid4().hex}")
    temporary = folder / target.name
    lock = -1
    try:
        _remove_leftovers(target)
        # Private from the start: DuckDB makes its files, also temporary ones, readable for all.
        folder.mkdir(mode=0o700)
        lock = os.open(folder, os.O_RDONLY)
        try_lock(lock)
        yield temporary
        temporary.chmod(0o600)
        if force:
            temporary.replace(target)
        else:
            os.link(temporary, target)
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}", path=str(target)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def _remove_leftovers(target: Path) -> None:
    """Remove the folders that killed exports to this file left beside it."""
    form = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{32}}")
    for entry in list(os.scandir(target.parent)):
        if not form.fullmatch(entry.name) or not entry.is_dir(follow_symlinks=False):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(entry.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                # Its process is dead; a living one takes the lock just after it has made the folder.
                if try_lock(descriptor) and abs(time.time() - os.fstat(descriptor).st_mtime) > _YOUNG:
                    shutil.rmtree(entry.path, ignore_errors=True)
            finally:
                os.close(descriptor)


def _exists(target: Path) -> StoreError:
    return StoreError(f"{target} already exists: choose another name, or force=True (--force)", path=str(target))

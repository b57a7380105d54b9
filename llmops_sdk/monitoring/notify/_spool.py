"""The files of one notifier: a file for each message that waits, and the ids of those that are done.

Messages are numbered in the order of `put`. A message is done in two steps, its id in `done.txt` and then the removal
of its file, so that a process that is killed in between sends nothing twice. `sending.json` is written before a try: a
process that starts after a kill knows what may have arrived already, and sends the same messages with the same id.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import orjson

from llmops_sdk._util._private_files import create_file, folder_problem, replace_file
from llmops_sdk.errors import StoreError
from llmops_sdk.monitoring.notify._message import Message, decode, encode
from llmops_sdk.store.files._locks import exclusive_lock

__all__ = ["FOLDER", "DeadLetter", "Spool", "dead_letters", "opened_spools"]

FOLDER = "notify"
"""The folder of the spools, within the store's folder."""
_WAITING = re.compile(r"([0-9]{12})-(msg_[0-9a-f]{24})\.json")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DONE, _SENDING, _DEAD, _OLD_DEAD, _LABEL = "done.txt", "sending.json", "dead.jsonl", "dead.1.jsonl", "name.txt"
_MAX_MESSAGE = 256 * 1024
_MAX_DONE = 8_192
_MAX_DEAD = 8 * 1024**2
_PUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that was given up."""

    message: Message
    reason: str
    time: float


class Spool:
    """The messages of one notifier, on disk. Processes and threads may share it.

    Args:
        store: The store's folder.
        name: The notifier's name.

    Raises:
        StoreError: The folder cannot be made, is a link, or another user can change it.
    """

    def __init__(self, store: Path, name: str) -> None:
        plain = name if _NAME.fullmatch(name) else f"-{blake2b(name.encode(), digest_size=12).hexdigest()}"
        self.folder = store.absolute() / FOLDER / plain
        try:
            for folder in (store, self.folder.parent, self.folder):
                folder.mkdir(mode=0o700, exist_ok=True)
                if (problem := folder_problem(folder)) is not None:
                    raise StoreError(f"{folder} {problem}", path=str(folder))
            create_file(self.folder / _LABEL, name.encode("utf-8", "replace"))
        except OSError as error:
            raise StoreError(f"cannot make {self.folder}: {error.strerror}", path=str(self.folder)) from error
        self._done: frozenset[str] = frozenset()
        self._done_state: tuple[int, int] = (0, 0)
        self._number = 0

    def put(self, message: Message) -> bool:
        """Write a message, and return once it is on the disk; False if it waits or was sent already.

        Raises:
            StoreError: The disk is full, or the folder cannot be written.
        """
        with exclusive_lock(self.folder, _PUT_SECONDS, name="put.lock") as taken:
            if not taken:
                raise StoreError(f"another process holds {self.folder / 'put.lock'}", path=str(self.folder))
            # First the files, then the ids of those that are done: a message goes from the one to the other.
            names = self.names()
            if any(name.partition("-")[2] == f"{message.id}.json" for name in names) or self._is_done(message.id):
                return False
            self._number = max(self._number, int(names[-1][:12]) if names else 0) + 1
            try:
                create_file(self.folder / f"{self._number:012d}-{message.id}.json", encode(message), fsync=True)
                self._sync()
            except OSError as error:
                raise StoreError(f"cannot write to {self.folder}: {error.strerror}", path=str(self.folder)) from error
            return True

    def names(self) -> list[str]:
        """Return the names of the files that wait, the oldest first."""
        return sorted(path.name for path in self.folder.iterdir() if _WAITING.fullmatch(path.name))

    def recover(self) -> list[str]:
        """Return the names of the files that wait, and remove those that a killed process had finished."""
        names = self.names()
        finished = [name for name in names if self._is_done(name[13:-5])]
        for name in finished:
            (self.folder / name).unlink(missing_ok=True)
        return [name for name in names if name not in finished] if finished else names

    def read(self, name: str) -> Message | None:
        """Return the message of a file, or None if it is gone or holds none."""
        try:
            return decode(_read(self.folder / name))
        except (OSError, ValueError):
            return None

    def finish(self, names: Sequence[str]) -> None:
        """Note that messages need not be sent again, and remove their files."""
        ids = [name[13:-5] for name in names]
        with self._appending(_DONE) as descriptor:
            os.write(descriptor, "".join(f"{one}\n" for one in ids).encode())
            os.fsync(descriptor)
        for name in names:
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / _SENDING).unlink(missing_ok=True)
        self._forget_old()

    def give_up(self, names: Iterable[str], reason: str, now: float) -> int:
        """Move messages to the dead letters; return how many."""
        files = [(name, self.read(name)) for name in names]
        lines = [
            orjson.dumps({"time": now, "reason": reason, "message": orjson.loads(encode(message))}) + b"\n"
            for _, message in files
            if message is not None
        ]
        with contextlib.suppress(FileNotFoundError):
            if (self.folder / _DEAD).stat().st_size > _MAX_DEAD:
                (self.folder / _DEAD).replace(self.folder / _OLD_DEAD)
        with self._appending(_DEAD) as descriptor:
            os.write(descriptor, b"".join(lines))
            os.fsync(descriptor)
        self.finish([name for name, _ in files])
        return len(files)

    def note_sending(self, names: Sequence[str], failures: int) -> None:
        """Note what is going to be sent, and how many tries have failed before."""
        replace_file(self.folder / _SENDING, orjson.dumps({"names": list(names), "failures": failures}))

    def sending(self) -> tuple[list[str], int]:
        """Return what the last try was about and how many tries had failed before it."""
        try:
            noted = orjson.loads(_read(self.folder / _SENDING))
            return [name for name in noted["names"] if _WAITING.fullmatch(name)], int(noted["failures"])
        except (OSError, ValueError, TypeError, KeyError):
            return [], 0

    def _is_done(self, message_id: str) -> bool:
        try:
            state = (self.folder / _DONE).stat()
        except FileNotFoundError:
            return False
        if (state.st_ino, state.st_size) != self._done_state:
            self._done = frozenset(self._done_ids())
            self._done_state = (state.st_ino, state.st_size)
        return message_id in self._done

    def _done_ids(self) -> list[str]:
        return _read(self.folder / _DONE, 64 * _MAX_DONE).decode("ascii", "replace").split()

    def _forget_old(self) -> None:
        if (self.folder / _DONE).stat().st_size > 29 * _MAX_DONE:
            newest = self._done_ids()[-_MAX_DONE // 2 :]
            replace_file(self.folder / _DONE, "".join(f"{one}\n" for one in newest).encode(), fsync=True)

    @contextlib.contextmanager
    def _appending(self, name: str) -> Generator[int]:
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: Path, most: int = _MAX_MESSAGE) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(most)


def opened_spools(store: Path) -> dict[str, Path]:
    """Return the folders of the spools of a store, by the notifiers' names.

    Args:
        store: The store's folder.
    """
    found: dict[str, Path] = {}
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for folder in sorted((store / FOLDER).iterdir()):
            with contextlib.suppress(OSError):
                found[_read(folder / _LABEL).decode("utf-8", "replace")] = folder
    return found


def dead_letters(folder: Path) -> list[DeadLetter]:
    """Return the messages of a spool that were given up, the oldest first.

    Args:
        folder: The spool's folder.
    """
    found: list[DeadLetter] = []
    for name in (_OLD_DEAD, _DEAD):
        with contextlib.suppress(FileNotFoundError):
            for line in _read(folder / name, 2 * _MAX_DEAD).splitlines():
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    noted = orjson.loads(line)
                    message = decode(orjson.dumps(noted["message"]))
                    found.append(DeadLetter(message=message, reason=str(noted["reason"]), time=float(noted["time"])))
    return found

"""The watcher's database: counts by the minute, the states of alerts, and changes that are still to be told.

It is SQLite in the store's folder. The counts can be made again from the store. A damaged file is set aside, and the
watcher begins anew.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from llmops_sdk._util._private_files import folder_problem
from llmops_sdk.errors import StoreError
from llmops_sdk.monitoring.rollup._track import Row

__all__ = ["FOLDER", "Database", "open_database", "watch_folder"]

FOLDER = "monitoring"
"""The watcher's folder in the store."""
_FILE = "watch.sqlite3"
_BUSY = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS Series (series TEXT PRIMARY KEY, covered INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Counts (
  series TEXT NOT NULL, labels TEXT NOT NULL, bucket INTEGER NOT NULL, events REAL NOT NULL, bad REAL NOT NULL,
  value REAL NOT NULL, unknown REAL NOT NULL, PRIMARY KEY (series, bucket, labels)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Alerts (name TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Changes (number INTEGER PRIMARY KEY AUTOINCREMENT, change BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS Notes (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""

LabelRow: TypeAlias = tuple[tuple[str, ...], Row]


class Database:
    """One open database. The watcher's lock makes sure that one thread of one process uses it.

    Args:
        file: The file, or ":memory:".
    """

    def __init__(self, file: Path | str) -> None:
        self._file = str(file)
        self._db = sqlite3.connect(file, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """Do everything in the block, or nothing.

        Raises:
            StoreError: The disk is full, or the file cannot be written. Nothing was done then.
        """
        with self._as_store_errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                # SQLite itself ends the transaction after some errors, such as a full disk.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _as_store_errors(self) -> Generator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"{self._file} cannot be used: {error}", path=self._file) from error

    def series(self) -> dict[str, int]:
        """Return until when each series is counted, in seconds since the epoch, by its key."""
        return dict(self._all("SELECT series, covered FROM Series"))

    def counts(self, series: str) -> dict[tuple[str, ...], list[Row]]:
        """Return the rows of a series by labels, each list in the order of buckets."""
        found: dict[tuple[str, ...], list[Row]] = {}
        rows = self._all(
            "SELECT labels, bucket, events, bad, value, unknown FROM Counts WHERE series = ? ORDER BY bucket", series
        )
        names: dict[str, tuple[str, ...]] = {}
        for text, bucket, *numbers in rows:
            labels = names.get(text) or names.setdefault(text, tuple(orjson.loads(text)))
            n, bad, value, unknown = numbers
            found.setdefault(labels, []).append((bucket, n, bad, value, unknown))
        return found

    def put_counts(self, series: str, since: int, covered: int, rows: Iterable[LabelRow]) -> None:
        """Put rows in the place of those from a bucket on.

        Args:
            series: The key of the series.
            since: The first bucket that changes.
            covered: Until when the series is counted now.
            rows: Labels and rows.
        """
        self._db.execute("DELETE FROM Counts WHERE series = ? AND bucket >= ?", (series, since))
        self._db.executemany(
            "INSERT OR REPLACE INTO Counts VALUES (?, ?, ?, ?, ?, ?, ?)",
            ((series, orjson.dumps(labels).decode(), *row) for labels, row in rows),
        )
        self._db.execute("INSERT OR REPLACE INTO Series VALUES (?, ?)", (series, covered))

    def forget(self, series: str, before: int | None) -> None:
        """Delete the rows of a series before a bucket, or the series altogether."""
        if before is not None:
            self._db.execute("DELETE FROM Counts WHERE series = ? AND bucket < ?", (series, before))
            return
        self._db.execute("DELETE FROM Counts WHERE series = ?", (series,))
        self._db.execute("DELETE FROM Series WHERE series = ?", (series,))

    def alerts(self) -> dict[str, Any]:
        """Return the stored states of alerts by name."""
        return {name: orjson.loads(state) for name, state in self._all("SELECT name, state FROM Alerts")}

    def put_alerts(self, states: Mapping[str, Any]) -> None:
        """Store states; None removes one."""
        for name, state in states.items():
            if state is None:
                self._db.execute("DELETE FROM Alerts WHERE name = ?", (name,))
            else:
                self._db.execute("INSERT OR REPLACE INTO Alerts VALUES (?, ?)", (name, orjson.dumps(state)))

    def changes(self) -> list[tuple[int, Any]]:
        """Return the changes that are still to be told, oldest first."""
        rows = self._all("SELECT number, change FROM Changes ORDER BY number")
        return [(number, orjson.loads(change)) for number, change in rows]

    def add_change(self, change: Any) -> None:
        """Add a change to tell."""
        self._db.execute("INSERT INTO Changes (change) VALUES (?)", (orjson.dumps(change),))

    def remove_change(self, number: int) -> None:
        """Remove a change that was told."""
        self._all("DELETE FROM Changes WHERE number = ?", number)

    def note(self, name: str) -> Any:
        """Return a stored note, or None."""
        found = self._all("SELECT value FROM Notes WHERE name = ?", name)
        return orjson.loads(found[0][0]) if found else None

    def notes(self, begin: str) -> dict[str, Any]:
        """Return the notes whose names begin with a text, by their names."""
        rows = self._all("SELECT name, value FROM Notes WHERE substr(name, 1, ?) = ?", len(begin), begin)
        return {name: orjson.loads(value) for name, value in rows}

    def put_note(self, name: str, value: Any) -> None:
        """Store a note."""
        self._db.execute("INSERT OR REPLACE INTO Notes VALUES (?, ?)", (name, orjson.dumps(value)))

    def remove_note(self, name: str) -> None:
        """Remove a note."""
        self._db.execute("DELETE FROM Notes WHERE name = ?", (name,))

    def _all(self, sql: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._as_store_errors():
            return self._db.execute(sql, values).fetchall()


def watch_folder(store: Path) -> Path:
    """Return the watcher's folder in a store, and make it if it is missing.

    Args:
        store: The store's folder, which exists.

    Raises:
        StoreError: It cannot be made, or another user can change it.
    """
    folder = store / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error.strerror}", path=str(folder)) from error
    problem = folder_problem(folder)
    if problem is not None:
        raise StoreError(f"the watcher's folder {folder} {problem}", path=str(folder))
    return folder


def open_database(folder: Path) -> Database:
    """Open the database in the watcher's folder. The caller holds the watcher's lock.

    Args:
        folder: The watcher's folder.

    Raises:
        StoreError: The disk is full, or the folder cannot be written.
    """
    file = folder / _FILE
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    try:
        try:
            return Database(file)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    file.with_name(file.name + suffix).replace(file.with_name(f"damaged-{file.name}{suffix}"))
            return Database(file)
    except sqlite3.Error as error:
        raise StoreError(f"{file} cannot be used: {error}; free space, or remove it", path=str(file)) from error

"""The store of the semantic tier on this machine's disk: one SQLite database.

Many processes may use it. A process that is killed leaves either all of an entry or nothing. A damaged database is set
aside. Nothing in it is executed: texts, bytes and numbers only, whose types are checked when they are read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from llmops_sdk.caching.backends._disk import (
    DATABASE,
    WITH_TAG,
    check_database,
    file_identity,
    prepare_folder,
    set_aside,
)
from llmops_sdk.caching.backends._protocol import BackendError, DamagedError
from llmops_sdk.caching.semantic._entries import LabelCounts, NewEntry, RecentLabel, Removed, StoredEntry

__all__ = ["SqliteBackend", "check_semantic"]

_T = TypeVar("_T")

_BUSY = 1.0  # seconds that a statement waits for another process
_SWEEP = 64  # an insertion removes so many expired entries at most; each 64th removes what is beyond the limit
_REMOVED = 10_000  # how many removals are remembered; who has missed more loads the entries anew
_RATED = 65_536  # how many labels are remembered one by one
_USED_EVERY = 60.0  # seconds between notes of an entry's use

_SCHEMA = """
CREATE TABLE IF NOT EXISTS Cache (
  key INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, grp INTEGER NOT NULL, text TEXT NOT NULL,
  earlier TEXT NOT NULL, vector BLOB NOT NULL, value BLOB NOT NULL, stored_at REAL NOT NULL, expires_at REAL,
  used_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS Cache_scope ON Cache (scope, key);
CREATE INDEX IF NOT EXISTS Cache_expires ON Cache (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS Cache_used ON Cache (used_at);
CREATE TABLE IF NOT EXISTS Tags (tag TEXT NOT NULL, key INTEGER NOT NULL, PRIMARY KEY (tag, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS Tags_key ON Tags (key);
CREATE TABLE IF NOT EXISTS Labels (
  kind TEXT NOT NULL, epoch INTEGER NOT NULL, band INTEGER NOT NULL, right INTEGER NOT NULL, wrong INTEGER NOT NULL,
  audited_right INTEGER NOT NULL, audited_wrong INTEGER NOT NULL, PRIMARY KEY (kind, epoch, band)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS Rated (
  number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, epoch INTEGER NOT NULL, pair BLOB NOT NULL,
  band INTEGER NOT NULL, right INTEGER NOT NULL, audit INTEGER NOT NULL, UNIQUE (kind, epoch, pair, right)
);
CREATE TABLE IF NOT EXISTS Removed (number INTEGER PRIMARY KEY AUTOINCREMENT, entry INTEGER NOT NULL);
CREATE TRIGGER IF NOT EXISTS Cache_deleted AFTER DELETE ON Cache FOR EACH ROW BEGIN
  DELETE FROM Tags WHERE key = OLD.key;
  INSERT INTO Removed (entry) VALUES (OLD.key);
END;
"""

_COLUMNS = frozenset(
    {"key", "scope", "grp", "text", "earlier", "vector", "value", "stored_at", "expires_at", "used_at"}
)


class SqliteBackend:
    """A `SemanticBackend` in a folder of its own.

    Args:
        folder: Where; made with mode 0700, the files in it with 0600.
        max_entries: Above this number the least recently used entries are removed.
    """

    workers = 1

    def __init__(self, folder: Path, *, max_entries: int = 100_000) -> None:
        self.place = str(folder)
        self._folder = folder
        self._max_entries = max_entries
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._is_known = False

    def removed(self, after: int | None) -> Removed:
        def read(db: sqlite3.Connection) -> Removed:
            # A file opened anew may be another one: it gives the numbers of the old one's entries to others.
            found = _removed(db, after if self._is_known else None)
            self._is_known = True
            return found

        return self._use(read)

    def entries(self, scope: str, after: int, limit: int) -> list[StoredEntry]:
        sql = (
            "SELECT key, grp, text, earlier, vector, stored_at, expires_at FROM Cache "
            "WHERE scope = ? AND key > ? ORDER BY key LIMIT ?"
        )
        rows = self._use(lambda db: db.execute(sql, (scope, after, limit)).fetchall())
        return [StoredEntry(*row) for row in rows if _is_entry(row)]

    def value(self, entry: int, now: float) -> tuple[bytes, float] | None:
        return self._use(lambda db: _value(db, entry, now))

    def insert(self, entry: NewEntry) -> int:
        return self._use(lambda db: self._insert(db, entry))

    def delete(self, entries: Sequence[int]) -> int:
        marks = ", ".join("?" * len(entries))
        return self._delete(f"key IN ({marks})", *entries) if entries else 0

    def delete_scope(self, scope: str) -> int:
        return self._delete("scope = ?", scope)

    def delete_tag(self, tag: str) -> int:
        return self._delete(WITH_TAG, tag)

    def clear(self) -> int:
        self._use(lambda db: db.executescript("BEGIN IMMEDIATE; DELETE FROM Labels; DELETE FROM Rated; COMMIT;"))
        return self._delete("true")

    def size(self) -> tuple[int, int]:
        def read(db: sqlite3.Connection) -> tuple[int, int]:
            (count,) = db.execute("SELECT count(*) FROM Cache").fetchone()
            (pages,), (page,) = db.execute("PRAGMA page_count").fetchone(), db.execute("PRAGMA page_size").fetchone()
            return int(count), int(pages) * int(page)

        return self._use(read)

    def labels(self, kind: str) -> list[LabelCounts]:
        sql = (
            "SELECT epoch, band, right, wrong, audited_right, audited_wrong FROM Labels "
            "WHERE kind = ?1 AND epoch = (SELECT max(epoch) FROM Labels WHERE kind = ?1)"
        )
        rows = self._use(lambda db: db.execute(sql, (kind,)).fetchall())
        return [LabelCounts(*row) for row in rows if all(type(value) is int for value in row)]

    def add_label(self, kind: str, band: int, *, right: bool, audit: bool, pair: bytes) -> bool:
        return self._use(lambda db: _add_label(db, kind, RecentLabel(band, right, audit), pair))

    def recent_labels(self, kind: str, limit: int) -> list[RecentLabel]:
        sql = (
            "SELECT band, right, audit FROM Rated WHERE kind = ?1 "
            "AND epoch = coalesce((SELECT max(epoch) FROM Labels WHERE kind = ?1), 0) ORDER BY number DESC LIMIT ?2"
        )
        rows = self._use(lambda db: db.execute(sql, (kind, limit)).fetchall())
        known = (row for row in reversed(rows) if all(type(value) is int for value in row))
        return [RecentLabel(band, bool(right), bool(audit)) for band, right, audit in known]

    def end_epoch(self, kind: str, epoch: int) -> None:
        sql = (
            "INSERT INTO Labels SELECT ?1, ?2 + 1, 0, 0, 0, 0, 0 "
            "WHERE ?2 = coalesce((SELECT max(epoch) FROM Labels WHERE kind = ?1), 0) ON CONFLICT DO NOTHING"
        )
        self._use(lambda db: db.execute(sql, (kind, epoch)))

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _delete(self, condition: str, *values: object) -> int:
        sql = f"DELETE FROM Cache WHERE {condition}"  # noqa: S608 - our own texts
        return self._use(lambda db: int(db.execute(sql, values).rowcount))

    def _insert(self, db: sqlite3.Connection, entry: NewEntry) -> int:
        with _transaction(db):
            row = (entry.scope, entry.group or 0, entry.text, entry.earlier, entry.vector, entry.value)
            times = (entry.stored_at, entry.expires_at, entry.stored_at)
            sql = (
                "INSERT INTO Cache (scope, grp, text, earlier, vector, value, stored_at, expires_at, used_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
            )
            number = int(db.execute(sql, (*row, *times)).lastrowid or 0)
            if entry.group is None:
                db.execute("UPDATE Cache SET grp = key WHERE key = ?", (number,))
            db.executemany("INSERT OR IGNORE INTO Tags VALUES (?, ?)", [(tag, number) for tag in entry.tags])
            self._make_room(db, number, entry.stored_at)
        return number

    def _make_room(self, db: sqlite3.Connection, number: int, now: float) -> None:
        expired = "SELECT key FROM Cache WHERE expires_at <= ? ORDER BY expires_at LIMIT ?"
        db.execute(f"DELETE FROM Cache WHERE key IN ({expired})", (now, _SWEEP))  # noqa: S608 - our own text
        if number % _SWEEP:
            return
        db.execute("DELETE FROM Removed WHERE number <= (SELECT max(number) FROM Removed) - ?", (_REMOVED,))
        (count,) = db.execute("SELECT count(*) FROM Cache").fetchone()
        if count > self._max_entries:
            oldest = "SELECT key FROM Cache ORDER BY used_at LIMIT ?"
            many = count - self._max_entries
            db.execute(f"DELETE FROM Cache WHERE key IN ({oldest})", (many,))  # noqa: S608 - our own text

    def _use(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do the work on the database; open it if it is not open."""
        try:
            if self._connection is not None and file_identity(self._folder / DATABASE) != self._opened:
                self.close()  # the file was removed or set aside
            if self._connection is None:
                self._opened, self._is_known = None, False
                self._connection = self._open()
                self._opened = file_identity(self._folder / DATABASE)
            return work(self._connection)
        except (sqlite3.Error, OSError) as error:
            # The connection may be in the middle of a transaction; only a new one is sure to work.
            self.close()
            if type(error) is sqlite3.DatabaseError:  # not a subclass: the file is damaged and will never work again
                set_aside(self._folder / DATABASE, self._opened)
                raise DamagedError(f"the cache {self._folder} is damaged and was set aside: {error}") from error
            raise BackendError(f"the cache {self._folder} failed: {error}") from error

    def _open(self) -> sqlite3.Connection:
        prepare_folder(self._folder)
        check_semantic(self._folder)
        connection = sqlite3.connect(self._folder / DATABASE, timeout=_BUSY, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA mmap_size = 0")  # another process that truncates the file would kill this one
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        except BaseException:
            connection.close()  # a failed script leaves its transaction open, which would lock out everybody
            raise
        return connection


def check_semantic(folder: Path) -> None:
    """Check that the database in a folder, if there is one, is a semantic cache's.

    Raises:
        StoreError: It is a database of another program.
    """
    check_database(folder / DATABASE, _COLUMNS)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Generator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _removed(db: sqlite3.Connection, after: int | None) -> Removed:
    (last,) = db.execute("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'Removed'), 0)").fetchone()
    if after is None or last < after or last - after > _REMOVED // 2:
        return Removed(int(last), None)
    rows = db.execute("SELECT entry FROM Removed WHERE number > ?", (after,)).fetchall() if last > after else []
    return Removed(int(last), [int(entry) for (entry,) in rows])


def _add_label(db: sqlite3.Connection, kind: str, label: RecentLabel, pair: bytes) -> bool:
    with _transaction(db):
        (epoch,) = db.execute("SELECT coalesce(max(epoch), 0) FROM Labels WHERE kind = ?", (kind,)).fetchone()
        sql = "INSERT OR IGNORE INTO Rated (kind, epoch, pair, band, right, audit) VALUES (?, ?, ?, ?, ?, ?)"
        added = db.execute(sql, (kind, epoch, pair, label.band, int(label.right), int(label.audit)))
        if not added.rowcount:
            return False
        sql = (
            "INSERT INTO Labels VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET right = right + ?4, "
            "wrong = wrong + ?5, audited_right = audited_right + ?6, audited_wrong = audited_wrong + ?7"
        )
        right, wrong = int(label.right), int(not label.right)
        audited = (right, wrong) if label.audit else (0, 0)
        db.execute(sql, (kind, epoch, label.band, right, wrong, *audited))
        if (added.lastrowid or 0) % _SWEEP == 0:
            db.execute("DELETE FROM Rated WHERE number <= ?", ((added.lastrowid or 0) - _RATED,))
    return True


def _value(db: sqlite3.Connection, entry: int, now: float) -> tuple[bytes, float] | None:
    row = db.execute("SELECT value, stored_at, expires_at, used_at FROM Cache WHERE key = ?", (entry,)).fetchone()
    if row is None or type(row[0]) is not bytes or type(row[1]) is not float:
        return None
    value, stored_at, expires_at, used_at = row
    if expires_at is not None and not now < expires_at:
        return None
    if now - used_at > _USED_EVERY:
        db.execute("UPDATE Cache SET used_at = ? WHERE key = ?", (now, entry))
    return value, stored_at


def _is_entry(row: tuple[Any, ...]) -> bool:
    kinds = (int, int, str, str, bytes, float)
    fits = all(type(value) is kind for value, kind in zip(row, kinds, strict=False))
    return fits and (row[6] is None or type(row[6]) is float)

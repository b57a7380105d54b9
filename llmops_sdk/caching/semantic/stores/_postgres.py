"""The store of the semantic tier on a Postgres that processes and machines share.

Every process compares vectors by its own index, as with the disk: the same questions get the same answers everywhere,
and the server needs no extension. Texts and vectors are bytes, which are checked when they are read.

A process asks for the entries and removals after the last it has seen. So their numbers must become visible in order:
whoever adds one holds a lock until its transaction has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from llmops_sdk.caching.semantic._entries import LabelCounts, NewEntry, RecentLabel, Removed, StoredEntry
from llmops_sdk.shared._postgres_server import PostgresServer
from llmops_sdk.shared._server import SharedServer, tag_id

__all__ = ["PostgresSemanticBackend"]

_T = TypeVar("_T")

_ORDER = 7_027_355_002  # the key of the lock that orders the numbers
_PAGE = 1_000  # entries of one query, which has to end in its time
_SWEEP = 64  # an insertion removes so many expired entries at most; each 64th removes what is beyond the limit
_REMOVED = 10_000  # how many removals are remembered; who has missed more loads the entries anew
_RATED = 65_536  # how many labels are remembered one by one
_USED_EVERY = 60.0  # seconds between notes of an entry's use
_MOST_TEXT = 128_000  # bytes of a question
_MOST_EARLIER = 1024 * 1024
_MOST_VECTOR = 64 * 1024
_MOST_VALUE = 64 * 1024 * 1024
# The lowest bits of an id are drawn. A server that has lost its last transactions gives their numbers again: then the
# entry that a process remembers is not there, instead of being another one.
_DRAWN_BITS = 20

_TABLES = """
CREATE SEQUENCE IF NOT EXISTS {schema}.semantic_ids_1;
CREATE TABLE IF NOT EXISTS {schema}.semantic_labels_1 (
  kind text NOT NULL, epoch bigint NOT NULL, band bigint NOT NULL, correct bigint NOT NULL, wrong bigint NOT NULL,
  audited_correct bigint NOT NULL, audited_wrong bigint NOT NULL, PRIMARY KEY (kind, epoch, band)
);
CREATE TABLE IF NOT EXISTS {schema}.semantic_removed_1 (number bigserial PRIMARY KEY, entry bigint NOT NULL);
CREATE TABLE IF NOT EXISTS {schema}.semantic_entries_1 (
  id bigint PRIMARY KEY, scope text NOT NULL, grp bigint NOT NULL, question bytea NOT NULL, earlier bytea NOT NULL,
  vector bytea NOT NULL, value bytea NOT NULL, tags text[] NOT NULL, stored_at float8 NOT NULL, expires_at float8,
  used_at float8 NOT NULL
);
CREATE INDEX IF NOT EXISTS semantic_entries_1_scope ON {schema}.semantic_entries_1 (scope, id);
CREATE INDEX IF NOT EXISTS semantic_entries_1_tags ON {schema}.semantic_entries_1 USING gin (tags);
CREATE INDEX IF NOT EXISTS semantic_entries_1_expires
  ON {schema}.semantic_entries_1 (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS semantic_entries_1_used ON {schema}.semantic_entries_1 (used_at);
CREATE TABLE IF NOT EXISTS {schema}.semantic_rated_1 (
  number bigserial PRIMARY KEY, kind text NOT NULL, epoch bigint NOT NULL, pair bytea NOT NULL, band bigint NOT NULL,
  correct boolean NOT NULL, audit boolean NOT NULL, UNIQUE (kind, epoch, pair, correct)
)
"""


class PostgresSemanticBackend:
    """A `SemanticBackend` in a schema of a Postgres.

    Args:
        server: The server.
        max_entries: Above this number the least recently used entries are removed.
    """

    workers = 1

    def __init__(self, server: SharedServer, *, max_entries: int = 100_000) -> None:
        self.place = f"{server.place} semantic"
        self._max_entries = max_entries
        # A lost write would give its number to another entry.
        self._server = PostgresServer(server, (_TABLES, "semantic_rated_1"), loses_writes=False)

    def removed(self, after: int | None) -> Removed:
        sql = "SELECT coalesce(max(number), 0) FROM {schema}.semantic_removed_1"
        ((last,),) = self._server.rows(sql)
        if after is None or last < after or last - after > _REMOVED // 2:
            return Removed(int(last), None)
        if last == after:
            return Removed(after, [])
        sql = "SELECT entry FROM {schema}.semantic_removed_1 WHERE number > %s AND number <= %s"
        return Removed(int(last), [int(entry) for (entry,) in self._server.rows(sql, after, last)])

    def entries(self, scope: str, after: int, limit: int) -> list[StoredEntry]:
        sql = (
            "SELECT id, grp, question, earlier, vector, stored_at, expires_at FROM {schema}.semantic_entries_1 "
            "WHERE scope = %s AND id > %s AND octet_length(question) <= %s AND octet_length(earlier) <= %s "
            "AND octet_length(vector) <= %s "
            "ORDER BY id LIMIT %s"
        )
        place = tag_id(scope)
        while rows := self._server.rows(sql, place, after, _MOST_TEXT, _MOST_EARLIER, _MOST_VECTOR, min(limit, _PAGE)):
            found = [entry for row in rows if (entry := _entry_of(row)) is not None]
            if found or type(rows[-1][0]) is not int:
                return found
            after = rows[-1][0]  # a page of foreign rows
        return []

    def value(self, entry: int, now: float) -> tuple[bytes, float] | None:
        sql = (
            "SELECT value, stored_at, used_at FROM {schema}.semantic_entries_1 "
            "WHERE id = %s AND (expires_at IS NULL OR expires_at > %s) AND octet_length(value) <= %s"
        )
        rows = self._server.rows(sql, entry, float(now), _MOST_VALUE)
        if not rows or type(rows[0][0]) is not bytes or type(rows[0][1]) is not float:
            return None
        value, stored_at, used_at = rows[0]
        if now - used_at > _USED_EVERY:
            sql = "UPDATE {schema}.semantic_entries_1 SET used_at = %s WHERE id = %s"
            self._server.rows(sql, float(now), entry)
        return value, stored_at

    def insert(self, entry: NewEntry) -> int:
        return self._in_order(lambda connection: self._insert(connection, entry))

    def delete(self, entries: Sequence[int]) -> int:
        return self._delete("id = ANY(%s)", list(entries))

    def delete_scope(self, scope: str) -> int:
        return self._delete("scope = %s", tag_id(scope))

    def delete_tag(self, tag: str) -> int:
        return self._delete("tags @> %s::text[]", [tag_id(tag)])

    def clear(self) -> int:
        self._server.rows("DELETE FROM {schema}.semantic_labels_1")
        self._server.rows("DELETE FROM {schema}.semantic_rated_1")
        return self._delete("true")

    def size(self) -> tuple[int, int]:
        name = f"{self._server.schema}.semantic_entries_1"
        sql = "SELECT count(*), pg_total_relation_size(%s::regclass) FROM {schema}.semantic_entries_1"
        ((count, size),) = self._server.rows(sql, name)
        return int(count), int(size)

    def labels(self, kind: str) -> list[LabelCounts]:
        sql = (
            "SELECT epoch, band, correct, wrong, audited_correct, audited_wrong FROM {schema}.semantic_labels_1 "
            "WHERE kind = %s AND epoch = (SELECT max(epoch) FROM {schema}.semantic_labels_1 WHERE kind = %s) LIMIT 1000"
        )
        rows = self._server.rows(sql, tag_id(kind), tag_id(kind))
        return [LabelCounts(*row) for row in rows if all(type(value) is int and value >= 0 for value in row)]

    def add_label(self, kind: str, band: int, *, right: bool, audit: bool, pair: bytes) -> bool:
        label = RecentLabel(band, right, audit)
        return self._in_order(lambda connection: self._add_label(connection, tag_id(kind), label, pair))

    def recent_labels(self, kind: str, limit: int) -> list[RecentLabel]:
        sql = (
            "SELECT band, correct, audit FROM {schema}.semantic_rated_1 WHERE kind = %s "
            "AND epoch = coalesce((SELECT max(epoch) FROM {schema}.semantic_labels_1 WHERE kind = %s), 0) "
            "ORDER BY number DESC LIMIT %s"
        )
        rows = self._server.rows(sql, tag_id(kind), tag_id(kind), limit)
        return [RecentLabel(*row) for row in reversed(rows) if type(row[0]) is int]

    def end_epoch(self, kind: str, epoch: int) -> None:
        sql = (
            "INSERT INTO {schema}.semantic_labels_1 SELECT %s, %s, 0, 0, 0, 0, 0 "
            "WHERE %s = coalesce((SELECT max(epoch) FROM {schema}.semantic_labels_1 WHERE kind = %s), 0) "
            "ON CONFLICT DO NOTHING"
        )
        name = tag_id(kind)
        self._in_order(lambda connection: self._server.read(connection, sql, name, epoch + 1, epoch, name))

    def close(self) -> None:
        self._server.close()

    def _in_order(self, work: Callable[[Any], _T]) -> _T:
        """Do the work in a transaction after all others of this kind, on each server and in each namespace."""

        def run(connection: Any) -> _T:
            with connection.transaction():
                connection.execute("SELECT pg_advisory_xact_lock(%s)", (_ORDER,))
                return work(connection)

        return self._server.run(run)

    def _add_label(self, connection: Any, kind: str, label: RecentLabel, pair: bytes) -> bool:
        sql = "SELECT coalesce(max(epoch), 0) FROM {schema}.semantic_labels_1 WHERE kind = %s"
        ((epoch,),) = self._server.read(connection, sql, kind)
        sql = (
            "INSERT INTO {schema}.semantic_rated_1 (kind, epoch, pair, band, correct, audit) "
            "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING number"
        )
        added = self._server.read(connection, sql, kind, epoch, pair, label.band, label.right, label.audit)
        if not added:
            return False
        sql = (
            "INSERT INTO {schema}.semantic_labels_1 AS old VALUES (%s, %s, %s, %s, %s, %s, %s) "
            "ON CONFLICT (kind, epoch, band) DO UPDATE SET correct = old.correct + excluded.correct, "
            "wrong = old.wrong + excluded.wrong, audited_correct = old.audited_correct + excluded.audited_correct, "
            "audited_wrong = old.audited_wrong + excluded.audited_wrong"
        )
        right, wrong = int(label.right), int(not label.right)
        audited = (right, wrong) if label.audit else (0, 0)
        self._server.read(connection, sql, kind, epoch, label.band, right, wrong, *audited)
        number = int(added[0][0])
        if number % _SWEEP == 0:
            self._server.read(connection, "DELETE FROM {schema}.semantic_rated_1 WHERE number <= %s", number - _RATED)
        return True

    def _insert(self, connection: Any, entry: NewEntry) -> int:
        sql = (
            "WITH new AS (SELECT (nextval(%s::regclass) << %s) | floor(random() * (1 << %s))::bigint AS id) "
            "INSERT INTO {schema}.semantic_entries_1 "
            "SELECT id, %s, coalesce(%s::bigint, id), %s, %s, %s, %s, %s::text[], %s, %s::float8, %s "
            "FROM new RETURNING id"
        )
        name = f"{self._server.schema}.semantic_ids_1"
        row = (tag_id(entry.scope), entry.group, _bytes(entry.text), _bytes(entry.earlier), entry.vector, entry.value)
        expires_at = None if entry.expires_at is None else float(entry.expires_at)
        times = (float(entry.stored_at), expires_at, float(entry.stored_at))
        tags = [tag_id(tag) for tag in entry.tags]
        ((number,),) = self._server.read(connection, sql, name, _DRAWN_BITS, _DRAWN_BITS, *row, tags, *times)
        self._make_room(connection, int(number) >> _DRAWN_BITS, float(entry.stored_at))
        return int(number)

    def _make_room(self, connection: Any, number: int, now: float) -> None:
        expired = "SELECT id FROM {schema}.semantic_entries_1 WHERE expires_at <= %s ORDER BY expires_at LIMIT %s"
        self._remove(connection, f"id IN ({expired})", now, _SWEEP)
        if number % _SWEEP:
            return
        sql = (
            "DELETE FROM {schema}.semantic_removed_1 WHERE number <= "
            "(SELECT max(number) FROM {schema}.semantic_removed_1) - %s"
        )
        self._server.read(connection, sql, _REMOVED)
        oldest = (
            "SELECT id FROM {schema}.semantic_entries_1 ORDER BY used_at "
            "LIMIT greatest((SELECT count(*) FROM {schema}.semantic_entries_1) - %s, 0)"
        )
        self._remove(connection, f"id IN ({oldest})", self._max_entries)

    def _delete(self, condition: str, *values: object) -> int:
        return self._in_order(lambda connection: self._remove(connection, condition, *values))

    def _remove(self, connection: Any, condition: str, *values: object) -> int:
        sql = (
            f"WITH gone AS (DELETE FROM {{schema}}.semantic_entries_1 WHERE {condition} RETURNING id), "
            "noted AS (INSERT INTO {schema}.semantic_removed_1 (entry) SELECT id FROM gone) SELECT count(*) FROM gone"
        )
        ((count,),) = self._server.read(connection, sql, *values)
        return int(count)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # a text here may have a NUL, which one of Postgres may not


def _entry_of(row: tuple[Any, ...]) -> StoredEntry | None:
    """Return the entry in a row, or None for a row that no program of ours wrote."""
    kinds = (int, int, bytes, bytes, bytes, float)
    if not all(type(value) is kind for value, kind in zip(row, kinds, strict=False)):
        return None
    if row[6] is not None and type(row[6]) is not float:
        return None
    number, group, question, earlier, vector, stored_at, expires_at = row
    try:
        text, before = (one.decode("utf-8", "surrogatepass") for one in (question, earlier))
    except UnicodeDecodeError:
        return None
    return StoredEntry(number, group, text, before, vector, stored_at, expires_at)

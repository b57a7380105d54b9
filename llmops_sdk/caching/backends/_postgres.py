"""Bytes by key on a Postgres that processes and machines share.

An entry is one row with its tags, so every change is one statement. The clock is the server's: those of the machines
may differ. Rows that another program has written are read only if their types and sizes fit; nobody unpickles them.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from contextlib import suppress

from llmops_sdk.caching.backends._leases import LEASE, LONGEST, Leases
from llmops_sdk.caching.backends._protocol import BackendError
from llmops_sdk.shared._postgres_server import PostgresServer
from llmops_sdk.shared._server import SharedServer, tag_id

__all__ = ["PostgresBackend"]

_MOST_BYTES = 64 * 1024 * 1024
"""The largest value that is read; nobody writes one."""
_USED_EVERY = 60.0
"""Seconds between notes of an entry's use."""
_MARK_SECONDS = 60.0
_SWEEP_EVERY = 64
"""How many writes of this process pass between two sweeps."""
_SWEEP_MOST = 1_000

_TABLES = """
CREATE TABLE {schema}.flights_1 (
  tier text NOT NULL, key text NOT NULL, token text NOT NULL, until timestamptz NOT NULL,
  mark text NOT NULL DEFAULT '', marked_until timestamptz NOT NULL DEFAULT '-infinity', PRIMARY KEY (tier, key)
);
CREATE TABLE {schema}.entries_1 (
  tier text NOT NULL, key text COLLATE "C" NOT NULL, value bytea NOT NULL, tags text[] NOT NULL,
  until timestamptz NOT NULL, used timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (tier, key)
);
ALTER TABLE {schema}.entries_1 ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE INDEX entries_1_tags ON {schema}.entries_1 USING gin (tags);
CREATE INDEX entries_1_until ON {schema}.entries_1 (until);
CREATE INDEX entries_1_used ON {schema}.entries_1 (tier, used)
"""
_IN = "clock_timestamp() + make_interval(secs => %s)"


class PostgresBackend:
    """A `CacheBackend` in a schema of a Postgres.

    There is no memory of entries in front (`generation` is None): a removal counts for every process at once.

    Args:
        server: The server.
        tier: The tier.
        max_bytes: Above this size of all values the least recently used entries are removed; None keeps them all.
        lease: Seconds after which the lead of a process that has died ends.
    """

    workers = 4

    def __init__(self, server: SharedServer, tier: str, *, max_bytes: int | None = None, lease: float = LEASE) -> None:
        self.place = f"{server.place} {tier}"
        self._tier = tier
        self._max_bytes = max_bytes
        self._largest = _MOST_BYTES if max_bytes is None else min(max_bytes // 8, _MOST_BYTES)
        self._server = PostgresServer(server, (_TABLES, "entries_1"), loses_writes=True)
        self._leases = Leases(self.renew, self._leads_ended, lease)
        self._closed = False
        self._writes = itertools.count(1)

    def get(self, key: str) -> bytes | None:
        sql = (
            f"SELECT value, used < clock_timestamp() - interval '{_USED_EVERY} s' FROM {{schema}}.entries_1 "
            f"WHERE tier = %s AND key = %s AND until > clock_timestamp() AND octet_length(value) <= {_MOST_BYTES}"
        )
        rows = self._server.rows(sql, self._tier, key)
        if not rows or type(rows[0][0]) is not bytes:
            return None
        if rows[0][1]:
            sql = "UPDATE {schema}.entries_1 SET used = clock_timestamp() WHERE tier = %s AND key = %s"
            self._server.rows(sql, self._tier, key)
        return rows[0][0]

    def set(self, key: str, value: bytes, ttl: float | None, tags: Sequence[str]) -> bool:
        if len(value) > self._largest:
            return False
        until = "'infinity'" if ttl is None else _IN
        sql = (
            "INSERT INTO {schema}.entries_1 (tier, key, value, tags, until) "
            f"VALUES (%s, %s, %s, %s::text[], {until}) ON CONFLICT (tier, key) DO UPDATE "
            "SET value = excluded.value, tags = excluded.tags, until = excluded.until, used = excluded.used"
        )
        times = () if ttl is None else (float(ttl),)
        self._server.rows(sql, self._tier, key, value, [tag_id(tag) for tag in tags], *times)
        if next(self._writes) % _SWEEP_EVERY == 0:
            with suppress(BackendError):  # the value is stored; a later write sweeps
                self._sweep()
        return True

    def discard(self, key: str) -> None:
        self._delete("key = %s", key)

    def delete(self, key: str) -> int:
        # Keys are ASCII, so that every key that begins like this one stands below it with the last character added.
        return self._delete("key >= %s AND key < %s", key, f"{key}\x7f")

    def delete_tag(self, tag: str) -> int:
        return self._delete("tags @> %s::text[]", [tag_id(tag)])

    def clear(self) -> int:
        return self._delete("true")

    def size(self) -> tuple[int, int]:
        sql = "SELECT count(*), coalesce(sum(octet_length(value)), 0)::bigint FROM {schema}.entries_1 WHERE tier = %s"
        ((count, size),) = self._server.rows(sql, self._tier)
        return int(count), int(size)

    def generation(self) -> None:
        return None

    def invalidated(self) -> None:
        """Do nothing: no process remembers an entry."""

    def acquire(self, key: str, token: str, seconds: float = LONGEST) -> bool:
        sql = (
            f"INSERT INTO {{schema}}.flights_1 AS f (tier, key, token, until) VALUES (%s, %s, %s, {_IN}) "
            "ON CONFLICT (tier, key) DO UPDATE SET token = excluded.token, until = excluded.until "
            "WHERE f.until <= clock_timestamp() OR f.token = excluded.token RETURNING true"
        )
        leads = bool(self._server.rows(sql, self._tier, key, token, self._leases.first(seconds)))
        if leads:
            self._closed = False
            self._leases.hold(key, token, seconds)
        return leads

    def renew(self, key: str, token: str, seconds: float = LEASE) -> bool:
        sql = f"UPDATE {{schema}}.flights_1 SET until = {_IN} WHERE tier = %s AND key = %s AND token = %s"
        return self._server.count(sql, seconds, self._tier, key, token) == 1

    def release(self, key: str, token: str, note: str) -> None:
        self._leases.drop(token)
        where = "WHERE tier = %s AND key = %s AND token = %s"
        if not note:
            sql = f"DELETE FROM {{schema}}.flights_1 {where} AND marked_until < clock_timestamp()"
            if self._server.count(sql, self._tier, key, token):
                return
        sql = f"UPDATE {{schema}}.flights_1 SET token = '', until = '-infinity' {where}"
        values = (self._tier, key, token)
        if note:
            sql = sql.replace(" WHERE", f", mark = %s, marked_until = {_IN} WHERE", 1)
            values = (os.urandom(8).hex(), _MARK_SECONDS, *values)
        self._server.rows(sql, *values)

    def mark(self, key: str) -> str:
        sql = "SELECT mark FROM {schema}.flights_1 WHERE tier = %s AND key = %s AND marked_until > clock_timestamp()"
        rows = self._server.rows(sql, self._tier, key)
        return rows[0][0][:64] if rows and type(rows[0][0]) is str else ""

    def close(self) -> None:
        self._closed = True
        self._server.close()

    def _leads_ended(self) -> None:
        if self._closed:
            self._server.close()

    def _delete(self, condition: str, *values: object) -> int:
        sql = f"DELETE FROM {{schema}}.entries_1 WHERE tier = %s AND {condition}"
        return self._server.count(sql, self._tier, *values)

    def _sweep(self) -> None:
        """Remove what has expired, and what is beyond the limit."""
        for table, key in (("entries_1", "until"), ("flights_1", "greatest(until, marked_until)")):
            found = f"SELECT ctid FROM {{schema}}.{table} WHERE {key} < clock_timestamp() LIMIT {_SWEEP_MOST}"
            # Rows that another process sweeps are skipped.
            self._server.rows(f"DELETE FROM {{schema}}.{table} WHERE ctid IN ({found} FOR UPDATE SKIP LOCKED)")
        if self._max_bytes is None:
            return
        beyond = (
            "SELECT key FROM (SELECT key, sum(octet_length(value)) OVER (ORDER BY used DESC, key) AS bytes "
            "FROM {schema}.entries_1 WHERE tier = %s) AS kept WHERE bytes > %s"
        )
        self._delete(f"key IN ({beyond})", self._tier, self._max_bytes)

"""The state of limits and budgets in a schema of a Postgres that processes and machines share.

Each method is one transaction under advisory locks of its keys, taken in one order, so that no two wait for each other.
The time is the server's. A crash of the server may lose the changes of the last moment before it.
"""
# ruff: noqa: S608 - statements are put together from constants, never from a user's text

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from llmops_sdk.shared._away import Addition
from llmops_sdk.shared._postgres_server import PostgresServer
from llmops_sdk.shared._server import SharedServer
from llmops_sdk.shared._state import Bucket, Claim, Grant, Slots, Tally, TallyGrant

__all__ = ["PostgresState"]

_T = TypeVar("_T")

_TABLES = """
CREATE TABLE {schema}.traffic_slots_1 (
  key text NOT NULL, holder text NOT NULL, until timestamptz NOT NULL, PRIMARY KEY (key, holder)
);
CREATE TABLE {schema}.traffic_buckets_1 (
  key text PRIMARY KEY, amount float8 NOT NULL, at timestamptz NOT NULL,
  drained timestamptz NOT NULL DEFAULT '-infinity', until timestamptz NOT NULL
);
CREATE TABLE {schema}.traffic_pauses_1 (key text PRIMARY KEY, until timestamptz NOT NULL);
CREATE TABLE {schema}.traffic_sums_1 (key text PRIMARY KEY, amount float8 NOT NULL, until timestamptz NOT NULL)
"""
_IN = "clock_timestamp() + make_interval(secs => %s)"
_SWEEP_EVERY = 256
"""How many changes of this process pass between two sweeps."""
_SWEPT = ("traffic_slots_1", "traffic_buckets_1", "traffic_pauses_1", "traffic_sums_1")
_SWEEP = """
DELETE FROM {schema}.%s WHERE ctid IN (SELECT ctid FROM {schema}.%s WHERE until <= clock_timestamp() LIMIT 1000)
"""
_LONGEST = 10 * 366 * 86_400.0
"""Seconds: a longer interval counts as this one."""
_PEERS = "peers"


class PostgresState:
    """A `SharedState` on a Postgres.

    Args:
        server: The server.
    """

    def __init__(self, server: SharedServer) -> None:
        self._postgres = PostgresServer(server, (_TABLES, "traffic_sums_1"), loses_writes=True)
        self._place = server.place
        self._changes = 0
        self._counting = threading.Lock()

    @property
    def blocking(self) -> bool:
        """Return True: each call waits for the server."""
        return True

    @property
    def place(self) -> str:
        """Return where the server is, without a secret."""
        return self._place

    def claim(self, holder: str, claims: Sequence[Claim]) -> Grant:
        """Take every claim for this holder, or none."""
        if not claims:
            return Grant()

        def work(connection: Any) -> Grant:
            levels: list[float] = []
            for claim in claims:
                if isinstance(claim, Slots):
                    if not self._has_room(connection, claim, holder):
                        return Grant(claim.key)
                    levels.append(0.0)
                else:
                    amount, wait = self._level(connection, claim)
                    if wait > 0:
                        return Grant(claim.key, wait)
                    levels.append(amount - min(claim.amount, claim.capacity))
            for claim, level in zip(claims, levels, strict=True):
                if isinstance(claim, Slots):
                    self._hold(connection, claim.key, [holder], claim.seconds)
                else:
                    self._keep(connection, claim, level)
            return Grant()

        return self._locked([claim.key for claim in claims], work)

    def renew(self, holder: str, claims: Sequence[Slots]) -> None:
        """Keep the slots of a holder for another lease."""
        for claim in claims:
            sql = f"""
UPDATE {{schema}}.traffic_slots_1 SET until = {_IN} WHERE key = %s AND holder = %s AND until > clock_timestamp()
"""
            self._postgres.count(sql, _seconds(claim.seconds), _name(claim.key), holder)

    def adopt(self, key: str, holders: Sequence[str], seconds: float) -> None:
        """Add the holders of slots, also above the limit."""
        self._locked([key], lambda connection: self._hold(connection, key, holders, seconds))

    def release(self, holder: str, claims: Sequence[Claim], *, refund: Sequence[Bucket] = ()) -> None:
        """Give the slots of a holder back, and correct buckets."""
        slots = [claim.key for claim in claims if isinstance(claim, Slots)]

        def work(connection: Any) -> None:
            if slots:
                sql = "DELETE FROM {schema}.traffic_slots_1 WHERE key = ANY(%s) AND holder = %s"
                self._postgres.read(connection, sql, [*map(_name, slots)], holder)
            for bucket in refund:
                amount, _, drained = self._amount(connection, bucket)
                if bucket.amount < 0 or not drained:
                    self._keep(connection, bucket, min(amount + bucket.amount, bucket.capacity))

        if slots or refund:
            self._locked([*slots, *(bucket.key for bucket in refund)], work)

    def drain(self, key: str, amount: float, seconds: float) -> None:
        """Let at most `amount` be in a bucket for the next seconds."""
        sql = f"""
INSERT INTO {{schema}}.traffic_buckets_1 AS b (key, amount, at, drained, until) VALUES (%s, %s, {_IN}, {_IN}, {_IN})
ON CONFLICT (key) DO UPDATE SET amount = least(b.amount, excluded.amount), at = excluded.at,
  drained = excluded.drained, until = greatest(b.until, excluded.until)
"""
        wait = _seconds(seconds)
        self._locked(
            [key],
            lambda connection: self._postgres.read(connection, sql, _name(key), amount, wait, wait, wait + 120.0),
        )

    def pause(self, key: str, seconds: float) -> None:
        """Note that nothing may pass for some seconds; a longer pause in force stays."""
        sql = f"""
INSERT INTO {{schema}}.traffic_pauses_1 AS p VALUES (%s, {_IN})
ON CONFLICT (key) DO UPDATE SET until = greatest(p.until, excluded.until)
"""
        self._postgres.count(sql, _name(key), _seconds(seconds))

    def paused(self, key: str) -> float:
        """Return the seconds until the pause ends; 0.0 if there is none."""
        sql = (
            "SELECT extract(epoch FROM until - clock_timestamp())::float8 FROM {schema}.traffic_pauses_1 WHERE key = %s"
        )
        rows = self._postgres.rows(sql, _name(key))
        return max(float(rows[0][0]), 0.0) if rows else 0.0

    def reserve(self, tallies: Sequence[Tally]) -> TallyGrant:
        """Reserve every amount, or none."""

        def work(connection: Any) -> TallyGrant:
            sums = [self._sum(connection, one) for one in tallies]
            for index, (one, total) in enumerate(zip(tallies, sums, strict=True)):
                if one.limit is not None and total + one.amount > one.limit:
                    return TallyGrant(index, tuple(sums))
            for index, one in enumerate(tallies):
                sums[index] += one.amount
                self._put(connection, one.key, sums[index], one.seconds)
            return TallyGrant(None, tuple(sums))

        return self._locked([one.key for one in tallies], work)

    def settle(self, tallies: Sequence[Tally], actual: Sequence[float]) -> None:
        """Replace reserved amounts by the actual ones."""
        pairs = zip(tallies, actual, strict=True)
        self.add({one.key: Addition(amount - one.amount, 0.0) for one, amount in pairs if amount != one.amount})

    def add(self, sums: Mapping[str, Addition]) -> None:
        """Add amounts to sums."""

        def work(connection: Any) -> None:
            for key, one in sums.items():
                known = self._read_sum(connection, key)
                if known is not None:
                    sql = "UPDATE {schema}.traffic_sums_1 SET amount = %s WHERE key = %s"
                    self._postgres.read(connection, sql, known + one.amount, _name(key))
                elif one.seconds > 0:
                    self._put(connection, key, one.floor + one.amount, one.seconds)

        if sums:
            self._locked([*sums], work)

    def peers(self, name: str, seconds: float) -> tuple[int, str]:
        """Announce this process for some seconds; return how many processes there are, and the state's name."""

        def work(connection: Any) -> int:
            self._hold(connection, _PEERS, [name], seconds)
            sql = "SELECT count(*) FROM {schema}.traffic_slots_1 WHERE key = %s AND until > clock_timestamp()"
            return int(self._postgres.read(connection, sql, _name(_PEERS))[0][0])

        return self._locked([_PEERS], work), "postgres"  # its state survives a restart

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._postgres.close()

    # --- one transaction ----------------------------------------------------------------------------------------------

    def _locked(self, keys: Sequence[str], work: Callable[[Any], _T]) -> _T:
        def run(connection: Any) -> _T:
            with connection.transaction():
                # Sorted: two transactions that lock the same keys take them in one order.
                for number in sorted({_lock_number(self._postgres.schema, key) for key in keys}):
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (number,))
                return work(connection)

        result = self._postgres.run(run)
        with self._counting:
            self._changes += 1
            sweeps = self._changes % _SWEEP_EVERY == 0
        if sweeps:
            for table in _SWEPT:
                self._postgres.count(_SWEEP % (table, table))
        return result

    def _has_room(self, connection: Any, slots: Slots, holder: str) -> bool:
        sql = """
SELECT count(*), coalesce(bool_or(holder = %s), false) FROM {schema}.traffic_slots_1
WHERE key = %s AND until > clock_timestamp()
"""
        count, has_one = self._postgres.read(connection, sql, holder, _name(slots.key))[0]
        return bool(has_one) or count < slots.limit

    def _hold(self, connection: Any, key: str, holders: Sequence[str], seconds: float) -> None:
        sql = f"""
INSERT INTO {{schema}}.traffic_slots_1 SELECT %s, unnest(%s::text[]), {_IN}
ON CONFLICT (key, holder) DO UPDATE SET until = excluded.until
"""
        self._postgres.read(connection, sql, _name(key), list(holders), _seconds(seconds))

    def _amount(self, connection: Any, bucket: Bucket) -> tuple[float, float, bool]:
        """Return what is in a bucket, the seconds until it may fill again, and whether it is drained."""
        sql = """
SELECT amount, extract(epoch FROM clock_timestamp() - at)::float8, drained > clock_timestamp()
FROM {schema}.traffic_buckets_1 WHERE key = %s
"""
        rows = self._postgres.read(connection, sql, _name(bucket.key))
        if not rows:
            return bucket.capacity, 0.0, False
        amount, passed, drained = rows[0]
        filled = min(float(amount) + max(float(passed), 0.0) * bucket.rate, bucket.capacity)
        return filled, max(-float(passed), 0.0), bool(drained)

    def _level(self, connection: Any, bucket: Bucket) -> tuple[float, float]:
        """Return what is in a bucket, and the seconds until it has the amount."""
        amount, later, _ = self._amount(connection, bucket)
        missing = min(bucket.amount, bucket.capacity) - amount
        return amount, 0.0 if missing <= bucket.capacity * 1e-9 else later + missing / bucket.rate

    def _keep(self, connection: Any, bucket: Bucket, amount: float) -> None:
        sql = f"""
INSERT INTO {{schema}}.traffic_buckets_1 AS b (key, amount, at, until) VALUES (%s, %s, clock_timestamp(), {_IN})
ON CONFLICT (key) DO UPDATE SET amount = excluded.amount, at = greatest(b.at, excluded.at),
  until = greatest(b.drained, excluded.until)
"""
        life = (bucket.capacity - amount) / bucket.rate + 1.0
        self._postgres.read(connection, sql, _name(bucket.key), amount, _seconds(life))

    def _read_sum(self, connection: Any, key: str) -> float | None:
        sql = "SELECT amount FROM {schema}.traffic_sums_1 WHERE key = %s AND until > clock_timestamp()"
        rows = self._postgres.read(connection, sql, _name(key))
        return float(rows[0][0]) if rows else None

    def _sum(self, connection: Any, tally: Tally) -> float:
        known = self._read_sum(connection, tally.key)
        return tally.start if known is None else known

    def _put(self, connection: Any, key: str, amount: float, seconds: float) -> None:
        sql = f"""
INSERT INTO {{schema}}.traffic_sums_1 AS s VALUES (%s, %s, {_IN})
ON CONFLICT (key) DO UPDATE SET amount = excluded.amount,
  until = CASE WHEN s.until > clock_timestamp() THEN s.until ELSE excluded.until END
"""
        self._postgres.read(connection, sql, _name(key), amount, _seconds(seconds))


def _name(key: str) -> str:
    """Return a key as Postgres stores it: no NUL and no half of a surrogate pair, and not too long for an index."""
    if len(key) <= 200 and key.isprintable() and key.isascii():
        return key
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _lock_number(schema: str, key: str) -> int:
    digest = hashlib.blake2b(f"{schema} {_name(key)}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def _seconds(seconds: float) -> float:
    return min(max(seconds, 0.001), _LONGEST)

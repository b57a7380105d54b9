"""The state of limits and budgets on a Redis that processes and machines share.

Each method is one script: the death of a client or of the server leaves all of a change or nothing. The time is the
server's, so the clocks of the machines do not matter. All keys expire, and begin with `{NAMESPACE}:1:traffic:`; the
braces keep them on one node of a cluster, as one script may change several.

After that comes `s:KEY` for slots (a sorted set of holders by the end of their lease, in milliseconds), `b:KEY` for
a bucket (a hash: amount, time, and until when it is drained), `p:KEY` for a pause, `t:KEY` for a sum and `f:KEY` for
what it began with, `peers` for the processes that use the state (a sorted set like that of slots), and `state` for the
name of the state.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from llmops_sdk.shared._away import Addition
from llmops_sdk.shared._redis_server import RedisServer
from llmops_sdk.shared._server import SharedServer
from llmops_sdk.shared._state import Bucket, Claim, Grant, Slots, Tally, TallyGrant

__all__ = ["RedisState"]

_CONNECTIONS = 64
_STATE_SECONDS = 40 * 86_400.0
"""Longer than any window but the total one."""
_LONGEST = 10 * 366 * 86_400_000  # milliseconds
_LONGEST_KEY = 200  # characters; a longer one is named by its digest

_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
"""
# What is in a bucket now: the amount, and until when it is drained.
_LEVEL = """
local function level(key, rate, capacity)
  local kept = redis.call('HMGET', key, 'a', 't', 'd')
  local amount, at, drained = tonumber(kept[1]), tonumber(kept[2]), tonumber(kept[3]) or 0
  if not amount or not at then return capacity, now, 0 end
  if now > at then amount = math.min(amount + (now - at) / 1000 * rate, capacity) at = now end
  return amount, at, drained
end
local function keep(key, amount, at, drained, rate, capacity)
  redis.call('HSET', key, 'a', tostring(amount), 't', string.format('%.3f', at), 'd', string.format('%.3f', drained))
  redis.call('PEXPIRE', key, math.ceil(math.max(at - now, 0) + math.max(capacity - amount, 0) / rate * 1000) + 1000)
end
"""
# Works on each key, with its number. ARGV: the holder, then for each key its kind, and limit and milliseconds, or
# amount, rate and capacity.
_EACH = """
local function each(work)
  for number = 1, #KEYS do
    local at = number * 4 - 2
    local one, two, capacity = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local refused = work(KEYS[number], ARGV[at], one, two, capacity, number)
    if refused then return refused end
  end
end
"""
_CLAIM = (
    _NOW
    + _LEVEL
    + _EACH
    + """
local refused = each(function(key, kind, one, two, capacity, number)
  if kind == 's' then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
    if not redis.call('ZSCORE', key, ARGV[1]) and redis.call('ZCARD', key) >= one then return {number, ''} end
  else
    local amount, _, drained = level(key, two, capacity)
    local missing = math.min(one, capacity) - amount
    if missing > capacity * 1e-9 then
      return {number, tostring(math.max(drained - now, 0) / 1000 + missing / two)}
    end
  end
end)
if refused then return refused end
each(function(key, kind, one, two, capacity)
  if kind == 's' then
    redis.call('ZADD', key, now + two, ARGV[1])
    if redis.call('PTTL', key) < two then redis.call('PEXPIRE', key, two) end
  else
    local amount, time, drained = level(key, two, capacity)
    keep(key, amount - math.min(one, capacity), time, drained, two, capacity)
  end
end)
return {0, ''}
"""
)
# Buckets get their amount back.
_RELEASE = (
    _NOW
    + _LEVEL
    + _EACH
    + """
each(function(key, kind, one, two, capacity)
  if kind == 's' then
    redis.call('ZREM', key, ARGV[1])
  else
    local amount, time, drained = level(key, two, capacity)
    if one < 0 or now >= drained then keep(key, math.min(amount + one, capacity), time, drained, two, capacity) end
  end
end)
return 1
"""
)
# ARGV: milliseconds of the lease, 1 to add slots that are not there any more, the holders.
_RENEW = (
    _NOW
    + """
for number = 3, #ARGV do
  if ARGV[2] == '1' then redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[number])
  else redis.call('ZADD', KEYS[1], 'XX', now + ARGV[1], ARGV[number]) end
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 1
"""
)
_DRAIN = (
    _NOW
    + """
local amount = tonumber(redis.call('HGET', KEYS[1], 'a'))
local left, until_ = tonumber(ARGV[1]), now + tonumber(ARGV[2])
if not amount or amount > left then amount = left end
local at = string.format('%.3f', until_)
redis.call('HSET', KEYS[1], 'a', tostring(amount), 't', at, 'd', at)
redis.call('PEXPIRE', KEYS[1], math.ceil(ARGV[2]) + 120000)
return 1
"""
)
_PAUSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) end
return 1
"""
# KEYS: each sum, then what each began with. ARGV: for each sum the amount, the limit or "", milliseconds, the start.
_RESERVE = """
local sums, refused, count = {}, 0, #KEYS / 2
for number = 1, count do
  local at = (number - 1) * 4
  local sum = tonumber(redis.call('GET', KEYS[number]) or ARGV[at + 4])
  sums[number] = sum
  if refused == 0 and ARGV[at + 2] ~= '' and sum + ARGV[at + 1] > tonumber(ARGV[at + 2]) then refused = number end
end
for number = 1, count do
  local at = (number - 1) * 4
  if refused == 0 then
    if redis.call('EXISTS', KEYS[number]) == 0 then
      redis.call('SET', KEYS[number], ARGV[at + 4], 'PX', ARGV[at + 3])
      redis.call('SET', KEYS[count + number], ARGV[at + 4], 'PX', ARGV[at + 3])
    end
    sums[number] = redis.call('INCRBYFLOAT', KEYS[number], ARGV[at + 1])
  end
  sums[number] = tostring(sums[number])
end
return {refused, sums}
"""
# KEYS as above. ARGV: for each sum what is added, milliseconds (above 0 for one that may have to be made), and what it
# was at the last contact. Of several processes that bring back a sum which the server has lost, the highest counts.
_ADD = """
local count = #KEYS / 2
for number = 1, count do
  local added, life, floor = tonumber(ARGV[number * 3 - 2]), tonumber(ARGV[number * 3 - 1]), ARGV[number * 3]
  local sum, begun = KEYS[number], KEYS[count + number]
  local start = tonumber(redis.call('GET', begun) or 'nan')
  if redis.call('EXISTS', sum) == 0 then
    if life > 0 then
      redis.call('SET', sum, floor, 'PX', life)
      redis.call('SET', begun, floor, 'PX', life)
    end
  elseif start and ARGV[number * 3 - 1] ~= '0' and tonumber(floor) > start then
    added = added + tonumber(floor) - start
    redis.call('SET', begun, floor, 'KEEPTTL')
  end
  if redis.call('EXISTS', sum) == 1 then redis.call('INCRBYFLOAT', sum, string.format('%.12f', added)) end
end
return 1
"""
# ARGV: the process, milliseconds, a name for a new state, its milliseconds.
_PEERS = (
    _NOW
    + """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'NX')
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return {redis.call('ZCARD', KEYS[1]), redis.call('GET', KEYS[2])}
"""
)


class RedisState:
    """A `SharedState` on a Redis or Valkey.

    Args:
        server: The server.
    """

    def __init__(self, server: SharedServer) -> None:
        self._redis = RedisServer(server, connections=_CONNECTIONS)
        self._place = server.place
        self._prefix = f"{{{server.namespace}}}:1:traffic:"

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
        refused, wait = self._redis.run(_CLAIM, self._claim_keys(claims), [holder, *_claim_values(claims)])
        if not refused:
            return Grant()
        return Grant(claims[int(refused) - 1].key, float(wait) if wait else None)

    def renew(self, holder: str, claims: Sequence[Slots]) -> None:
        """Keep the slots of a holder for another lease."""
        for claim in claims:
            self._renew(claim.key, [holder], claim.seconds, adds=False)

    def adopt(self, key: str, holders: Sequence[str], seconds: float) -> None:
        """Add the holders of slots that were granted while the server was away, also above the limit.

        Args:
            key: The key of the slots.
            holders: The holders.
            seconds: Their lease.
        """
        self._renew(key, holders, seconds, adds=True)

    def _renew(self, key: str, holders: Sequence[str], seconds: float, *, adds: bool) -> None:
        self._redis.run(_RENEW, [self._key("s", key)], [_milliseconds(seconds), int(adds), *holders])

    def release(self, holder: str, claims: Sequence[Claim], *, refund: Sequence[Bucket] = ()) -> None:
        """Give the slots of a holder back, and correct buckets."""
        changed: list[Claim] = [*(claim for claim in claims if isinstance(claim, Slots)), *refund]
        if changed:
            self._redis.run(_RELEASE, self._claim_keys(changed), [holder, *_claim_values(changed)])

    def drain(self, key: str, amount: float, seconds: float) -> None:
        """Let at most `amount` be in a bucket for the next seconds."""
        self._redis.run(_DRAIN, [self._key("b", key)], [repr(amount), _milliseconds(seconds)])

    def pause(self, key: str, seconds: float) -> None:
        """Note that nothing may pass for some seconds; a longer pause in force stays."""
        self._redis.run(_PAUSE, [self._key("p", key)], [_milliseconds(seconds)])

    def paused(self, key: str) -> float:
        """Return the seconds until the pause ends; 0.0 if there is none."""
        left = self._redis.use(lambda client: client.pttl(self._key("p", key)))
        return max(int(left), 0) / 1000

    def reserve(self, tallies: Sequence[Tally]) -> TallyGrant:
        """Reserve every amount, or none."""
        if not tallies:
            return TallyGrant(None, ())
        values: list[Any] = []
        for one in tallies:
            limit = "" if one.limit is None else _number(one.limit)
            values += [_number(one.amount), limit, _milliseconds(one.seconds), _number(one.start)]
        refused, sums = self._redis.run(_RESERVE, self._sum_keys([one.key for one in tallies]), values)
        return TallyGrant(int(refused) - 1 if refused else None, tuple(map(float, sums)))

    def settle(self, tallies: Sequence[Tally], actual: Sequence[float]) -> None:
        """Replace reserved amounts by the actual ones."""
        self.add(
            {
                one.key: Addition(amount - one.amount, 0.0)
                for one, amount in zip(tallies, actual, strict=True)
                if amount != one.amount
            }
        )

    def add(self, sums: Mapping[str, Addition]) -> None:
        """Add amounts to sums."""
        if sums:
            values: list[Any] = []
            for one in sums.values():
                values += [_number(one.amount), _milliseconds(one.seconds) if one.seconds > 0 else 0]
                values.append(_number(one.floor))
            self._redis.run(_ADD, self._sum_keys(sums), values)

    def peers(self, name: str, seconds: float) -> tuple[int, str]:
        """Announce this process for some seconds; return how many processes there are, and the state's name."""
        keys = [f"{self._prefix}peers", f"{self._prefix}state"]
        values = [name, _milliseconds(seconds), os.urandom(8).hex(), _milliseconds(_STATE_SECONDS)]
        count, state = self._redis.run(_PEERS, keys, values)
        return int(count), bytes(state).decode("ascii", "replace")

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._redis.disconnect()

    def _sum_keys(self, keys: Iterable[str]) -> list[str]:
        return [self._key(kind, key) for kind in ("t", "f") for key in keys]

    def _claim_keys(self, claims: Sequence[Claim]) -> list[str]:
        return [self._key("s" if isinstance(claim, Slots) else "b", claim.key) for claim in claims]

    def _key(self, kind: str, key: str) -> str:
        if len(key) > _LONGEST_KEY:
            key = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return f"{self._prefix}{kind}:{key.encode('utf-8', 'backslashreplace').decode()}"


def _claim_values(claims: Sequence[Claim]) -> list[Any]:
    values: list[Any] = []
    for claim in claims:
        if isinstance(claim, Slots):
            values += ["s", claim.limit, _milliseconds(claim.seconds), ""]
        else:
            values += ["b", _number(claim.amount), _number(claim.rate), _number(claim.capacity)]
    return values


def _milliseconds(seconds: float) -> int:
    return min(max(int(seconds * 1_000), 1), _LONGEST)


def _number(value: float) -> str:
    """Return a number as INCRBYFLOAT reads it: without an exponent."""
    return f"{value:.12f}"

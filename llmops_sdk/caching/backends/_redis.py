"""Bytes by key on a Redis or Valkey that processes and machines share.

Each change is one script, so that the death of a client or of the server leaves all
of it or nothing. Values are bytes that nobody unpickles.

The keys of a tier begin with `NAMESPACE:1:TIER:`. Then `v:KEY` is an entry: a hash with the value and the ids of its
tags. `t:ID` has the keys of a tag by their expiry, `f:KEY` the leader of a flight, and `m:KEY` its mark. All expire.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.caching.backends._leases import LEASE, LONGEST, Leases
from llmops_sdk.shared._redis_server import RedisServer
from llmops_sdk.shared._server import SharedServer, tag_id

__all__ = ["RedisBackend"]

_LONGEST = 30 * 86_400.0
"""Seconds after which an entry without a time to live ends, too."""
_MARK_SECONDS = 60.0
_MOST_BYTES = 64 * 1024 * 1024
"""The largest value that is read; nobody writes one."""
_MOST_OF_TAG = 100_000
"""The most entries of one tag; above it those that expire first are removed."""
_PAGE = 1_000
_COUNT_SECONDS = 1.0
"""After this time `size` returns what it has counted so far."""

_NOW = "local time = redis.call('TIME') local now = time[1] * 1000 + math.floor(time[2] / 1000) "

_GET = """
local size = redis.pcall('HSTRLEN', KEYS[1], 'v')
if type(size) == 'number' and size > 0 and size <= tonumber(ARGV[1]) then
  local value = redis.pcall('HGET', KEYS[1], 'v')
  if type(value) == 'string' then return value end
end
if size ~= 0 then redis.call('UNLINK', KEYS[1]) end
return false
"""
# KEYS: the entry, the set of each tag. ARGV: value, milliseconds, key, most entries of a tag, prefix, id of each tag.
_SET = (
    _NOW
    + """
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[1], 'v', ARGV[1], 't', table.concat(ARGV, ' ', 6))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
for number = 2, #KEYS do
  local tag, id = KEYS[number], ARGV[number + 4]
  if redis.call('TYPE', tag).ok ~= 'zset' then redis.call('UNLINK', tag) end
  redis.call('ZREMRANGEBYSCORE', tag, '-inf', now)
  redis.call('ZADD', tag, now + ARGV[2], ARGV[3])
  if redis.call('PTTL', tag) < tonumber(ARGV[2]) then redis.call('PEXPIRE', tag, ARGV[2]) end
  while redis.call('ZCARD', tag) > tonumber(ARGV[4]) do
    local entry = ARGV[5] .. redis.call('ZPOPMIN', tag)[1]
    local tags = redis.pcall('HGET', entry, 't')
    if type(tags) == 'string' and string.find(tags, id, 1, true) then redis.call('UNLINK', entry) end
  end
end
return 1
"""
)
# The tags of an entry that has replaced another decide, not what is left of the older one in the sets.
_DELETE_TAG = """
local count = 0
if redis.call('TYPE', KEYS[1]).ok ~= 'zset' then redis.call('UNLINK', KEYS[1]) return {0, 0} end
local keys = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
for _, key in ipairs(keys) do
  local tags = redis.pcall('HGET', ARGV[2] .. key, 't')
  if type(tags) == 'string' and string.find(tags, ARGV[3], 1, true) then
    count = count + redis.call('UNLINK', ARGV[2] .. key)
  end
  redis.call('ZREM', KEYS[1], key)
end
return {count, #keys}
"""
_ACQUIRE = """
local leader = redis.pcall('GET', KEYS[1])
if type(leader) == 'string' and leader ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RENEW = """
return redis.pcall('GET', KEYS[1]) == ARGV[1] and redis.call('PEXPIRE', KEYS[1], ARGV[2]) or 0
"""
_RELEASE = """
if redis.pcall('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] ~= '' then redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3]) end
return redis.call('DEL', KEYS[1])
"""


class RedisBackend:
    """A `CacheBackend` on a Redis.

    There is no memory of entries in front (`generation` is None): a removal counts for every process at once. Redis
    decides what it evicts (`maxmemory-policy`).

    Args:
        server: The server.
        tier: The tier.
        max_bytes: Values above an eighth of it are not stored.
        lease: Seconds after which the lead of a process that has died ends.
    """

    workers = 4

    def __init__(self, server: SharedServer, tier: str, *, max_bytes: int | None = None, lease: float = LEASE) -> None:
        self._redis = RedisServer(server, connections=4 * self.workers)
        self.place = f"{server.place} {tier}"
        self._prefix = f"{server.namespace}:1:{tier}:"
        self._largest = _MOST_BYTES if max_bytes is None else min(max_bytes // 8, _MOST_BYTES)
        self._leases = Leases(self.renew, self._leads_ended, lease)
        self._closed = False

    def get(self, key: str) -> bytes | None:
        value = self._redis.run(_GET, [self._entry(key)], [_MOST_BYTES])
        return value if type(value) is bytes else None

    def set(self, key: str, value: bytes, ttl: float | None, tags: Sequence[str]) -> bool:
        if len(value) > self._largest:
            return False
        ids = [tag_id(tag) for tag in tags]
        keys = [self._entry(key), *(f"{self._prefix}t:{one}" for one in ids)]
        milliseconds = _milliseconds(_LONGEST if ttl is None else min(ttl, _LONGEST))
        self._redis.run(_SET, keys, [value, milliseconds, key, _MOST_OF_TAG, self._entry(""), *ids])
        return True

    def discard(self, key: str) -> None:
        self._redis.use(lambda client: client.unlink(self._entry(key)))

    def delete(self, key: str) -> int:
        pattern = f"{_literal(self._entry(key))}*"
        return self._redis.use(lambda client: _unlink(client, client.scan_iter(pattern, count=_PAGE)))

    def delete_tag(self, tag: str) -> int:
        one, count, seen = tag_id(tag), 0, _PAGE
        while seen == _PAGE:
            removed, seen = self._redis.run(_DELETE_TAG, [f"{self._prefix}t:{one}"], [_PAGE, self._entry(""), one])
            count += int(removed)
        return count

    def clear(self) -> int:
        def remove(client: Any) -> int:
            _unlink(client, client.scan_iter(f"{self._prefix}t:*", count=_PAGE))
            return _unlink(client, client.scan_iter(f"{self._entry('')}*", count=_PAGE))

        return self._redis.use(remove)

    def size(self) -> tuple[int, int]:
        """Return the number of entries and the bytes of their values; both may be too small on a large server."""
        return self._redis.use(lambda client: _size(client, f"{self._entry('')}*"))

    def generation(self) -> None:
        return None

    def invalidated(self) -> None:
        """Do nothing: no process remembers an entry."""

    def acquire(self, key: str, token: str, seconds: float = LONGEST) -> bool:
        first = self._leases.first(seconds)
        leads = self._redis.run(_ACQUIRE, [f"{self._prefix}f:{key}"], [token, _milliseconds(first)]) == 1
        if leads:
            self._closed = False
            self._leases.hold(key, token, seconds)
        return leads

    def renew(self, key: str, token: str, seconds: float = LEASE) -> bool:
        return self._redis.run(_RENEW, [f"{self._prefix}f:{key}"], [token, _milliseconds(seconds)]) == 1

    def release(self, key: str, token: str, note: str) -> None:
        self._leases.drop(token)
        mark = os.urandom(8).hex() if note else ""
        keys = [f"{self._prefix}f:{key}", f"{self._prefix}m:{key}"]
        self._redis.run(_RELEASE, keys, [token, mark, _milliseconds(_MARK_SECONDS)])

    def mark(self, key: str) -> str:
        def read(client: Any) -> Any:
            try:
                return client.get(f"{self._prefix}m:{key}")
            except self._redis.response_error:
                return None  # a list, or the like: nobody here wrote it

        value = self._redis.use(read)
        return value[:64].decode("ascii", "replace") if type(value) is bytes else ""

    def close(self) -> None:
        self._closed = True
        self._redis.disconnect()

    def _leads_ended(self) -> None:
        if self._closed:
            self._redis.disconnect()

    def _entry(self, key: str) -> str:
        return f"{self._prefix}v:{key}"


def _literal(text: str) -> str:
    """Return the pattern that only this text matches."""
    return re.sub(r"([*?\[\]\\^-])", r"\\\1", text)


def _milliseconds(seconds: float) -> int:
    return max(int(seconds * 1_000), 1)


def _pages(keys: Iterable[Any]) -> Iterator[list[Any]]:
    page: list[Any] = []
    for key in keys:
        page.append(key)
        if len(page) == _PAGE:
            yield page
            page = []
    if page:
        yield page


def _unlink(client: Any, keys: Iterable[Any]) -> int:
    return sum(int(client.unlink(*page)) for page in _pages(keys))


def _size(client: Any, pattern: str) -> tuple[int, int]:
    count, size, until = 0, 0, SYSTEM_CLOCK.monotonic() + _COUNT_SECONDS
    for page in _pages(client.scan_iter(pattern, count=_PAGE)):
        with client.pipeline(transaction=False) as pipeline:
            for key in page:
                pipeline.hstrlen(key, "v")
            sizes = [one for one in pipeline.execute(raise_on_error=False) if type(one) is int]
        count, size = count + len(sizes), size + sum(sizes)
        if SYSTEM_CLOCK.monotonic() > until:
            break
    return count, size

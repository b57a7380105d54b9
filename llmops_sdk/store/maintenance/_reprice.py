"""`reprice`: compute the costs of stored calls again after prices were mended."""
# ruff: noqa: S608 - statements are put together from constants

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._public import public
from llmops_sdk.errors import StoreError
from llmops_sdk.pricing._find import find_price
from llmops_sdk.store.duck._rebuild import ensure_manifest
from llmops_sdk.store.files._locks import exclusive_lock
from llmops_sdk.store.files._manifest import DataFile, Manifest, read_manifest
from llmops_sdk.store.maintenance._compact_now import compact
from llmops_sdk.store.maintenance._data_files import rewrite_file
from llmops_sdk.store.maintenance._retention import moment_ns
from llmops_sdk.store.reading._query import StorePath, query, store_folder

if TYPE_CHECKING:
    from llmops_sdk.store.duck._parquet import ParquetWriter

__all__ = ["Repriced", "reprice"]

_WAIT = 60.0
_LARGEST = 2**63 - 1
_KEY = ("provider", "model", "request_model", "named", "server")
_COLUMNS = (
    ", ".join(f"p_{name} VARCHAR" for name in _KEY)
    + ", p_over BIGINT, p_upto BIGINT, p_input DOUBLE, p_output DOUBLE, "
    "p_read DOUBLE, p_write DOUBLE, p_configured BOOLEAN"
)
_NAMED = "attributes ->> '$.\"llmops.model.name\"'"
_SERVER = "attributes ->> '$.\"server.address\"'"
_SOURCES = dict(zip(_KEY, ("provider", "model", "request_model", _NAMED, _SERVER), strict=True))
_OLDER_WRITES = "TRY_CAST(attributes ->> '$.\"gen_ai.usage.cache_creation.input_tokens\"' AS BIGINT)"
_WRITES_SINCE = 3  # the schema version that added cache_write_tokens


@public("llmops_sdk.store")
@dataclass(frozen=True, slots=True, kw_only=True)
class Repriced:
    """The costs that `reprice` changed, or would change.

    Attributes:
        calls: Calls whose cost changed.
        before: Their cost before, in USD; unknown costs count as 0.
        after: Their cost now, in USD.
        left: Calls in files that a living process still writes; they keep their costs.
    """

    calls: int = 0
    before: float = 0.0
    after: float = 0.0
    left: int = 0


def reprice(
    *,
    since: timedelta | datetime | None = None,
    dry_run: bool = False,
    path: StorePath | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Repriced:
    """Compute the costs of stored calls again, by the prices in force.

    Calls of models in `[prices]` get that price. Calls without a cost get the price of the built-in table, if it has
    the model. Other calls keep their costs. Of answers from our cache the saved cost changes. The costs of single
    attempts stay, and so do spans that were exported. The store is compacted first, also for a dry run.

    Args:
        since: An age or a time, naive times in UTC; earlier calls keep their costs. None means all calls.
        dry_run: Count only.
        path: The store's folder; by default the configured one.
        progress: Called with the files done and the total.

    Raises:
        StoreError: The store cannot be read or written, or another process is changing it.

    Example:
        >>> from llmops_sdk.store import reprice
        >>> reprice(dry_run=True).calls
        0
    """
    folder = store_folder(path)
    is_busy = compact(path=folder).busy  # costs change in Parquet files only
    if not folder.is_dir():
        return Repriced()
    ensure_manifest(folder)
    with exclusive_lock(folder, 0.0 if is_busy else _WAIT) as acquired:
        if not acquired:
            raise StoreError(f"{folder} is being changed by another process: try again later", path=str(folder))
        try:
            return _Repricing(folder, 0 if since is None else moment_ns(since), dry_run=dry_run).run(progress)
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be repriced: {error.strerror or error}; make it writable, free space, and try again "
                "to change the rest",
                path=str(folder),
            ) from error


class _Repricing:
    """One run. The caller must hold the store's lock."""

    def __init__(self, store: Path, since_ns: int, *, dry_run: bool) -> None:
        self._store = store
        self._dry_run = dry_run
        self._calls = (
            f"kind IN ('llm', 'embedding') AND start_ns >= {since_ns} "
            "AND coalesce(input_tokens, output_tokens) IS NOT NULL"
        )

    def run(self, progress: Callable[[int, int], None] | None) -> Repriced:
        from llmops_sdk.store.duck._parquet import ParquetWriter
        from llmops_sdk.store.duck._views_file import write_views

        manifest = read_manifest(self._store) or Manifest()
        files = [file for file in manifest.files if file.stream == "spans"]
        calls, before, after, compacted = 0, 0.0, 0.0, 0
        with contextlib.closing(ParquetWriter()) as writer:
            writer.put_prices(_COLUMNS, list(self._prices()))
            for done, file in enumerate(files, 1):
                found = self._count(writer, file)
                compacted += found[0]
                if found[1]:
                    calls, before, after = calls + found[1], before + found[2], after + found[3]
                    if not self._dry_run:
                        manifest = rewrite_file(self._store, manifest, file, writer, values=self._values(file))
                if progress is not None:
                    progress(done, len(files))
        if calls and not self._dry_run:
            write_views(self._store, manifest)
        total = query(f"SELECT count(*) FROM store.spans WHERE {self._calls}", path=self._store).rows()[0][0]
        return Repriced(calls=calls, before=before, after=after, left=max(total - compacted, 0))

    def _prices(self) -> Iterator[Sequence[object]]:
        """Yield the rows of `new_prices`: one for each tier of the price of each kind of call."""
        listed = ", ".join(_SOURCES.values())
        statement = f"SELECT DISTINCT {listed} FROM store.spans WHERE {self._calls}"
        for key in query(statement, path=self._store).rows():
            provider, model, request_model, named, server = key
            models = [name for name in (named, model, request_model) if name]
            configured = find_price(provider, models, server, builtin=False)
            price = configured or find_price(provider, models, server)
            if price is None:
                continue
            ends = [over for over, _ in price.tiers[1:]] + [_LARGEST]
            for (over, one), upto in zip(price.tiers, ends, strict=True):
                read = one.input if one.cache_read is None else one.cache_read
                write = one.input if one.cache_write is None else one.cache_write
                yield *key, over, upto, one.input, one.output, read, write, configured is not None

    def _count(self, writer: ParquetWriter, file: DataFile) -> tuple[Any, ...]:
        """Return how many calls a file has, how many costs change, and the sums of these before and after."""
        values = self._values(file)
        new = f"CASE WHEN cache IS NULL THEN {values['cost']} ELSE {values['saved_cost']} END"
        old = "CASE WHEN cache IS NULL THEN cost ELSE saved_cost END"
        changed = f"coalesce(abs(({new}) - ({old})) > 1e-9 * abs({new}), ({new}) IS NOT NULL)"
        return writer.sums(
            [self._store / file.name],
            [
                "count(*)",
                f"count(*) FILTER ({changed})",
                f"coalesce(sum({old}) FILTER ({changed}), 0)",
                f"coalesce(sum({new}) FILTER ({changed}), 0)",
            ],
            self._calls,
        )

    def _values(self, file: DataFile) -> dict[str, str]:
        """Return the SQL of both costs in a file."""
        writes = "cache_write_tokens" if file.version >= _WRITES_SINCE else _OLDER_WRITES
        counts = ("input_tokens", "output_tokens", "cache_read_tokens", writes)
        given, answered, read, write = (f"greatest(coalesce({count}, 0), 0)" for count in counts)
        same = " AND ".join(f"p_{name} IS NOT DISTINCT FROM ({source})" for name, source in _SOURCES.items())
        # As `pricing._cost.token_cost` does.
        plain = f"CASE WHEN {read} + {write} <= {given} THEN {given} - {read} - {write} ELSE {given} END"
        price = (
            f"(SELECT (({plain}) * p_input"
            f" + {read} * p_read + {write} * p_write + {answered} * p_output) / 1000000"
            f" FROM new_prices WHERE {same} AND {given} > p_over AND {given} <= p_upto"
            " AND (p_configured OR (cost IS NULL AND attempts IS NULL AND simulated IS NOT TRUE)))"
        )
        return {
            "cost": f"CASE WHEN {self._calls} AND cache IS NULL THEN coalesce({price}, cost) ELSE cost END",
            "saved_cost": f"CASE WHEN {self._calls} AND cache IS NOT NULL THEN coalesce({price}, saved_cost) "
            "ELSE saved_cost END",
        }

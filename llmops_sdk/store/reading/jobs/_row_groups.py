"""When the rows of Parquet files are: their footers tell it for each row group, and are read once."""
# ruff: noqa: S608 - the statement has names of columns and quoted names of files

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from llmops_sdk.store.files._layout import Sources
from llmops_sdk.store.files._manifest import DataFile
from llmops_sdk.store.reading.jobs._job import QueryJob, run_job

__all__ = ["LatestSlice", "RowGroup", "latest_slice", "row_groups"]

_MOST_FILES = 20_000


class RowGroup(NamedTuple):
    """The rows of a group, and the time of the oldest and the newest in nanoseconds since the epoch."""

    rows: int
    oldest: int
    newest: int


# A file of this name never changes: what replaces it has another name. Without a lock, which a fork could copy locked:
# to read a footer twice does no harm.
_known: dict[str, list[RowGroup]] = {}


class LatestSlice(NamedTuple):
    """A time slice up to the newest row.

    Attributes:
        start: Its start.
        most_rows: The rows of all groups that reach into it.
        oldest: The time of the oldest row of all groups.
        newest: The time of the newest one.
    """

    start: int
    most_rows: int
    oldest: int
    newest: int


def row_groups(folder: Path, stream: str, column: str, *, least: int, timeout: float | None) -> list[RowGroup]:
    """Return the row groups of a stream's Parquet files; none if the files have fewer rows than `least`.

    Args:
        folder: The store's folder.
        stream: The stream's name.
        column: The column with the time.
        least: The rows from which on they are wanted.
        timeout: Seconds, or None.

    Raises:
        QueryError: It took too long.
        StoreError: The store cannot be read.
    """
    return run_job(_RowGroupsJob(folder, stream, column, least, timeout))


def latest_slice(groups: Iterable[RowGroup], rows: int, until: int | None) -> LatestSlice | None:
    """Return a slice with about this many rows, as if those of a group were spread evenly; None if there are fewer.

    Args:
        groups: The row groups.
        rows: The rows wanted.
        until: The end of the slice, or None for no end.

    Example:
        >>> latest_slice([RowGroup(100, 0, 99), RowGroup(100, 100, 199)], 50, None)
        LatestSlice(start=150, most_rows=100, oldest=0, newest=199)
    """
    cut = [one for one in groups if until is None or one.oldest < until]
    if not cut:
        return None
    changes: list[tuple[int, float]] = []
    for one in cut:
        density = one.rows / (one.newest - one.oldest + 1)
        newest = one.newest if until is None else min(one.newest, until - 1)
        changes += [(newest + 1, density), (one.oldest, -density)]
    changes.sort(reverse=True)
    newest = place = changes[0][0]
    found, density, start = 0.0, 0.0, None
    for time, change in changes:
        gained = density * (place - time)
        if found + gained >= rows:
            start = place - int((rows - found) / density)
            break
        found, density, place = found + gained, density + change, time
    if start is None:
        return None
    most = sum(one.rows for one in cut if one.newest >= start)
    return LatestSlice(start, most, min(one.oldest for one in cut), newest - 1)


class _RowGroupsJob(QueryJob[list[RowGroup]]):
    def __init__(self, folder: Path, stream: str, column: str, least: int, timeout: float | None) -> None:
        super().__init__(f"row groups of {stream}", folder, timeout)
        self._stream = stream
        self._column = column
        self._least = least

    def _check(self) -> None:
        """Do nothing: the statement is a constant, and calls what others may not."""

    def _read(self, sources: Sources) -> list[RowGroup]:
        files = [file for file in sources.files if file.stream == self._stream]
        if sum(file.rows for file in files) < self._least:
            return []
        names = [str(sources.folder / file.name) for file in files]
        found = {name: groups for name in names if (groups := _known.get(name)) is not None}
        missing = [file for file, name in zip(files, names, strict=True) if name not in found]
        if missing:
            found |= self._read_footers(sources, missing)
            if len(_known) > _MOST_FILES:
                _known.clear()
            _known.update(found)
        return [group for groups in found.values() for group in groups]

    def _read_footers(self, sources: Sources, files: list[DataFile]) -> dict[str, list[RowGroup]]:
        from llmops_sdk.store.duck._sql import pattern, quoted
        from llmops_sdk.store.reading._warm import WarmConnection

        warm = WarmConnection.acquire(sources, ())
        paths = [sources.folder / file.name for file in files]
        with self._using(warm.connection):
            rows = warm.connection.execute(
                "SELECT file_name, row_group_num_rows, stats_min_value::BIGINT, stats_max_value::BIGINT "
                f"FROM parquet_metadata([{', '.join(quoted(pattern(path)) for path in paths)}]) "
                "WHERE path_in_schema = $1 AND stats_min_value IS NOT NULL AND stats_max_value IS NOT NULL",
                [self._column],
            ).fetchall()
        warm.release()
        found: dict[str, list[RowGroup]] = {str(path): [] for path in paths}
        for name, *group in rows:
            found[str(name)].append(RowGroup(*group))
        return found

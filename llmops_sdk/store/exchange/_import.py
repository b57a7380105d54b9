"""Import files that `export` wrote, and OTLP JSON from other tools: each file completely or not at all."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmops_sdk._util._public import public
from llmops_sdk.errors import StoreError
from llmops_sdk.store.exchange._export import ExportForm
from llmops_sdk.store.exchange._foreign_records import ForeignRecords
from llmops_sdk.store.exchange._import_files import form_of, otlp_requests, table_records
from llmops_sdk.store.exchange._import_stage import Stage, stage_in
from llmops_sdk.store.files._layout import create_store
from llmops_sdk.store.reading._query import StorePath, store_folder
from llmops_sdk.store.schema._views import RECORD_STREAMS, stream_name
from llmops_sdk.tracing.records._records import RecordedSpan, ScoreRecord

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["Imported", "import_file"]

_COUNTED = ("spans", "scores", "losses")
_BATCH = 512  # records written at once
_BATCH_BYTES = 16 * 1024 * 1024


@public("llmops_sdk.store")
@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The result of an import.

    Attributes:
        file: The file.
        form: Its form.
        spans: Spans that are now in the store, or would be without `dry_run`.
        scores: Scores, likewise.
        losses: Losses, likewise.
        others: Records of other kinds, likewise, by the name of their view.
        present: Records that the store already had; the import skipped them.
        rejected: Spans and scores in OTLP that could not be read; the view `losses` counts them.
        ignored: Log records that are not scores, and counts of lines that the other store could not read.
        problems: The reasons of the first few rejections.
    """

    file: Path
    form: ExportForm
    spans: int = 0
    scores: int = 0
    losses: int = 0
    others: Mapping[str, int] = field(default_factory=dict[str, int])
    present: int = 0
    rejected: int = 0
    ignored: int = 0
    problems: tuple[str, ...] = ()


def import_file(
    file: StorePath,
    *,
    form: ExportForm | None = None,
    force: bool = False,
    dry_run: bool = False,
    path: StorePath | None = None,
    progress: Callable[[int, int, int], None] | None = None,
) -> Imported:
    """Import the spans, scores or losses of a file: all of them, or none if it fails.

    The file is one that `export` wrote, or OTLP JSON from other tools (a request a line, or one request), also gzipped.
    Redaction and `[capture] content` apply as for the program's own spans.

    Args:
        file: The file.
        form: "parquet", "jsonl", "csv" or "otlp"; by default as the name ends and the first line shows.
        force: Import records even if the store already has them.
        dry_run: Only count; write nothing.
        path: The store's folder, created if missing; by default the configured one.
        progress: Called now and then with the records so far, the bytes read and the total bytes (both 0 if unknown).

    Raises:
        StoreError: The file is torn, has another form or unknown columns, or the store cannot be read or written.
        ValueError: The form is unknown.

    Example:
        >>> from tempfile import mkdtemp
        >>> from llmops_sdk.store import export, import_file
        >>> file = mkdtemp() + "/spans.parquet"
        >>> rows = export(file).rows
        >>> import_file(file, path=mkdtemp()).spans == rows
        True
    """
    from llmops_sdk.config import current

    source = Path(file).expanduser().absolute()
    if not source.is_file():
        raise StoreError(f"{source} does not exist or is not a file", path=str(source))
    folder = store_folder(path)
    chosen = form_of(source, form)
    place: AbstractContextManager[Path]
    if dry_run:
        place = _temporary_folder()
    else:
        create_store(folder)
        place = stage_in(folder)
    with place as staging:
        return _FileImport(source, chosen, current(), progress).run(staging, folder, force=force, dry_run=dry_run)


@contextmanager
def _temporary_folder() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="llmops-") as folder:
        yield Path(folder)


class _FileImport:
    """The import of one file."""

    def __init__(
        self, file: Path, form: ExportForm, settings: Settings, progress: Callable[[int, int, int], None] | None
    ) -> None:
        self._file = file
        self._form: ExportForm = form
        self._prepare = ForeignRecords(settings)
        self._max_bytes = settings.store.max_bytes
        self._progress = progress
        self._size = file.stat().st_size
        self._read = 0
        self._counts: Counter[str] = Counter()
        self._rejected = 0
        self._ignored = 0
        self._problems: list[str] = []
        self._pending: list[Any] = []
        self._pending_bytes = 0

    def run(self, staging: Path, folder: Path, *, force: bool, dry_run: bool) -> Imported:
        stage = Stage(staging)
        try:
            if self._form == "otlp":
                self._add_requests(stage)
            else:
                self._add_rows(stage)
            self._flush(stage)
        finally:
            stage.close()
        present: Counter[str] = Counter()
        if not force and folder.is_dir():
            for stream in RECORD_STREAMS.values():
                # The stage may have losses of its own, which are not rows of the file.
                if self._counts[stream.name]:
                    present[stream.name] = stage.drop_present(folder, stream)
        if not dry_run and present.total() < max(self._counts.total(), 1):
            stage.move_to(folder)
        return Imported(
            file=self._file,
            form=self._form,
            **{name: self._counts[name] - present[name] for name in _COUNTED},
            others={name: count - present[name] for name, count in self._counts.items() if name not in _COUNTED},
            present=present.total(),
            rejected=self._rejected,
            ignored=self._ignored,
            problems=tuple(self._problems),
        )

    def _check_size(self, stage: Stage) -> None:
        # The next writer would drop an import larger than max_bytes, and everything older.
        size = sum(
            file.stat().st_size for stream in RECORD_STREAMS.values() if (file := stage.segment(stream)) is not None
        )
        if size > self._max_bytes:
            raise StoreError(
                f"{self._file} takes {size:,} bytes, more than the store's limit of {self._max_bytes:,}: raise "
                "[store] max_bytes (LLMOPS_STORE__MAX_BYTES). Nothing of this file was imported",
                path=str(self._file),
            )

    def _add_requests(self, stage: Stage) -> None:
        for decoded in otlp_requests(self._file, self._on_read):
            self._rejected += decoded.rejected
            self._ignored += decoded.ignored
            self._problems += decoded.problems[: 5 - len(self._problems)]
            self._add([*decoded.spans, *decoded.scores, *decoded.details], stage)
            if decoded.losses:
                stage.write(self._prepare([], decoded.losses))

    def _add_rows(self, stage: Stage) -> None:
        for _, records, ignored in table_records(self._file, self._form, self._on_read):
            self._ignored += ignored
            self._add(records, stage)

    def _add(self, records: list[Any], stage: Stage) -> None:
        for record in records:
            span = isinstance(record, RecordedSpan)
            self._counts[stream_name(record)] += 1
            self._pending.append(record)
            if span:
                self._pending_bytes += len(record.input or b"") + len(record.output or b"")
            if len(self._pending) >= _BATCH or self._pending_bytes >= _BATCH_BYTES:
                self._flush(stage)

    def _flush(self, stage: Stage) -> None:
        redacted = [record for record in self._pending if isinstance(record, (RecordedSpan, ScoreRecord))]
        others = [record for record in self._pending if not isinstance(record, (RecordedSpan, ScoreRecord))]
        spans = sum(isinstance(record, RecordedSpan) for record in redacted)
        lost = spans - stage.write([*self._prepare(redacted), *others])
        self._counts["spans"] -= lost
        self._rejected += lost
        self._pending.clear()
        self._pending_bytes = 0
        self._check_size(stage)  # now, not when the disk is full
        if self._progress is not None:
            self._progress(self._counts.total(), self._read, self._size if self._read else 0)

    def _on_read(self, read: int) -> None:
        self._read = read

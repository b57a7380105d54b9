"""`import_file`: what `export` wrote, and OTLP JSON of others, into a store; a file is imported whole or not at all."""

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
from llmops_sdk.store.exchange._import_files import form_of, otlp_requests, table_records
from llmops_sdk.store.exchange._import_stage import Stage, stage_in
from llmops_sdk.store.exchange._intake import Intake
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
    """What came of an import.

    Attributes:
        file: The file.
        form: What form it had.
        spans: Spans that are in the store now, or would be after a dry run.
        scores: Scores, likewise.
        losses: Losses, likewise.
        others: Records of other kinds, likewise, by the name of their view.
        present: Spans, scores and losses that the store had already; they were passed over.
        rejected: Spans and scores of OTLP that could not be read; the view `losses` counts them.
        ignored: What is none of these: log records that are no scores, and what the other store could not read.
        problems: Why some were rejected: the first few.
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
    """Put the spans, scores or losses of a file into a store: all of them, or when it fails none.

    It takes what `export` writes, and OTLP JSON of others: a request a line or one as a whole, also compressed by gzip.
    Redaction and `[capture] content` hold as for the program's own spans.

    Args:
        file: Where from.
        form: "parquet", "jsonl", "csv" or "otlp"; by default what the name's end and the first line say.
        force: Take also what is in the store already, by trace and span id.
        dry_run: Only count; nothing is written into the store.
        path: The store's folder, made where it is missing; by default that of the configuration.
        progress: Called now and then with the records so far, the bytes read and the bytes in all (0 and 0 where that
            is not known).

    Raises:
        StoreError: The file is torn, not of such a form or has unknown columns, or the store cannot be read or written.
        ValueError: The form is not known.

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
        raise StoreError(f"there is no file {source}", path=str(source))
    folder = store_folder(path)
    chosen = form_of(source, form)
    place: AbstractContextManager[Path]
    if dry_run:
        place = _elsewhere()
    else:
        create_store(folder)
        place = stage_in(folder)
    with place as staging:
        return _Job(source, chosen, current(), progress).run(staging, folder, force=force, dry_run=dry_run)


@contextmanager
def _elsewhere() -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="llmops-") as folder:
        yield Path(folder)


class _Job:
    """One file on its way into the store."""

    def __init__(
        self, file: Path, form: ExportForm, settings: Settings, progress: Callable[[int, int, int], None] | None
    ) -> None:
        self._file = file
        self._form: ExportForm = form
        self._intake = Intake(settings)
        self._max_bytes = settings.store.max_bytes
        self._progress = progress
        self._size = file.stat().st_size
        self._read = 0
        self._counts: Counter[str] = Counter()
        self._rejected = 0
        self._ignored = 0
        self._problems: list[str] = []
        self._waiting: list[Any] = []
        self._waiting_bytes = 0

    def run(self, staging: Path, folder: Path, *, force: bool, dry_run: bool) -> Imported:
        stage = Stage(staging)
        try:
            if self._form == "otlp":
                self._take_requests(stage)
            else:
                self._take_rows(stage)
            self._write(stage)
        finally:
            stage.close()
        self._check_size(stage)
        present: Counter[str] = Counter()
        if not force and folder.is_dir():
            for stream in RECORD_STREAMS.values():
                # What was lost on the way of a span is no row of the file.
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
        # What is larger than the store may be would be dropped by the next writer, with all that is older.
        size = sum(
            file.stat().st_size for stream in RECORD_STREAMS.values() if (file := stage.segment(stream)) is not None
        )
        if size > self._max_bytes:
            raise StoreError(
                f"{self._file} takes {size:,} bytes, more than the whole store may have ({self._max_bytes:,}): raise "
                "[store] max_bytes (LLMOPS_STORE__MAX_BYTES). Nothing of this file was imported",
                path=str(self._file),
            )

    def _take_requests(self, stage: Stage) -> None:
        for decoded in otlp_requests(self._file, self._heard):
            self._rejected += decoded.rejected
            self._ignored += decoded.ignored
            self._problems += decoded.problems[: 5 - len(self._problems)]
            self._take([*decoded.spans, *decoded.scores], stage)
            if decoded.losses:
                stage.write(self._intake([], decoded.losses))

    def _take_rows(self, stage: Stage) -> None:
        for _, records, ignored in table_records(self._file, self._form, self._heard):
            self._ignored += ignored
            self._take(records, stage)

    def _take(self, records: list[Any], stage: Stage) -> None:
        for record in records:
            span = isinstance(record, RecordedSpan)
            self._counts[stream_name(record)] += 1
            self._waiting.append(record)
            if span:
                self._waiting_bytes += len(record.input or b"") + len(record.output or b"")
            if len(self._waiting) >= _BATCH or self._waiting_bytes >= _BATCH_BYTES:
                self._write(stage)

    def _write(self, stage: Stage) -> None:
        redacted = [record for record in self._waiting if isinstance(record, (RecordedSpan, ScoreRecord))]
        others = [record for record in self._waiting if not isinstance(record, (RecordedSpan, ScoreRecord))]
        spans = sum(isinstance(record, RecordedSpan) for record in redacted)
        lost = spans - stage.write([*self._intake(redacted), *others])
        self._counts["spans"] -= lost
        self._rejected += lost
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._progress is not None:
            self._progress(self._counts.total(), self._read, self._size if self._read else 0)

    def _heard(self, read: int) -> None:
        self._read = read

"""A span as plain data, and a process that writes such spans until it is told to stop or killed.

Run as a program: `span_writer.py FOLDER NAME COUNT BATCH`. After each batch that the store took, the number of spans
written so far goes to standard output; COUNT 0 is without end.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmops_sdk.store import StoreSink
from llmops_sdk.tracing.records._records import Event, Link, Stamp

START_NS = 1_795_000_000_000_000_000
RESOURCE: Mapping[str, Any] = {"service.name": "tests"}


@dataclass(kw_only=True)
class PlainSpan:
    """Satisfies `SpanRecord`."""

    name: str = "work"
    kind: str = "chain"
    trace_id: int = 1
    span_id: int = 1
    parent_id: int = 0
    start_ns: int = START_NS
    duration_ns: int = 1_500_000
    status: str = "ok"
    status_message: str | None = None
    error_type: str | None = None
    input: bytes | None = None
    output: bytes | None = None
    attributes: Mapping[str, Any] | None = None
    events: Sequence[Event] | None = None
    links: Sequence[Link] | None = None
    stamp: Stamp | None = None
    otel_kind: str = "internal"
    scope: str = "llmops_sdk"
    resource: Mapping[str, Any] = field(default_factory=lambda: RESOURCE)


def main() -> None:
    folder, name, count, batch = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    sink = StoreSink(folder, segment_bytes=100_000)
    written = 0
    while not count or written < count:
        sink.write([PlainSpan(name=name, span_id=written + number + 1) for number in range(batch)])
        written += batch
        print(written, flush=True)
    sink.close(1.0)


if __name__ == "__main__":
    main()

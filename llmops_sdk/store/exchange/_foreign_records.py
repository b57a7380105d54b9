"""Redact records from outside (`import`, `collect`) like those of the pipeline."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llmops_sdk.store.lines._restored import SHADOWED
from llmops_sdk.tracing.privacy._content import ContentRule
from llmops_sdk.tracing.records._records import LossRecord, Record, RecordedSpan, ScoreRecord

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["ForeignRecords"]


class ForeignRecords:
    """Prepares records from outside for the store, in one thread at a time.

    Args:
        settings: `[redaction]` and `[capture] content` apply as for the program's own spans.
    """

    def __init__(self, settings: Settings) -> None:
        self._losses: Counter[tuple[str, str]] = Counter()
        self._rule = None
        if not settings.capture.content:
            self._rule = ContentRule(settings.export.allow_attributes, self._count_loss)
        self._bytes: Counter[tuple[str, str]] = Counter()
        self._stage = None
        if settings.redaction.enabled:
            from llmops_sdk.tracing.privacy._hash_key import hash_key
            from llmops_sdk.tracing.privacy._redaction_stage import RedactionStage

            key = hash_key(settings.redaction)
            self._stage = RedactionStage(settings.redaction.patterns, self._count_loss, key)

    def __call__(
        self, records: Sequence[RecordedSpan | ScoreRecord], losses: Counter[tuple[str, str]] | None = None
    ) -> list[Record]:
        """Return the records to write, followed by the losses.

        Args:
            records: Spans and scores.
            losses: Earlier losses, to report with the new ones.
        """
        kept = list(records)
        if self._rule is not None:
            kept = [_without_content(one, self._rule) for one in kept]
        if self._stage is not None:
            redacted = self._stage(list(kept))
            # If the stage replaced nothing, keep the originals: it also marks where this process's capture would cut.
            kept = redacted if self._losses else kept
        done: list[Record] = [*kept]
        self._losses.update(losses or {})
        if self._losses:
            now = time.time_ns()
            done += [
                LossRecord(time_ns=now, what=what, reason=reason, count=count, bytes=self._bytes[what, reason])
                for (what, reason), count in self._losses.items()
            ]
            self._losses.clear()
            self._bytes.clear()
        return done

    def _count_loss(self, what: str, reason: str, count: int, size: int) -> None:
        self._losses[what, reason] += count
        self._bytes[what, reason] += size


def _without_content(record: RecordedSpan | ScoreRecord, rule: ContentRule) -> RecordedSpan | ScoreRecord:
    if isinstance(record, ScoreRecord):
        return dataclasses.replace(record, comment=None)
    scope = record.scope
    # An attribute beside a column of the same name has a prefix until it is written.
    attributes = {key.removeprefix(SHADOWED): value for key, value in (record.attributes or {}).items()}
    kept = rule.attributes(attributes, scope)
    return dataclasses.replace(
        record,
        input=None,
        output=None,
        status_message=None,
        attributes={
            key: value for key, value in (record.attributes or {}).items() if key.removeprefix(SHADOWED) in kept
        },
        events=[(name, time_ns, rule.event(name, own, scope)) for name, time_ns, own in record.events or ()],
        links=[(trace_id, span_id, rule.attributes(own, scope)) for trace_id, span_id, own in record.links or ()],
    )

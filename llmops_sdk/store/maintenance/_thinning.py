"""Old traces thinned out: those that tell something stay, of the others a share, and each that stays says its weight.

It is done after the durable write and long after the trace has ended, since only then is known whether one of its spans
failed or somebody judged it. A file is thinned once.
"""

# ruff: noqa: S608 - statements are put together from numbers

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from llmops_sdk.store.files._manifest import DataFile

if TYPE_CHECKING:
    from llmops_sdk.config import ThinningSettings

__all__ = ["ThinningPolicy", "files_to_thin"]

_RANDOM = 1 << 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinningPolicy:
    """Which traces of old files stay.

    Attributes:
        share: Of those of which nothing else says that they stay.
        after_days: Age of a file's latest line from which it is thinned.
        keep_errors: Traces with an error stay.
        keep_scored: Traces that somebody judged stay.
        keep_slower_than: Seconds: traces with a span that took longer stay.
        keep_costlier_than: USD: traces that cost more stay.
    """

    share: float = 1.0
    after_days: float = 7.0
    keep_errors: bool = True
    keep_scored: bool = True
    keep_slower_than: float | None = None
    keep_costlier_than: float | None = None

    @classmethod
    def from_settings(cls, settings: ThinningSettings) -> ThinningPolicy:
        """What the settings say."""
        return cls(
            share=settings.share,
            after_days=settings.after_days,
            keep_errors=settings.keep_errors,
            keep_scored=settings.keep_scored,
            keep_slower_than=settings.keep_slower_than,
            keep_costlier_than=settings.keep_costlier_than,
        )

    @classmethod
    def decode(cls, text: str) -> ThinningPolicy:
        """As `encode` wrote it."""
        fields: dict[str, Any] = orjson.loads(text)
        return cls(**fields)

    def encode(self) -> str:
        """As one argument of a program."""
        return orjson.dumps(self).decode()

    @property
    def traces_to_keep(self) -> str:
        """The ids of traces that stay, as a SELECT from `spans` and `scores` of the schema `store`."""
        rules = ["SELECT NULL::VARCHAR AS id WHERE false"]
        if self.keep_errors:
            rules.append("SELECT trace_id FROM store.spans WHERE status = 'error'")
        if self.keep_slower_than is not None:
            rules.append(f"SELECT trace_id FROM store.spans WHERE duration_ns > {self.keep_slower_than * 1e9:.0f}")
        if self.keep_costlier_than is not None:
            rules.append(
                f"SELECT trace_id FROM store.spans GROUP BY trace_id HAVING sum(cost) > {self.keep_costlier_than!r}"
            )
        if self.keep_scored:
            rules += [
                "SELECT trace_id FROM store.scores",
                "SELECT s.trace_id FROM store.spans s JOIN store.scores USING (span_id)",
            ]
        return " UNION ".join(rules)

    @property
    def rows_to_drop(self) -> str:
        """Which rows go: the condition over a file, where the table `kept_traces` has the ids of those that stay."""
        # By the random half of the id, as the filter of an export decides; hex of one length compares as numbers do.
        bound = f"{int(self.share * _RANDOM):017x}"
        return f"('0' || substr(trace_id, 17)) >= '{bound}' AND trace_id NOT IN (SELECT id FROM kept_traces)"

    @property
    def new_weight(self) -> str:
        """What a row that stays weighs then, in SQL."""
        if self.share <= 0.0:
            return "weight"
        return f"CASE WHEN trace_id IN (SELECT id FROM kept_traces) THEN weight ELSE weight / {self.share!r} END"


def files_to_thin(
    files: Sequence[DataFile], thinning: ThinningPolicy, now: Callable[[], float] = time.time
) -> list[DataFile]:
    """The files of spans that are old enough, and have not been thinned.

    Args:
        files: Those of a manifest.
        thinning: What is asked for.
        now: Seconds since the epoch.
    """
    if thinning.share >= 1.0:
        return []
    before = now() - thinning.after_days * 86_400.0
    return [file for file in files if file.stream == "spans" and not file.thinned and file.written < before]

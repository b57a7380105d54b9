"""Sample old traces: keep the interesting ones and a share of the others, and store each kept trace's weight.

Compaction samples long after a trace has ended, when it is known whether a span failed or somebody scored it. It
samples each file once.
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
_THINNED = ("spans", "details")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinningPolicy:
    """Which old traces compaction keeps.

    Attributes:
        share: Share of the traces to keep that no other rule keeps.
        after_days: Age of a file's latest line at which the file is sampled.
        keep_errors: Keep traces with an error.
        keep_scored: Keep traces with a score.
        keep_slower_than: Keep traces with a span that took longer, in seconds.
        keep_costlier_than: Keep traces that cost more, in USD.
    """

    share: float = 1.0
    after_days: float = 7.0
    keep_errors: bool = True
    keep_scored: bool = True
    keep_slower_than: float | None = None
    keep_costlier_than: float | None = None

    @classmethod
    def from_settings(cls, settings: ThinningSettings) -> ThinningPolicy:
        """Return the policy of the settings."""
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
        """Return the policy that `encode` wrote."""
        fields: dict[str, Any] = orjson.loads(text)
        return cls(**fields)

    def encode(self) -> str:
        """Return the policy as one command-line argument."""
        return orjson.dumps(self).decode()

    @property
    def traces_to_keep(self) -> str:
        """Return a SELECT of the trace ids that a rule keeps, from the schema `store`."""
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
        """Return the condition for rows to drop; the table `kept_traces` has the ids that a rule keeps."""
        # By the random half of the id, as export filters do; hex numbers of equal length compare like numbers.
        bound = f"{int(self.share * _RANDOM):017x}"
        return f"('0' || substr(trace_id, 17)) >= '{bound}' AND trace_id NOT IN (SELECT id FROM kept_traces)"

    @property
    def new_weight(self) -> str:
        """Return SQL for the weight of a kept row."""
        if self.share <= 0.0:
            return "weight"
        return f"CASE WHEN trace_id IN (SELECT id FROM kept_traces) THEN weight ELSE weight / {self.share!r} END"


def files_to_thin(
    files: Sequence[DataFile], thinning: ThinningPolicy, now: Callable[[], float] = time.time
) -> list[DataFile]:
    """Return the files of spans and of their details that are old enough and not sampled yet.

    Args:
        files: The files of a manifest.
        thinning: The policy.
        now: Returns seconds since the epoch.
    """
    if thinning.share >= 1.0:
        return []
    before = now() - thinning.after_days * 86_400.0
    return [file for file in files if file.stream in _THINNED and not file.thinned and file.written < before]

"""The values of labels: clean, and bounded in length and number. They come from users, models and other programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from llmops_sdk._documents import defuse

__all__ = ["OTHER", "BoundedCounter", "label_text"]

OTHER = "other"
"""The value of a label that has too many others."""
_MAX_LABEL = 100


class BoundedCounter:
    """Counts by labels; where there are too many, the rest is "other".

    Args:
        labels: How many labels a key has.
        most: The most keys.
    """

    def __init__(self, labels: int, most: int) -> None:
        self._other = (OTHER,) * labels
        self._most = most
        self.counts: Counter[tuple[str, ...]] = Counter()

    def key(self, values: Sequence[object]) -> tuple[str, ...]:
        """Return the labels under which values are counted."""
        labels = tuple(map(label_text, values))
        return labels if labels in self.counts or len(self.counts) < self._most else self._other

    def add(self, values: Sequence[object], count: int = 1) -> None:
        """Count something."""
        self.counts[self.key(values)] += count


def label_text(value: object) -> str:
    """Return the text of a label: clean, bounded, and valid in UTF-8."""
    if not isinstance(value, str):
        return ""
    line = " ".join(defuse(value[:_MAX_LABEL]).split())
    return line.encode("utf-8", "replace").decode()

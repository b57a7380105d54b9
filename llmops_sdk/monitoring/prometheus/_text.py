"""The text format of Prometheus, version 0.0.4.

By hand and not with prometheus-client: its encoder sorts and escapes all labels for each sample, which takes 25 µs, and
a scrape has up to 50,000 of them.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

__all__ = ["CONTENT_TYPE", "Family", "bound_text", "label_pairs", "number_text"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def label_pairs(names: Iterable[str], values: Iterable[str]) -> str:
    r"""Return labels as they stand between the braces; an empty value is no label.

    Example:
        >>> print(label_pairs(["model", "status"], ['gpt "x"\n', ""]))
        model="gpt \"x\"\n"
    """
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True) if value)


def number_text(value: float) -> str:
    """Return a number as Prometheus reads it."""
    if isinstance(value, int):
        return str(value)
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if math.isnan(value) else repr(value)


def bound_text(bound: float) -> str:
    """Return the value of the label `le`: the rules that we export name the same text.

    Example:
        >>> bound_text(2), bound_text(0.01)
        ('2.0', '0.01')
    """
    return number_text(float(bound))


class Family:
    """The samples of one metric.

    Args:
        name: The metric's name; that of a counter ends with "_total".
        kind: "counter", "gauge" or "histogram".
        doc: What it is, in one line.
    """

    def __init__(self, name: str, kind: str, doc: str) -> None:
        self.name = name
        self._lines = [f"# HELP {name} {doc}\n# TYPE {name} {kind}\n"]

    def add(self, labels: str, value: float) -> None:
        """Add a sample.

        Args:
            labels: What stands between the braces, or nothing.
            value: The value.
        """
        braces = f"{{{labels}}}" if labels else ""
        self._lines.append(f"{self.name}{braces} {number_text(value)}\n")

    def add_histogram(self, labels: str, bounds: Sequence[str], counts: Sequence[int], total: float) -> None:
        """Add the samples of one histogram.

        Args:
            labels: What stands between the braces, or nothing.
            bounds: The texts of the upper bounds, without infinity.
            counts: The number of values up to each bound, and last of all values.
            total: The sum of the values.
        """
        begin = f'{self.name}_bucket{{{labels}{"," if labels else ""}le="'
        self._lines += [f'{begin}{bound}"}} {count}\n' for bound, count in zip((*bounds, "+Inf"), counts, strict=True)]
        braces = f"{{{labels}}}" if labels else ""
        self._lines.append(f"{self.name}_sum{braces} {number_text(total)}\n{self.name}_count{braces} {counts[-1]}\n")

    def text(self) -> str:
        """Return the lines of the metric."""
        return "".join(self._lines)

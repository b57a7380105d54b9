"""Measure whether a change made things better.

`llmops_sdk.evals.metrics` has the pure metrics. Importing this package imports no library.
"""

from __future__ import annotations

from llmops_sdk._lazy import lazy_names

__all__: list[str] = []

__getattr__, __dir__ = lazy_names(__name__, {})

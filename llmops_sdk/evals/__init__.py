"""Evaluate applications: statistics that say how sure a result is.

Everything is imported at its first use: `import llmops_sdk.evals` loads neither numpy nor DuckDB nor the client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.evals import stats

__getattr__, __dir__ = lazy_names(
    __name__,
    {},
    modules="stats",
)

__all__ = [
    "stats",
]

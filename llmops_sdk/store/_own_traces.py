"""Tell the SDK's own calls from the application's: those of evaluators, experiments and canaries."""

from __future__ import annotations

__all__ = ["OWN_ROOT", "OWN_SPAN"]

_ATTRIBUTES = ("llmops.canary", "llmops.eval.experiment_id", "llmops.evaluator")

# A key of the JSON object itself: within a text its quotes have backslashes. To parse the JSON takes ten times as long.
OWN_SPAN = "coalesce({}, false)".format(" OR ".join(f"contains(attributes, '\"{name}\":')" for name in _ATTRIBUTES))
"""An SQL condition on a row of `spans` or `llm_calls`: it has a mark of the SDK's own."""
OWN_ROOT = f"parent_span_id IS NULL AND (kind = 'evaluator' OR {OWN_SPAN})"
"""An SQL condition on a row of `spans`: it is the root of a trace that no user has caused."""

"""Tell the SDK's own calls from the application's: those of evaluators, experiments and canaries."""

from __future__ import annotations

__all__ = ["CANARY_TAG", "EVAL_TAG", "OWN_ATTRIBUTES", "OWN_ROOT", "OWN_SPAN", "OWN_TAGS"]

CANARY_TAG = "llmops.canary"
"""The tag of all spans of canaries; also an attribute of their roots."""
EVAL_TAG = "llmops.eval"
"""The tag of all spans of experiments and of scorers."""
OWN_TAGS = (CANARY_TAG, EVAL_TAG)
"""A span with one of these tags is not the application's."""
OWN_ATTRIBUTES = (CANARY_TAG, "llmops.eval.experiment_id", "llmops.evaluator")
"""Nor is a span with one of these attributes, which spans of older versions have on their roots alone."""

# A key of the JSON object itself: within a text its quotes have backslashes. To parse the JSON takes ten times as long.
_MARKS = " OR ".join(f"contains(attributes, '\"{name}\":')" for name in OWN_ATTRIBUTES)
OWN_SPAN = f"(coalesce({_MARKS}, false) OR coalesce(list_has_any(tags, {list(OWN_TAGS)}), false))"
"""An SQL condition on a row of `spans` or `llm_calls`: it has a mark of the SDK's own."""
OWN_ROOT = f"parent_span_id IS NULL AND (kind = 'evaluator' OR {OWN_SPAN})"
"""An SQL condition on a row of `spans`: it is the root of a trace that no user has caused."""

"""Read a text behind its disguises, with a map back to the text as written. Its names serve `guardrails`."""

from __future__ import annotations

from llmops_sdk.guardrails.normalise._plain import not_ascii
from llmops_sdk.guardrails.normalise._quick_search import QuickRead, Read, reading
from llmops_sdk.guardrails.normalise._view import View, replaced
from llmops_sdk.guardrails.normalise._views import Decoding, views

__all__ = ["Decoding", "QuickRead", "Read", "View", "not_ascii", "reading", "replaced", "views"]

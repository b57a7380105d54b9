"""Receive OTLP over HTTP into the local store, for programs in any language: `llmops collect`.

Doors for other packages: `_access`, `_refusal`.
"""

from __future__ import annotations

from llmops_sdk.collect._collector import Collected, Collector
from llmops_sdk.collect._limits import Limits

__all__ = ["Collected", "Collector", "Limits"]

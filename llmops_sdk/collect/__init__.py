"""Receive OTLP over HTTP into the local store, for programs in any language: `llmops collect`."""

from __future__ import annotations

from llmops_sdk.collect._collector import Collected, Collector
from llmops_sdk.collect._limits import Limits

__all__ = ["Collected", "Collector", "Limits"]

"""The local page over a store: an ASGI application, and `llmops ui`, which serves it.

Doors for other packages: `_server`.
"""

from __future__ import annotations

from llmops_sdk.ui._app import app

__all__ = ["app"]

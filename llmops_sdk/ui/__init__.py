"""The local page over a store: an ASGI application, and `llmops ui`, which serves it.

Importing this package loads no web server: `app` loads its own module.

Doors for other packages: `_server`, `_trace_document`.
"""

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.ui._app import app

__getattr__, __dir__ = lazy_names(__name__, {"_app": "app"})

__all__ = ["app"]

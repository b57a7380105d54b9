"""Choose the model of a call: the cheapest one that is good enough for the prompt, learned from scored prompts.

Importing this package does not import numpy: each name loads its own module.

Doors for other packages: `_picture`, `_stored`.
"""

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.routing._model_row import ModelRow
    from llmops_sdk.routing._report import RouterReport
    from llmops_sdk.routing._route import Route
    from llmops_sdk.routing._router import Router
    from llmops_sdk.routing.decisions._artefacts import SuspiciousKind
    from llmops_sdk.routing.decisions._curve import CurvePoint
    from llmops_sdk.routing.online._online_policy import ScoreChange
    from llmops_sdk.routing.online._online_router import OnlineRouter

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_model_row": "ModelRow",
        "_report": "RouterReport",
        "_route": "Route",
        "_router": "Router",
        "decisions._artefacts": "SuspiciousKind",
        "decisions._curve": "CurvePoint",
        "online._online_policy": "ScoreChange",
        "online._online_router": "OnlineRouter",
    },
)

__all__ = [
    "CurvePoint",
    "ModelRow",
    "OnlineRouter",
    "Route",
    "Router",
    "RouterReport",
    "ScoreChange",
    "SuspiciousKind",
]

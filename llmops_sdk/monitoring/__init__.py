"""Monitor: evaluate rules and objectives over the stored traces, tell people once, and report."""

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.monitoring._notification import Culprit, Notification
    from llmops_sdk.monitoring.reports._report import Report, report

__getattr__, __dir__ = lazy_names(
    __name__, {"_notification": "Culprit Notification", "reports._report": "Report report"}
)

__all__ = ["Culprit", "Notification", "Report", "report"]

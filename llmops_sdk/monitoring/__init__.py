"""Monitor: evaluate rules and objectives over the stored traces, tell people once, and report."""

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.monitoring._notification import Culprit, Notification
    from llmops_sdk.monitoring._queue import Notifications
    from llmops_sdk.monitoring.reports._report import Report, report
    from llmops_sdk.monitoring.slo._objective import Budget
    from llmops_sdk.monitoring.watch._backtest import Backtest, BacktestChange, BacktestRule, backtest
    from llmops_sdk.monitoring.watch._start import start, stop

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_notification": "Culprit Notification",
        "_queue": "Notifications",
        "reports._report": "Report report",
        "slo._objective": "Budget",
        "watch._backtest": "Backtest BacktestChange BacktestRule backtest",
        "watch._start": "start stop",
    },
)

__all__ = [
    "Backtest",
    "BacktestChange",
    "BacktestRule",
    "Budget",
    "Culprit",
    "Notification",
    "Notifications",
    "Report",
    "backtest",
    "report",
    "start",
    "stop",
]

"""What rules of every kind have in common."""

from __future__ import annotations

from llmops_sdk.config import AlertSettings
from llmops_sdk.monitoring.rules._figures import duration, share
from llmops_sdk.monitoring.rules._metrics import Metric

__all__ = ["MetricRule", "RuleBase"]


class RuleBase:
    """The names and times of a rule, as `Evaluator` has them.

    Args:
        rule: The rule's settings.
    """

    def __init__(self, rule: AlertSettings) -> None:
        self._rule = rule
        self.name = rule.name
        self.columns = rule.group_by
        self.delay = rule.for_
        self.keep = rule.keep
        self.repeat = rule.repeat
        self.notify = rule.notify
        self.runbook = rule.runbook
        self.severities: tuple[str, ...] = (rule.severity,)

    @staticmethod
    def span(window: float) -> str:
        """Return a window for a sentence."""
        return duration(window)

    @staticmethod
    def unknown(unknown: float, calls: float) -> str:
        """Return what to say of calls whose value nobody knows, or "": unknown is not 0.

        Args:
            unknown: Calls of unknown value.
            calls: All calls.
        """
        if unknown <= 0:
            return ""
        return f"; the figure of {share(unknown / max(calls, unknown))} of the calls is unknown and not in it"


class MetricRule(RuleBase):
    """A rule on a metric.

    Args:
        rule: The rule's settings.
        metric: Its metric, by `metric_of`.
        interval: Seconds between two looks.
    """

    def __init__(self, rule: AlertSettings, metric: Metric, interval: float) -> None:
        super().__init__(rule)
        self.metric = metric
        self._series = metric.series
        self._interval = interval
        self._minutes = max(-(-int(rule.window) // 60), 1)
        self._above = rule.compare == "above"

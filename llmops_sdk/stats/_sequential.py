"""A test of a rate that may be looked at after every event."""

from __future__ import annotations

import math
from dataclasses import dataclass

from llmops_sdk._util._public import public
from llmops_sdk.stats._binomial import log_tail
from llmops_sdk.stats._evidence import Evidence
from llmops_sdk.stats._inputs import count, probability

__all__ = ["RateEProcess", "log_rate_e_value"]


def log_rate_e_value(events: int, trials: int, *, null_rate: float) -> float:
    """Return the natural logarithm of the evidence that events are more frequent than `null_rate`.

    The e-value is the likelihood of the data, averaged over all rates above `null_rate` with equal weight, as a ratio
    to their likelihood at `null_rate`. Under every rate up to `null_rate` its mean is at most 1 at any time.

    Args:
        events: How many events were seen, at most `trials`.
        trials: How many trials there were. The order of the events does not matter.
        null_rate: The highest rate where nothing is wrong, above 0 and below 1.

    Raises:
        ValueError: A count is negative, `events` exceeds `trials`, or `null_rate` is not above 0 and below 1.
        TypeError: A count is not an integer.

    Example:
        Two failures in the first ten calls, where one in a hundred is acceptable:

        >>> import math
        >>> from llmops_sdk.stats import log_rate_e_value
        >>> round(math.exp(log_rate_e_value(2, 10, null_rate=0.01)), 1)
        22.1

    Source: A. Ramdas and others, "Game-theoretic statistics and safe anytime-valid inference", Statist. Sci. 38 (2023).
    """
    events, trials = _counts(events, trials)
    null_rate = probability(null_rate, "null_rate")
    # The integral of p^x (1-p)^(n-x) from p0 to 1 is B(x+1, n-x+1) times P(Beta(x+1, n-x+1) > p0), and that is the
    # probability of at most x events in n+1 trials at p0.
    log_beta = math.lgamma(events + 1) + math.lgamma(trials - events + 1) - math.lgamma(trials + 2)
    log_above = log_tail(trials + 1 - events, trials + 1, 1 - null_rate, null_rate)
    log_null = events * math.log(null_rate) + (trials - events + 1) * math.log1p(-null_rate)
    return log_beta + log_above - log_null


def _counts(events: int, trials: int) -> tuple[int, int]:
    events, trials = count(events, "events"), count(trials, "trials")
    if events > trials:
        raise ValueError(f"there are {events} events in {trials} trials: give at least as many trials as events")
    return events, trials


@public("llmops_sdk.stats")
@dataclass(slots=True)
class RateEProcess(Evidence):
    """Test whether events are more frequent than a rate, with any number of looks.

    Stop when `log_e` reaches `log(1 / alpha)`. While the rate is at most `null_rate`, the chance to stop is at most
    alpha, even with a look after every trial. To continue in another process, store `events`, `trials` and
    `peak_log_e`.

    Args:
        null_rate: The highest rate where nothing is wrong, above 0 and below 1. It must be known: an estimate from few
            trials makes false alarms more frequent.
        events: How many events were seen before.
        trials: How many trials there were before.
        peak_log_e: The largest `log_e` so far.

    Raises:
        ValueError: As by `log_rate_e_value`.

    Example:
        >>> from llmops_sdk.stats import RateEProcess
        >>> errors = RateEProcess(null_rate=0.01)
        >>> for failed in (False, False, True, False, True, True):
        ...     _ = errors.update(int(failed))
        >>> errors.events, errors.trials, errors.p_value < 0.001
        (3, 6, True)
    """

    null_rate: float
    events: int = 0
    trials: int = 0
    peak_log_e: float = 0.0

    def __post_init__(self) -> None:
        self.peak_log_e = max(self.peak_log_e, self.log_e)

    @property
    def log_e(self) -> float:
        """Return the natural logarithm of the evidence now."""
        return log_rate_e_value(self.events, self.trials, null_rate=self.null_rate)

    def update(self, events: int, trials: int = 1) -> float:
        """Add trials and return `log_e` after them.

        Args:
            events: How many of the new trials were events.
            trials: How many new trials there are.

        Raises:
            ValueError: A count is negative, or `events` exceeds `trials`.
            TypeError: A count is not an integer.
        """
        new_events, new_trials = _counts(events, trials)
        self.events += new_events
        self.trials += new_trials
        log_e = self.log_e
        self.peak_log_e = max(self.peak_log_e, log_e)
        return log_e

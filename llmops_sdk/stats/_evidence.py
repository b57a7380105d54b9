"""What every test that may be looked at at any time tells of its evidence."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from llmops_sdk.stats._inputs import probability

__all__ = ["Evidence"]

_LARGEST_LOG = math.log(1.7976931348623157e308)


class Evidence(ABC):
    """The e-value, p-value and decision of a test, from its `log_e` and `peak_log_e`."""

    __slots__ = ()

    peak_log_e: float

    @property
    @abstractmethod
    def log_e(self) -> float:
        """Return the natural logarithm of the evidence against the null now."""

    @property
    def e_value(self) -> float:
        """Return the evidence against the null now; infinity beyond the largest float."""
        return math.exp(log_e) if (log_e := self.log_e) < _LARGEST_LOG else math.inf

    @property
    def p_value(self) -> float:
        """Return a p-value that is valid at any time: 1 / the largest e-value so far."""
        return math.exp(-self.peak_log_e)

    def rejects(self, alpha: float = 0.05) -> bool:
        """Return whether the e-value has reached 1 / alpha at any time.

        Args:
            alpha: The chance of a false rejection, above 0 and below 1.

        Raises:
            ValueError: `alpha` is not above 0 and below 1.
        """
        return self.peak_log_e >= -math.log(probability(alpha, "alpha"))

"""One budget: which calls count, under which keys, and the sums that it needs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from llmops_sdk.config import BudgetSettings
from llmops_sdk.errors import BudgetExceededError
from llmops_sdk.resilience.budgets._call import BudgetCall
from llmops_sdk.resilience.budgets._windows import Window, window_at
from llmops_sdk.shared._server import tag_id
from llmops_sdk.shared._state import Tally

__all__ = ["MOST_TAGS", "Account", "Policy", "finite", "shortened"]

MOST_TAGS = 32
"""A call counts under its first tags only: each is one sum more to reserve."""
_LONGEST_KEY = 64
_LATE = 300.0
"""Seconds for which a sum outlives its window: calls in flight at its end are still settled."""
_TOTAL_SECONDS = 10 * 365 * 86_400.0
"""How long a server keeps the sum of a budget without an end, after its last new key."""
_LARGEST = 1e300
"""No amount of money or tokens; a larger integer is no float."""
# Sums of floats are off by less than this; three calls of 0.1 must fit into 0.3.
_ROUNDING = 1e-9


@dataclass(slots=True)  # a frozen one takes three times as long to make, and each call makes some
class Account:
    """The sum that a call counts against: one key of one budget, in the open window.

    Attributes:
        policy: The budget.
        key: Whose it is; "" for "all", and for calls without a user, session, tag or trace.
        window: The open window.
        tally: What to reserve.
    """

    policy: Policy
    key: str
    window: Window
    tally: Tally

    @property
    def subject(self) -> str:
        """Return the budget's name, with the key where it has one."""
        settings = self.policy.settings
        return settings.name if settings.per == "all" else f"{settings.name}:{shortened(self.key)}"

    def error(self, spent: float) -> BudgetExceededError:
        """Return the error of a call that does not fit.

        Args:
            spent: What is spent and reserved without the call.
        """
        settings, unit, limit = self.policy.settings, self.policy.unit, self.policy.limit
        left = max(limit - spent, 0.0)
        whose = "" if settings.per == "all" else f" of {settings.per} {shortened(self.key)!r}"
        resets_at = self.window.resets_at
        if self.tally.amount > limit:
            cure = "raise the limit"
        elif resets_at is None:
            cure = "it never starts again: raise the limit"
        else:
            cure = f"it starts again at {_utc(resets_at)} UTC: wait until then, raise the limit"
        return BudgetExceededError(
            f'budget "{settings.name}"{whose} has {_amount(left, unit)} of {_amount(limit, unit)} {_UNITS[unit]} left, '
            f"and the call needs about {_amount(self.tally.amount, unit)}; {cure}, or set a lower max_tokens",
            budget=settings.name,
            per=settings.per,
            model=settings.model,
            key=self.key,
            unit=unit,
            limit=limit,
            left=left,
            resets_at=resets_at,
        )


_UNITS = {"usd": "USD", "tokens": "tokens"}


class Policy:
    """A budget, with its open window.

    Args:
        settings: The budget.

    Attributes:
        unit: "usd" or "tokens".
        limit: The limit in that unit.
        is_soft: Whether calls above the limit pass.
    """

    __slots__ = (
        "_hard_limit",
        "_keys",
        "_model",
        "_tag",
        "_unknown",
        "_window",
        "is_soft",
        "limit",
        "settings",
        "unit",
    )

    def __init__(self, settings: BudgetSettings) -> None:
        self.settings = settings
        self.unit = "tokens" if settings.limit_usd is None else "usd"
        limit = settings.limit_tokens if settings.limit_usd is None else settings.limit_usd
        assert limit is not None
        self.limit = limit
        self.is_soft = settings.mode == "soft"
        self._hard_limit = None if self.is_soft else limit * (1 + _ROUNDING)
        # Attributes of settings take longer to read.
        self._model, self._tag, self._unknown = settings.model, settings.tag, settings.unknown_cost
        self._keys = _KEYS[settings.per]
        # One tuple, so that threads that see a new window never mix two of them.
        self._window: tuple[Window, str] | None = None

    def add_accounts(self, found: list[Account], call: BudgetCall, now: float, *, hidden: bool) -> None:
        """Add the accounts that a call counts against; none if the budget is not for it.

        Args:
            found: The accounts of the call.
            call: The call.
            now: Seconds since the epoch.
            hidden: Whether the sums are on a server, which must not see the names of users.
        """
        if self._model is not None and self._model not in call.models:
            return
        if self._tag is not None and self._tag not in call.tags:
            return
        opened = self._window
        if opened is None or not opened[0].start <= now < opened[0].end:
            opened = self._open_window(now)
        window, prefix = opened
        seconds = _TOTAL_SECONDS if window.end == math.inf else window.end - now + _LATE
        amount = self.amount(call.input_tokens + call.output_tokens, call.usd, self._unknown)
        for key in self._keys(call):
            name = tag_id(key) if key and (hidden or len(key) > _LONGEST_KEY) else key
            found.append(Account(self, key, window, Tally(prefix + name, amount, self._hard_limit, seconds)))

    def amount(self, tokens: int | None, usd: float | None, unknown: float) -> float:
        """Return the amount in the budget's unit.

        Args:
            tokens: Tokens of prompt and answer, or None.
            usd: USD, or None.
            unknown: What stands for an amount that is unknown.
        """
        return finite(tokens if self.unit == "tokens" else usd, unknown)

    def _open_window(self, now: float) -> tuple[Window, str]:
        settings, window = self.settings, window_at(self.settings, now)
        start = "total" if window.start == -math.inf else f"{settings.window}@{window.start:.3f}"
        # The length makes names with a colon unambiguous.
        name = f"{len(settings.name)}:{settings.name}"
        opened = self._window = (window, f"budget:{self.unit}:{start}:{settings.per}:{name}:")
        return opened


_ONE = ("",)
_KEYS: Mapping[str, Callable[[BudgetCall], tuple[str, ...]]] = {
    "all": lambda _: _ONE,
    "model": lambda call: call.models[:1] or _ONE,
    "user": lambda call: (call.user_id or "",),
    "session": lambda call: (call.session_id or "",),
    "run": lambda call: (call.run or "",),
    "tag": lambda call: call.tags[:MOST_TAGS] or _ONE,
}
"""The keys of a call, for each kind of owner."""


def finite(value: float | None, unknown: float) -> float:
    """Return a number of a provider if it can be one of money or tokens, else what stands for an unknown one."""
    return unknown if value is None or not 0 <= value < _LARGEST else float(value)


def shortened(key: str) -> str:
    """Return a key for messages."""
    return key if len(key) <= _LONGEST_KEY else f"{key[: _LONGEST_KEY - 1]}…"


def _amount(value: float, unit: str) -> str:
    if unit == "tokens":
        return f"{value:.0f}"
    return f"{value:.2f}" if value >= 1 or value == 0 else f"{value:.4g}"


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S").removesuffix(":00")

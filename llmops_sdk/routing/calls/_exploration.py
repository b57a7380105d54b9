"""Explore: let chance choose the model of a share of calls, so that its scores show what the others are worth."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from llmops_sdk.routing._route import Route

__all__ = ["RegretBudget", "explored"]

_DAY = 86_400
_KNOWN = frozenset({"cheapest_good_enough", "best", "unproven"})
"""The reasons after which chance may decide: the prompt is like scored ones, and their scores are believed."""


class RegretBudget:
    """What exploring may still lose in this UTC day, in this process. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._day = -1
        self._spent = 0.0

    def take(self, regret: float, *, need: float = 0.0, limit: float, now: float) -> bool:
        """Take an expected loss from the budget if there is enough, and return whether there is.

        Args:
            regret: The score that is expected to be lost; 0 only asks.
            need: How much must be left.
            limit: The budget of a day.
            now: Seconds since the epoch.
        """
        with self._lock:
            day = int(now // _DAY)
            if day != self._day:
                self._day, self._spent = day, 0.0
            if self._spent + max(regret, need) > limit:
                return False
            self._spent += regret
            return True


def explored(route: Route, text: str, able: Sequence[str], share: float, limit: float, budget: RegretBudget) -> Route:
    """Return the route as it is, with its propensity, or one to a model that chance chose.

    The draw depends on the prompt and the policy's version alone, so every process draws alike. The propensity is the
    probability of the choice over prompts: 1 − share + share / n of the policy's choice, share / n of each other model.
    Where the budget is too small for the worst draw nothing is drawn, and the propensity is 1.

    Args:
        route: The policy's choice.
        text: What a person asks.
        able: The models that can take the call.
        share: The share of calls whose model is drawn.
        limit: The score that exploring may lose in a day.
        budget: What is left of it.
    """
    if route.reason not in _KNOWN or len(able) < 2 or not share:
        return route
    digest = hashlib.blake2b(f"{route.version}\0{text}".encode(errors="replace"), digest_size=16).digest()
    first, second = int.from_bytes(digest[:8]) / 2**64, int.from_bytes(digest[8:])
    drawn = able[second % len(able)]
    # A model of which nothing is known may be wrong every time.
    best = route.expected_quality.get(route.model, 1.0)
    losses = {one: max(best - route.expected_quality.get(one, 0.0), 0.0) for one in able}
    # Whether there is enough for the worst draw must not depend on the draw, or the propensity would be wrong.
    regret = losses[drawn] if first < share else 0.0
    if not budget.take(regret, need=max(losses.values()), limit=limit, now=time.time()):
        return route
    if first >= share or drawn == route.model:
        return replace(route, propensity=1 - share + share / len(able))
    return replace(route, model=drawn, reason="explored", propensity=share / len(able), explored=True)

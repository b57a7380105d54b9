"""CPU that traffic control adds to a call in one process: each policy alone, three of them, and everything.

The provider answers at once, so that the difference is the policies' own. Minima of many short rounds: a machine that
does other things only makes some rounds longer.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from typing import Any

from llmops_sdk.config import Settings, resolve_model
from llmops_sdk.providers import Request, Response, Usage, WrapperProvider
from llmops_sdk.resilience.traffic._open import traffic_provider
from llmops_sdk.shared._local import LocalState

ROUNDS, CALLS = 400, 50
BREAKER: dict[str, Any] = {"breaker": {"failures": 5}}
CONCURRENCY: dict[str, Any] = {"limits": {"concurrency": 100}}
BUDGET: dict[str, Any] = {"budgets": [{"name": "all", "limit_usd": 1e6, "window": "minute"}]}
RATES = {"concurrency": 100, "requests_per_minute": 1e9, "tokens_per_minute": 1e12}
CASES: dict[str, dict[str, Any]] = {
    "off": {},
    "breaker": BREAKER,
    "concurrency": CONCURRENCY,
    "one budget": BUDGET,
    "breaker, concurrency and one budget": {**BREAKER, **CONCURRENCY, **BUDGET},
    "the same, and requests and tokens a minute": {**BREAKER, **BUDGET, "limits": RATES},
}
REQUEST = Request(model="offline/echo", messages=[{"role": "user", "content": "Where is my card? I lost it."}])


class Instant(WrapperProvider):
    """Answers at once."""

    name = "offline"
    answer = Response(text="Here.", usage=Usage(input_tokens=9, output_tokens=3), cost=0.0, finish_reason="stop")

    def __init__(self) -> None:
        pass

    def complete(self, request: Request) -> Response:  # noqa: ARG002 - the protocol's
        """Return the answer."""
        return self.answer


def fastest(call: Callable[[], object]) -> float:
    """Return microseconds of a call in the fastest round."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, (time.perf_counter() - began) / CALLS)
    return best * 1e6


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        base = 0.0
        print("| switched on | µs a call |\n|---|---|")
        for name, given in CASES.items():
            settings = Settings(model="offline/echo", store={"path": folder}, **given)
            provider = traffic_provider(resolve_model(settings), Instant(), settings=settings, state=LocalState())
            took = fastest(lambda provider=provider: provider.complete(REQUEST))
            base = base or took
            print(f"| {name} | {took - base:.1f} |", flush=True)


if __name__ == "__main__":
    main()

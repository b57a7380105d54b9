"""`@hedge`: a second call of a function that takes unusually long, for code that calls a vendor's client directly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, overload

from llmops_sdk._util._callables import CallStyle, call_style_of, decorate
from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import HedgeSettings
from llmops_sdk.errors import ConfigError
from llmops_sdk.resilience._decorated import checked_name, name_of, wrap_callable
from llmops_sdk.resilience.hedging._call import HedgedCall
from llmops_sdk.resilience.hedging._policy import HedgePolicy
from llmops_sdk.resilience.hedging._race import arace, race

__all__ = ["hedge"]

_F = TypeVar("_F", bound=Callable[..., Any])
_T = TypeVar("_T")


@overload
def hedge(function: _F, /) -> _F: ...
@overload
def hedge(
    *,
    share: float = 0.05,
    percentile: float = 95.0,
    min_delay: float = 0.05,
    samples: int = 50,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Callable[[_F], _F]: ...
def hedge(
    function: Any = None,
    /,
    *,
    share: float = 0.05,
    percentile: float = 95.0,
    min_delay: float = 0.05,
    samples: int = 50,
    name: str | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Any:
    """Call a function a second time when it takes unusually long; the first result counts.

    Decorate only what may run twice. Of a generator, the first item decides. Async, the slower call is cancelled. A
    plain function runs in a thread of a bounded pool, in a copy of the caller's context, and the slower call's result
    is dropped when it comes; so it must be thread-safe, and what it sets in its context stays there. What a hedge does
    is an event on the current span.

    Args:
        function: A function, coroutine function, generator or async generator; methods of every kind too.
        share: The largest share of calls that are made twice, above 0 and up to 1.
        percentile: The second call begins after this percentile of the times observed.
        min_delay: Seconds: it never begins earlier.
        samples: How many calls are observed before the first hedge.
        name: Its name in the view `traffic`; by default that of the function.
        clock: The time. The wait for the delay itself is always real.

    Raises:
        ConfigError: A bound is not valid.

    Example:
        >>> import llmops_sdk as llmops
        >>> @llmops.hedge(share=0.05)
        ... def look_up(city: str) -> str:
        ...     return city.upper()
        >>> look_up("Rome")
        'ROME'
    """
    given: dict[str, Any] = {"share": share, "percentile": percentile, "min_delay": min_delay, "samples": samples}
    try:
        settings = HedgeSettings(**given)
    except ConfigError as error:
        key = (error.key or "").rpartition(".")[2]
        reason = str(error).partition(f"{key} = ")[2]
        raise ConfigError(f"@hedge: {key} = {reason}", key=key, value=error.value) from error
    known = checked_name("hedge", name)
    if not settings.is_on:
        raise ConfigError("@hedge(share=0) never hedges: give a share above 0", key="share", value=share)

    def wrap(target: Callable[..., Any]) -> Callable[..., Any]:
        policy, style = HedgePolicy(settings), call_style_of(target)
        shown = known or name_of(target)
        return wrap_callable(target, lambda: _HedgeRun(target, style, policy, shown, clock))

    def apply(target: Any) -> Any:
        return decorate(target, wrap)

    return apply if function is None else apply(function)


class _HedgeRun:
    """One call of a hedged function."""

    def __init__(
        self, target: Callable[..., Any], style: CallStyle, policy: HedgePolicy, name: str, clock: Clock
    ) -> None:
        self._target, self._style = target, style
        self._policy, self._name, self._clock = policy, name, clock

    def begin(self) -> AbstractContextManager[object]:
        return nullcontext()

    def call(self, attempt: Callable[[Callable[..., Any]], _T]) -> _T:
        call: HedgedCall[_T] = HedgedCall(self._policy, self._clock, self._name, None)
        result = race(call, lambda _: attempt(self._target), self._discard)
        call.record()
        return result

    async def acall(self, attempt: Callable[[Callable[..., Any]], Awaitable[_T]]) -> _T:
        call: HedgedCall[_T] = HedgedCall(self._policy, self._clock, self._name, None)

        async def send(_: object) -> _T:
            return await attempt(self._target)

        result = await arace(call, send, self._adiscard)
        call.record()
        return result

    def _discard(self, late: Any) -> None:
        # Of a generator `wrap_callable` gives what closes it, its first item, and so on.
        if self._style == "generator":
            late[0].close()

    async def _adiscard(self, late: Any) -> None:
        if self._style == "asyncgen":
            await late[0].aclose()

"""Answer the calls to models while a test runs, block real calls, and replace the clock."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Generic, NoReturn, TypeVar

from llmops_sdk._util._clock import Clock
from llmops_sdk.client._shared import STAND_INS
from llmops_sdk.config import ResolvedModel, current
from llmops_sdk.errors import RealCallBlockedError
from llmops_sdk.providers import Provider, WrapperProvider
from llmops_sdk.resilience._budget import forget_budgets

__all__ = ["block_real_calls", "use_clock", "use_provider"]

_SIMULATED = frozenset({"offline"})

_P = TypeVar("_P", bound=Provider)
_T = TypeVar("_T")
_C = TypeVar("_C", bound=Clock)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rule:
    """A rule for models while a block runs.

    Attributes:
        models: Patterns of models: the ones that `provider` serves, or the ones that a block allows.
        provider: The provider that serves them, or None for a block.
    """

    models: tuple[str, ...]
    provider: Provider | None = None

    def matches(self, resolved: ResolvedModel) -> bool:
        """Return whether a pattern matches the model, its name in the configuration, or the model that it serves."""
        known = tuple(name for name in (resolved.name, resolved.model, resolved.caller) if name is not None)
        # Compare literally first: the name of a model may contain brackets.
        return any(pattern in known or any(fnmatchcase(name, pattern) for name in known) for pattern in self.models)


class _Rules:
    """The rules in force, in every thread; the latest rule of each type decides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: tuple[_Rule, ...] = ()

    def begin(self, rule: _Rule) -> None:
        """Add a rule. A test's failures are not an outage, so the retry budgets start full."""
        forget_budgets()
        with self._lock:
            self._rules = (*self._rules, rule)
            STAND_INS.provider = self.serving

    def end(self, rule: _Rule) -> None:
        """Remove a rule."""
        with self._lock:
            self._rules = tuple(one for one in self._rules if one is not rule)
            STAND_INS.provider = self.serving if self._rules else None

    def serving(self, resolved: ResolvedModel, opened: Provider) -> Provider:
        """Return the provider that serves a call: the test's own takes precedence over a block."""
        rules = self._rules[::-1]
        for rule in rules:
            if rule.provider is not None and rule.matches(resolved):
                return rule.provider
        if resolved.provider in _SIMULATED:
            return opened
        block = next((rule for rule in rules if rule.provider is None), None)
        if block is None or block.matches(resolved):
            return opened
        blocked = _Blocked(resolved, opened.name)
        record = getattr(opened, "recording_by", None)
        return blocked if record is None else record(blocked)


_RULES = _Rules()


@dataclass(frozen=True, slots=True)
class _Scope(AbstractContextManager[_T], Generic[_T]):
    """Applies a rule while the block runs. Not a decorator: around an `async def` it would end too early."""

    value: _T
    rule: _Rule = field(repr=False)

    def __enter__(self) -> _T:
        _RULES.begin(self.rule)
        return self.value

    def __exit__(self, *exception: object) -> None:
        _RULES.end(self.rule)


def _patterns(models: object, what: str) -> tuple[str, ...]:
    if isinstance(models, str) or not isinstance(models, Iterable):
        raise TypeError(f"{what}={models!r} is not a list of models: write {what}=[{models!r}]")
    return tuple(str(model) for model in models)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def use_provider(provider: _P, *, model: str | None = None) -> AbstractContextManager[_P]:
    """Let a provider of the test answer every call to a model, in all threads, while the `with` block runs.

    The stages around a model stay: guards, cache, retries, spans. The innermost block that matches the model serves. It
    also serves `llmops.LLM` objects and streams made before the block.

    Args:
        provider: A `ScriptedProvider`, or any other; the block does not close it.
        model: The model or the name of `[models]` that it serves; `*` matches anything, as in "openai/*". None means
            every model.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.testing import ScriptedProvider, use_provider
        >>> with use_provider(ScriptedProvider(["Blue."]), model="openai/*") as scripted:
        ...     llmops.chat("What colour is the sky?", model="openai/gpt-4.1-mini").text
        'Blue.'
        >>> scripted.requests[0].messages[0]["content"]
        'What colour is the sky?'
    """
    return _Scope(provider, _Rule(models=("*",) if model is None else (model,), provider=provider))


def block_real_calls(*, allow: Iterable[str] = ()) -> AbstractContextManager[None]:
    """Block every call to a real model while the `with` block runs, in all threads: whole, streamed or async.

    Offline models and the providers of `use_provider` answer as before; cassettes replay, and record nothing. The
    innermost block decides. Calls that bypass the SDK, through a vendor's own client, are not blocked. The pytest
    plugin has it as the fixture `block_real_calls`.

    Args:
        allow: Models that may be called, as in "ollama/*".

    Raises:
        TypeError: `allow` is not a list.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.testing import block_real_calls
        >>> with block_real_calls():
        ...     llmops.chat("Hi", model="offline/echo").text
        'Hi'
        >>> with block_real_calls():
        ...     llmops.chat("Hi", model="openai/gpt-4.1-mini")
        Traceback (most recent call last):
        llmops_sdk.testing._calls.RealCallBlockedError: a call to the real model "openai/gpt-4.1-mini" was blocked
    """
    return _Scope(None, _Rule(models=_patterns(allow, "allow")))


@contextmanager
def use_clock(clock: _C) -> Generator[_C]:
    """Use a clock of the test for every stage around a model: retries, deadlines, fallbacks, cache.

    Args:
        clock: A `ManualClock`, or any other; with a `ManualClock` a wait returns at once.

    Example:
        >>> import llmops_sdk as llmops
        >>> from llmops_sdk.testing import FailingProvider, ManualClock, use_clock, use_provider
        >>> busy = llmops.RateLimitError("slow down", retry_after=30.0)
        >>> with use_clock(ManualClock()) as clock, use_provider(FailingProvider(busy, times=1)):
        ...     [attempt.status for attempt in llmops.chat("Hi").attempts]
        ['error', 'ok']
        >>> clock.waits
        [30.0]
    """
    before, STAND_INS.clock = STAND_INS.clock, clock
    try:
        yield clock
    finally:
        STAND_INS.clock = before


class _Blocked(WrapperProvider):
    """Raises at every call to the model."""

    def __init__(self, resolved: ResolvedModel, name: str) -> None:
        self._resolved = resolved
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def server(self) -> None:
        return None

    @property
    def inner(self) -> NoReturn:
        """Raise: every call goes to the provider inside."""
        model = self._resolved.model
        cassettes = current().cassettes
        if self._resolved.provider == "cassette" and cassettes.mode != "replay":
            raise RealCallBlockedError(
                f'[cassettes] mode = "{cassettes.mode}" asks the cassette "{model}" to record this call, but '
                "llmops_sdk.testing.block_real_calls() blocks real calls. Record without the block, as in "
                "`LLMOPS_CASSETTES__MODE=new pytest -o usefixtures=`",
                model=model,
            )
        called = f'"{model}"' if self._resolved.name == model else f'"{model}" (as "{self._resolved.name}")'
        raise RealCallBlockedError(
            f"a call to the real model {called} was blocked by llmops_sdk.testing.block_real_calls(): answer it with "
            f'use_provider(ScriptedProvider(["…"]), model="{model}"), set an offline model, or allow it with '
            f'block_real_calls(allow=["{model}"])',
            model=model,
        )

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

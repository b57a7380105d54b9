"""Who answers the calls to models while a test runs: a provider of the test's, the offline one, and nobody real."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Generic, TypeVar

from llmops_sdk._util._clock import Clock
from llmops_sdk.client._shared import STAND_INS
from llmops_sdk.config import ResolvedModel
from llmops_sdk.errors import RealCallBlockedError
from llmops_sdk.providers import Chunk, Embeddings, Provider, Request, Response
from llmops_sdk.resilience._budget import forget_budgets

__all__ = ["block_real_calls", "use_clock", "use_provider"]

_NOT_REAL = frozenset({"offline"})

_P = TypeVar("_P", bound=Provider)
_T = TypeVar("_T")
_C = TypeVar("_C", bound=Clock)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rule:
    """What holds for models while a block runs.

    Attributes:
        models: Patterns of models: those that `provider` serves, or those that a block lets through.
        provider: The provider that serves them, or None for a block.
    """

    models: tuple[str, ...]
    provider: Provider | None = None

    def names(self, resolved: ResolvedModel) -> bool:
        """Whether a pattern fits the model, or the name that the caller has for it."""
        known = (resolved.name, resolved.model)
        # First as it stands: the name of a model may have brackets in it.
        return any(pattern in known or any(fnmatchcase(name, pattern) for name in known) for pattern in self.models)


class _Rules:
    """The rules in force, in every thread; of each kind the one that began last decides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: tuple[_Rule, ...] = ()

    def begin(self, rule: _Rule) -> None:
        """Let a rule hold. Failures that a test makes are no outage of the model's."""
        forget_budgets()
        with self._lock:
            self._rules = (*self._rules, rule)
            STAND_INS.provider = self.serving

    def end(self, rule: _Rule) -> None:
        """Let it hold no more."""
        with self._lock:
            self._rules = tuple(one for one in self._rules if one is not rule)
            STAND_INS.provider = self.serving if self._rules else None

    def serving(self, resolved: ResolvedModel, opened: Provider) -> Provider:
        """The provider that serves a call: one of the test's, before it is asked whether a real one may."""
        rules = self._rules[::-1]
        for rule in rules:
            if rule.provider is not None and rule.names(resolved):
                return rule.provider
        if resolved.provider in _NOT_REAL:
            return opened
        block = next((rule for rule in rules if rule.provider is None), None)
        if block is None or block.names(resolved):
            return opened
        blocked = _Blocked(resolved, opened.name)
        record = getattr(opened, "recording_by", None)
        return blocked if record is None else record(blocked)


_RULES = _Rules()


@dataclass(frozen=True, slots=True)
class _Scope(AbstractContextManager[_T], Generic[_T]):
    """Holds a rule while the block runs. No decorator: around an `async def` it would end before the call began."""

    value: _T
    rule: _Rule = field(repr=False)

    def __enter__(self) -> _T:
        """Let the rule hold."""
        _RULES.begin(self.rule)
        return self.value

    def __exit__(self, *exception: object) -> None:
        """Let it hold no more."""
        _RULES.end(self.rule)


def _patterns(models: object, what: str) -> tuple[str, ...]:
    if isinstance(models, str) or not isinstance(models, Iterable):
        raise TypeError(f"{what}={models!r} is not a list of models: write {what}=[{models!r}]")
    return tuple(str(model) for model in models)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def use_provider(provider: _P, *, model: str | None = None) -> AbstractContextManager[_P]:
    """Have a provider of the test's answer every call to a model, in all threads, while the `with` block runs.

    The stages around a model stay: guards, cache, retries, spans. Of several blocks the innermost that fits the model
    serves. `llmops.LLM` objects and streams made before the block are under it as well.

    Args:
        provider: As in `ScriptedProvider`; it is not closed at the end.
        model: The model or the name of `[models]` that it serves; `*` stands for anything, as in "openai/*". None is
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
    """Let no call to a real model leave while the `with` block runs: not from any thread, whole, streamed or async.

    The offline models and what `use_provider` puts in place answer as before; cassettes replay, and record nothing. Of
    several blocks the innermost decides. Calls that go past the SDK, by a vendor's own client, are not seen. As a
    fixture, the pytest plugin has it by the name `block_real_calls`.

    Args:
        allow: Models that may be called all the same, as in "ollama/*".

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
    """Have calls to models wait between their attempts with a clock of the test's, so that no test waits for a retry.

    Args:
        clock: As in `ManualClock`.

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


class _Blocked:
    """Raises at every call to the model."""

    def __init__(self, resolved: ResolvedModel, name: str) -> None:
        self.name = name
        self._resolved = resolved

    def _error(self) -> RealCallBlockedError:
        model = self._resolved.model
        called = f'"{model}"' if self._resolved.name == model else f'"{model}" (as "{self._resolved.name}")'
        return RealCallBlockedError(
            f"a call to the real model {called} was blocked by llmops_sdk.testing.block_real_calls(): answer it with "
            f'use_provider(ScriptedProvider(["…"]), model="{model}"), set an offline model, or allow it with '
            f'block_real_calls(allow=["{model}"])',
            model=model,
        )

    def complete(self, request: Request) -> Response:  # noqa: ARG002 - the protocol's
        raise self._error()

    async def acomplete(self, request: Request) -> Response:  # noqa: ARG002 - the protocol's
        raise self._error()

    def stream(self, request: Request) -> Iterator[Chunk]:  # noqa: ARG002 - the protocol's
        raise self._error()

    def astream(self, request: Request) -> AsyncIterator[Chunk]:  # noqa: ARG002 - the protocol's
        raise self._error()

    def embed(self, texts: Sequence[str], request: Request) -> Embeddings:  # noqa: ARG002 - the protocol's
        raise self._error()

    async def aembed(self, texts: Sequence[str], request: Request) -> Embeddings:  # noqa: ARG002 - the protocol's
        raise self._error()

    def close(self) -> None:
        """Nothing is held."""

    async def aclose(self) -> None:
        """Nothing is held."""

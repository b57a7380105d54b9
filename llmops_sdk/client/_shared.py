"""The providers and the clock of a model's stages: the real ones, or those that a test puts in their place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import ResolvedModel
from llmops_sdk.errors import ProviderError
from llmops_sdk.providers import Provider, Request, Response, WrapperProvider, open_provider
from llmops_sdk.providers.litellm._endpoint import identify
from llmops_sdk.resilience._open_scopes import open_scopes

__all__ = ["CALL_CLOCK", "STAND_INS", "JudgeProvider", "LazyProvider", "SharedProvider"]


@dataclass(slots=True)
class _StandIns:
    """Replacements of real parts, in every thread; only `llmops_sdk.testing` sets them.

    Attributes:
        provider: Takes a model and its provider and returns the provider that serves the call; None changes nothing.
        clock: The clock of every stage around a model.
    """

    provider: Callable[[ResolvedModel, Provider], Provider] | None = None
    clock: Clock = SYSTEM_CLOCK


STAND_INS = _StandIns()


class _CallClock:
    """The clock in force at each reading: the stages that hold it are older than the test that replaces it."""

    @property
    def in_force(self) -> Clock:
        """Return the clock in force; see `is_real_time`."""
        return STAND_INS.clock

    def time(self) -> float:
        return STAND_INS.clock.time()

    def monotonic(self) -> float:
        return STAND_INS.clock.monotonic()

    def sleep(self, seconds: float) -> None:
        STAND_INS.clock.sleep(seconds)

    async def asleep(self, seconds: float) -> None:
        await STAND_INS.clock.asleep(seconds)


CALL_CLOCK: Clock = _CallClock()
"""The clock of every stage around a model."""


class SharedProvider(WrapperProvider):
    """A model's provider, opened at its first use and shared by several chains of stages: none of them closes it.

    Each call asks for the serving provider anew, so that a test's provider also serves chains made before the test.

    Args:
        resolved: The model that it serves.

    Raises:
        ConfigError: The offline model does not exist, or an option is not valid.
    """

    def __init__(self, resolved: ResolvedModel) -> None:
        self._resolved = resolved
        self._lock = threading.Lock()
        self._known = identify(resolved)
        self._scoped_before: Provider | None = None
        self.opened_or_none: Provider | None = None
        """The opened provider, or None before the first use."""
        if self._known is None:
            self.opened_or_none = open_provider(resolved, clock=CALL_CLOCK)

    @property
    def opened(self) -> Provider:
        """Return the opened provider."""
        with self._lock:
            if self.opened_or_none is None:
                self.opened_or_none = open_provider(self._resolved, clock=CALL_CLOCK)
            return self.opened_or_none

    @property
    def inner(self) -> Provider:
        """Return the provider that serves the call."""
        choose = STAND_INS.provider
        provider = self.opened if choose is None else choose(self._resolved, self.opened)
        return self._scoped(provider) if open_scopes() else provider

    def _scoped(self, provider: Provider) -> Provider:
        """Return the provider with the budgets of decorators and blocks, which may be open around any call."""
        from llmops_sdk.resilience.traffic._scoped import scoped_provider

        self._scoped_before = scoped_provider(self._resolved, provider, CALL_CLOCK, self._scoped_before)
        return self._scoped_before

    @property
    def name(self) -> str:
        """Return the provider's name, without opening it where that is known before."""
        return self.inner.name if self._known is None or STAND_INS.provider is not None else self._known[0]

    @property
    def server(self) -> tuple[str, int] | None:
        """Return the address and port of the server, or None if unknown."""
        if self._known is None or STAND_INS.provider is not None:
            return getattr(self.inner, "server", None)
        return self._known[1]

    def close(self) -> None:
        """Do nothing: `Stages` closes the provider."""

    async def aclose(self) -> None:
        """Do nothing: `Stages` closes the provider."""


class LazyProvider(WrapperProvider):
    """Stages that are made at the first call.

    Args:
        provider: The provider below the stages, which has the name and the server.
        make: Makes the stages.
    """

    def __init__(self, provider: Provider, make: Callable[[], Provider]) -> None:
        self._provider = provider
        self._make = make
        self._made: Provider | None = None
        self._lock = threading.Lock()

    @property
    def inner(self) -> Provider:
        """Return the stages."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    @property
    def name(self) -> str:
        """Return the name of the provider."""
        return self._provider.name

    @property
    def server(self) -> tuple[str, int] | None:
        """Return the address and port of the provider's server, or None if unknown."""
        return getattr(self._provider, "server", None)

    def close(self) -> None:
        """Close the stages, if they were made."""
        if self._made is not None:
            self._made.close()

    async def aclose(self) -> None:
        """Close the stages, if they were made, async."""
        if self._made is not None:
            await self._made.aclose()


class JudgeProvider(WrapperProvider):
    """Answers a judge; its errors carry no message of the vendor, which may quote a text that no guard has passed.

    It stands below the retries, because each attempt may have a span that records its error.
    """

    def complete(self, request: Request) -> Response:
        with _without_message():
            return self.inner.complete(request)

    async def acomplete(self, request: Request) -> Response:
        with _without_message():
            return await self.inner.acomplete(request)


@contextmanager
def _without_message() -> Generator[None]:
    try:
        yield
    except ProviderError as error:
        status = "" if error.status_code is None else f" ({error.status_code})"
        error.args = (f"the model of a judge failed{status}",)
        # From None: the vendor's own error has the same message.
        raise error from None

"""The providers and the clock of a model's stages: the real ones, or those that a test puts in their place."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import ResolvedModel
from llmops_sdk.errors import ProviderError
from llmops_sdk.providers import Provider, Request, Response, WrapperProvider

__all__ = ["CALL_CLOCK", "STAND_INS", "JudgeProvider", "SharedProvider"]


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
    """A model's provider, shared by several chains of stages: none of them closes it.

    Each call asks for the serving provider anew, so that a test's provider also serves chains made before the test.

    Args:
        resolved: The model that it serves.
        opened: The opened provider.
    """

    def __init__(self, resolved: ResolvedModel, opened: Provider) -> None:
        self._resolved = resolved
        self.opened = opened

    @property
    def inner(self) -> Provider:
        """Return the provider that serves the call."""
        choose = STAND_INS.provider
        return self.opened if choose is None else choose(self._resolved, self.opened)

    def close(self) -> None:
        """Do nothing: `Stages` closes the provider."""

    async def aclose(self) -> None:
        """Do nothing: `Stages` closes the provider."""


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

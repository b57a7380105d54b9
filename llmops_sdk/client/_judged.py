"""The provider of a judge."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from llmops_sdk.errors import ProviderError
from llmops_sdk.providers import Request, Response, WrapperProvider

__all__ = ["JudgeProvider"]


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

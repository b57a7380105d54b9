"""The model of a named judge for guards outside of a call. `guardrails` finds it by name: it is below this package."""

from __future__ import annotations

from llmops_sdk.client._functions import DEFAULT
from llmops_sdk.providers import Provider, Request, Response, WrapperProvider

__all__ = ["late_judge"]


class _LateJudge(WrapperProvider):
    """Asks a model by its name in the settings in force, so that new settings and tests replace what serves it."""

    def __init__(self, model: str, name: str) -> None:
        self._model, self._name = model, name

    @property
    def name(self) -> str:
        return self._name

    def complete(self, request: Request) -> Response:
        with DEFAULT.lease() as stages:
            return stages.judge(self._model)[0].complete(request)

    async def acomplete(self, request: Request) -> Response:
        with DEFAULT.lease() as stages:
            return await stages.judge(self._model)[0].acomplete(request)


def late_judge(model: str) -> tuple[Provider, str]:
    """Return the provider of a judge, and the full name of its model.

    Args:
        model: A name of `[models]`, or "provider/model".

    Raises:
        ConfigError: There is no such model.
    """
    with DEFAULT.lease() as stages:
        provider, full_name = stages.judge(model)
        return _LateJudge(model, provider.name), full_name

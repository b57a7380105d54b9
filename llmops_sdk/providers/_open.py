"""Open the provider of a resolved model."""

from __future__ import annotations

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import ResolvedModel, current, placed, resolve_model
from llmops_sdk.errors import ConfigError
from llmops_sdk.providers._names import nearest
from llmops_sdk.providers._protocol import Provider

__all__ = ["open_provider"]

_OFFLINE = ("offline/echo", "offline/script")


def open_provider(resolved: ResolvedModel, *, clock: Clock = SYSTEM_CLOCK) -> Provider:
    """Return the provider that serves a model.

    Opening sends no request and does not import litellm; the first call does.

    Args:
        resolved: The model with its settings.
        clock: The clock that simulated latency waits on.

    Raises:
        ConfigError: The offline model does not exist, or one of its options is unknown or of the wrong type.

    Example:
        >>> from llmops_sdk.config import Settings, resolve_model
        >>> from llmops_sdk.providers import Request, open_provider
        >>> provider = open_provider(resolve_model(Settings(), "offline/echo"))
        >>> provider.complete(Request(model="offline/echo", messages=[{"role": "user", "content": "Hi"}])).text
        'Hi'
    """
    if resolved.provider in {"offline", "cassette"}:
        try:
            return (_open_offline if resolved.provider == "offline" else _open_cassette)(resolved, clock)
        except ConfigError as error:
            found = placed(error, current())
            if found is error:
                raise
            raise found from error
    from llmops_sdk.providers.litellm._provider import LitellmProvider

    return LitellmProvider(resolved)


def _open_offline(resolved: ResolvedModel, clock: Clock) -> Provider:
    # A lazy import: only users of the offline provider pay for its pydantic models and the token vocabulary.
    from llmops_sdk.providers.offline._answers import EchoAnswers, ScriptAnswers
    from llmops_sdk.providers.offline._options import EchoOptions, ScriptOptions, parse_options
    from llmops_sdk.providers.offline._provider import OfflineProvider

    if resolved.model == "offline/echo":
        options = parse_options(EchoOptions, resolved.options, name=resolved.model)
        answers = EchoAnswers(options.seed)
    elif resolved.model == "offline/script":
        options = script = parse_options(ScriptOptions, resolved.options, name=resolved.model)
        answers = ScriptAnswers(script)
    else:
        raise ConfigError(
            f'there is no model "{resolved.model}"; the offline models are {" and ".join(_OFFLINE)}',
            key="model",
            value=resolved.model,
            nearest=nearest(resolved.model, _OFFLINE),
        )
    return OfflineProvider(
        resolved.model, answers, options, timeout=resolved.timeout, price=resolved.price, clock=clock
    )


def _open_cassette(resolved: ResolvedModel, clock: Clock) -> Provider:
    from llmops_sdk.providers.cassettes._options import CassetteOptions
    from llmops_sdk.providers.cassettes._provider import CassetteProvider
    from llmops_sdk.providers.offline._options import parse_options

    options = parse_options(CassetteOptions, resolved.options, name=resolved.model)

    def open_recorded() -> tuple[str, Provider]:
        settings = current()
        source = options.records or settings.cassettes.records
        if source is None:
            raise ConfigError(
                f"{resolved.model} does not know which model to record: set [cassettes] records, as in "
                '"openai/gpt-4.1-mini", or options.records of this model in [models]',
                key="cassettes.records",
            )
        recorded = resolve_model(settings, source)
        if recorded.provider == "cassette":
            raise ConfigError(
                f'{resolved.model} cannot record "{source}", which is a cassette itself',
                key="cassettes.records",
                value=source,
            )
        return recorded.model, open_provider(recorded, clock=clock)

    return CassetteProvider(resolved.model.partition("/")[2], open_recorded, realtime=options.realtime, clock=clock)

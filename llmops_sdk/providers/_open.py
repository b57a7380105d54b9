"""From a resolved model to the provider that serves it."""

from __future__ import annotations

from llmops_sdk._util._clock import SYSTEM_CLOCK, Clock
from llmops_sdk.config import ResolvedModel, current, resolve_model
from llmops_sdk.errors import ConfigError
from llmops_sdk.providers._names import nearest
from llmops_sdk.providers._protocol import Provider

__all__ = ["open_provider"]

_OFFLINE = ("offline/echo", "offline/script")


def open_provider(resolved: ResolvedModel, *, clock: Clock = SYSTEM_CLOCK) -> Provider:
    """The provider that serves a model; nothing is sent anywhere, and litellm is not imported, before the first call.

    Args:
        resolved: The model with its settings.
        clock: What the offline provider waits with.

    Raises:
        ConfigError: There is no such offline model, or an option of it is unknown or of the wrong type.

    Example:
        >>> from llmops_sdk.config import Settings, resolve_model
        >>> from llmops_sdk.providers import Request, open_provider
        >>> provider = open_provider(resolve_model(Settings(), "offline/echo"))
        >>> provider.complete(Request(model="offline/echo", messages=[{"role": "user", "content": "Hi"}])).text
        'Hi'
    """
    if resolved.provider == "offline":
        return _open_offline(resolved, clock)
    if resolved.provider == "cassette":
        return _open_cassette(resolved, clock)
    from llmops_sdk.providers.litellm._provider import LitellmProvider

    return LitellmProvider(resolved)


def _open_offline(resolved: ResolvedModel, clock: Clock) -> Provider:
    # Imported here: pydantic models and the token vocabulary are for users of the offline provider only.
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
        close = nearest(resolved.model, _OFFLINE)
        raise ConfigError(
            f'there is no model "{resolved.model}"; the offline models are {" and ".join(_OFFLINE)}',
            key="model",
            value=resolved.model,
            nearest=close,
        )
    return OfflineProvider(
        resolved.model, answers, options, timeout=resolved.timeout, price=resolved.price, clock=clock
    )


def _open_cassette(resolved: ResolvedModel, clock: Clock) -> Provider:
    from llmops_sdk.providers.cassettes._options import CassetteOptions
    from llmops_sdk.providers.cassettes._provider import CassetteProvider
    from llmops_sdk.providers.offline._options import parse_options

    options = parse_options(CassetteOptions, resolved.options, name=resolved.model)

    def recorder() -> tuple[str, Provider]:
        settings = current()
        source = options.records or settings.cassettes.records
        if source is None:
            raise ConfigError(
                f"{resolved.model} is to record, and no model is named: set [cassettes] records, as in "
                '"openai/gpt-4.1-mini", or options.records of its own in [models]',
                key="cassettes.records",
            )
        found = resolve_model(settings, source)
        if found.provider == "cassette":
            raise ConfigError(
                f'{resolved.model} is to record from "{source}", which is a cassette itself',
                key="cassettes.records",
                value=source,
            )
        return found.model, open_provider(found, clock=clock)

    return CassetteProvider(resolved.model.partition("/")[2], recorder, realtime=options.realtime, clock=clock)

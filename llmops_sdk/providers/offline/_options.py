"""The options of the offline provider: frozen, and an unknown one is an error."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from llmops_sdk.errors import (
    AuthenticationError,
    BadRequestError,
    ConfigError,
    ContentFilterError,
    ContextWindowError,
    IncompleteResponseError,
    NotFoundError,
    PermissionDeniedError,
    ProviderConnectionError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
    ServerError,
    StreamInterruptedError,
)
from llmops_sdk.providers._names import nearest

__all__ = [
    "EchoOptions",
    "FailureDraws",
    "FailureProfile",
    "Rule",
    "ScriptOptions",
    "ScriptedCall",
    "parse_options",
    "simulated_failure",
]

FailureKind: TypeAlias = Literal[
    "rate_limit",
    "server",
    "timeout",
    "connection",
    "authentication",
    "permission",
    "bad_request",
    "context_window",
    "content_filter",
    "not_found",
    "interrupted",
    "incomplete",
]

_FAILURES: dict[str, tuple[type[ProviderError], int | None]] = {
    "rate_limit": (RateLimitError, 429),
    "server": (ServerError, 503),
    "timeout": (ProviderTimeoutError, None),
    "connection": (ProviderConnectionError, None),
    "authentication": (AuthenticationError, 401),
    "permission": (PermissionDeniedError, 403),
    "bad_request": (BadRequestError, 400),
    "context_window": (ContextWindowError, 400),
    "content_filter": (ContentFilterError, 400),
    "not_found": (NotFoundError, 404),
    "interrupted": (StreamInterruptedError, None),
    "incomplete": (IncompleteResponseError, None),
}


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FailureProfile(_Options):
    """Which calls fail, and how. The n-th call of a provider has the same fate in every run."""

    rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the calls that fail, after those of `sequence`."""
    errors: Annotated[tuple[FailureKind, ...], Field(min_length=1)] = ("server",)
    """What a failing call fails with; one of them is drawn."""
    sequence: tuple[Literal["ok"] | FailureKind, ...] = ()
    """The fate of the first calls, one by one, as in ["server", "ok"]."""
    retry_after: NonNegativeFloat | None = None
    """Seconds that a rate limit or a server's failure asks to wait."""


class EchoOptions(_Options):
    """The options of `offline/echo`."""

    latency: NonNegativeFloat = 0.0
    """Seconds to a whole answer, to the first chunk of a stream, or to a failure."""
    first_token: NonNegativeFloat | None = None
    """Seconds to the first chunk of a stream, when it is not `latency`."""
    tokens_per_second: PositiveFloat | None = None
    """The pace after the first token; None is at once."""
    seed: int = 0
    """Makes the drawn failures, values and vectors; the same seed makes the same ones."""
    dimensions: PositiveInt = 256
    """Length of the vectors that `embed` makes."""
    failures: FailureProfile = FailureProfile()
    """Which calls fail."""


class ScriptedCall(_Options):
    """A tool call of a scripted answer."""

    name: str
    """The tool's name."""
    arguments: dict[str, Any] | str | None = None
    """The arguments, or their JSON text as it is; None makes valid ones from the tool's schema."""


class Rule(_Options):
    """One scripted answer."""

    match: str | None = None
    """The answer is given to a prompt that contains this text, whatever the case, or that this regular expression
    finds. Without it the answer is one of those given in turn when no match applies."""
    text: str = ""
    """The answer's text."""
    tool_calls: tuple[ScriptedCall, ...] = ()
    """Tools to call first; the rule holds only for requests with tools, and not for the turn after a tool's result."""


class ScriptOptions(EchoOptions):
    """The options of `offline/script`."""

    answers: tuple[str | Rule, ...] = ()
    """Answers in turn, and rules. Without any, answers are made from the seed and the prompt."""


_Parsed = TypeVar("_Parsed", bound=BaseModel)


def parse_options(kind: type[_Parsed], options: Mapping[str, Any], *, name: str) -> _Parsed:
    """`options` of the model `name`, checked.

    Raises:
        ConfigError: One is unknown or of the wrong type; the error has its key, its value and the nearest known key.
    """
    try:
        return kind.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        key = f"options.{path}"
        if first["type"] != "extra_forbidden":
            message = f"{key} = {first['input']!r} of {name} is not valid: {first['msg']}"
            raise ConfigError(message, key=key, value=first["input"]) from error
        model = FailureProfile if path.startswith("failures.") else Rule if "." in path else kind
        close = nearest(path.rpartition(".")[2], model.model_fields)
        hint = f'; did you mean "{close}"?' if close else f"; known are {', '.join(sorted(model.model_fields))}"
        raise ConfigError(
            f"{key} is not an option of {name}{hint}", key=key, value=first["input"], nearest=close
        ) from error


class FailureDraws:
    """Draws the fate of each call from the seed and the call's number, so that concurrent runs fail as often."""

    def __init__(self, profile: FailureProfile, seed: int) -> None:
        self._profile = profile
        self._seed = seed
        self._lock = threading.Lock()
        self._calls = 0

    def draw(self) -> tuple[int, str | None]:
        """The number of this call, from 0, and the kind of its failure or None."""
        with self._lock:
            number = self._calls
            self._calls += 1
        if number < len(self._profile.sequence):
            fate = self._profile.sequence[number]
            return number, None if fate == "ok" else fate
        if not self._profile.rate:
            return number, None
        draws = random.Random(f"{self._seed}:{number}")  # noqa: S311 - a simulation, not a secret
        return number, draws.choice(self._profile.errors) if draws.random() < self._profile.rate else None


def simulated_failure(kind: str, *, model: str, retry_after: float | None = None) -> ProviderError:
    """The error that a drawn failure raises."""
    cls, status = _FAILURES[kind]
    waits = retry_after if kind in {"rate_limit", "server"} else None
    return cls(
        f'{model} failed with "{kind}", as its failure profile says',
        provider="offline",
        model=model,
        status_code=status,
        retry_after=waits,
    )

"""The options of the offline provider. They are frozen, and unknown options are errors."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, ValidationError

from llmops_sdk import errors
from llmops_sdk.errors import ConfigError, ProviderError
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

FailureName: TypeAlias = Literal[
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
    "rate_limit": (errors.RateLimitError, 429),
    "server": (errors.ServerError, 503),
    "timeout": (errors.ProviderTimeoutError, None),
    "connection": (errors.ProviderConnectionError, None),
    "authentication": (errors.AuthenticationError, 401),
    "permission": (errors.PermissionDeniedError, 403),
    "bad_request": (errors.BadRequestError, 400),
    "context_window": (errors.ContextWindowError, 400),
    "content_filter": (errors.ContentFilterError, 400),
    "not_found": (errors.NotFoundError, 404),
    "interrupted": (errors.StreamInterruptedError, None),
    "incomplete": (errors.IncompleteResponseError, None),
}


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FailureProfile(_Options):
    """Which calls fail, and how. The n-th call of a provider has the same outcome in every run."""

    rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of calls that fail, after the calls of `sequence`."""
    errors: Annotated[tuple[FailureName, ...], Field(min_length=1)] = ("server",)
    """Errors of failing calls; each failing call draws one."""
    sequence: tuple[Literal["ok"] | FailureName, ...] = ()
    """Outcomes of the first calls, as in ["server", "ok"]."""
    retry_after: NonNegativeFloat | None = None
    """Seconds to wait that a rate limit or a server failure asks for."""


class EchoOptions(_Options):
    """The options of `offline/echo`."""

    latency: NonNegativeFloat = 0.0
    """Seconds before a whole answer, the first chunk of a stream, or a failure."""
    first_token: NonNegativeFloat | None = None
    """Seconds before the first chunk of a stream; None uses `latency`."""
    tokens_per_second: PositiveFloat | None = None
    """Speed after the first token; None is instant."""
    seed: int = 0
    """Seed of failures, values and vectors; equal seeds give equal results."""
    dimensions: PositiveInt = 256
    """Length of the vectors that `embed` returns."""
    failures: FailureProfile = FailureProfile()
    """Which calls fail."""


class ScriptedCall(_Options):
    """A tool call of a scripted answer."""

    name: str
    """The tool's name."""
    arguments: dict[str, Any] | str | None = None
    """The arguments, or their JSON text; None generates valid ones from the tool's schema."""


class Rule(_Options):
    """One scripted answer."""

    match: str | None = None
    """The answer applies to prompts that contain this text, in any case, or that match this regular expression.
    Answers without `match` take turns when no rule matches."""
    text: str = ""
    """The answer's text."""
    tool_calls: tuple[ScriptedCall, ...] = ()
    """Tools to call first. The rule then applies only to requests with tools, and not right after a tool's result."""


class ScriptOptions(EchoOptions):
    """The options of `offline/script`."""

    answers: tuple[str | Rule, ...] = ()
    """Answers in turn, and rules. Without answers, the seed and the prompt determine the text."""


_Parsed = TypeVar("_Parsed", bound=BaseModel)


def parse_options(options_class: type[_Parsed], options: Mapping[str, Any], *, name: str) -> _Parsed:
    """Check the `options` of the model `name`.

    Raises:
        ConfigError: An option is unknown or of the wrong type. The error has its key, value and nearest known key.
    """
    try:
        return options_class.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        key = f"options.{path}"
        if first["type"] != "extra_forbidden":
            message = f"{key} = {first['input']!r} of {name} is not valid: {first['msg']}"
            raise ConfigError(message, key=key, value=first["input"]) from error
        model = FailureProfile if path.startswith("failures.") else Rule if "." in path else options_class
        close = nearest(path.rpartition(".")[2], model.model_fields)
        hint = f'; did you mean "{close}"?' if close else f"; known are {', '.join(sorted(model.model_fields))}"
        raise ConfigError(
            f"{key} is not an option of {name}{hint}", key=key, value=first["input"], nearest=close
        ) from error


class FailureDraws:
    """Draws the outcome of each call from the seed and the call's number: concurrent runs fail as often."""

    def __init__(self, profile: FailureProfile, seed: int) -> None:
        self._profile = profile
        self._seed = seed
        self._lock = threading.Lock()
        self._calls = 0

    def draw(self) -> tuple[int, str | None]:
        """Return the number of this call, from 0, and the name of its failure or None."""
        with self._lock:
            number = self._calls
            self._calls += 1
        if number < len(self._profile.sequence):
            outcome = self._profile.sequence[number]
            return number, None if outcome == "ok" else outcome
        if not self._profile.rate:
            return number, None
        draws = random.Random(f"{self._seed}:{number}")  # noqa: S311 - a simulation, not a secret
        return number, draws.choice(self._profile.errors) if draws.random() < self._profile.rate else None


def simulated_failure(failure: str, *, model: str, retry_after: float | None = None) -> ProviderError:
    """Return the error of a drawn failure."""
    error_class, status = _FAILURES[failure]
    return error_class(
        f'{model} failed with "{failure}", as its failure profile says',
        provider="offline",
        model=model,
        status_code=status,
        retry_after=retry_after if failure in {"rate_limit", "server"} else None,
    )

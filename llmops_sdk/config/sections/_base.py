"""The base of every settings model, and the field types that files and the environment can supply."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, ValidationError

from llmops_sdk.config._secrets import masked
from llmops_sdk.errors import ConfigError

__all__ = [
    "FolderPath",
    "MissingKeyError",
    "Names",
    "OptionalPath",
    "OptionalSeconds",
    "OptionalText",
    "OrNone",
    "SettingsSection",
]


if TYPE_CHECKING:
    from collections.abc import Iterable


def _none(value: object) -> object:
    """Convert the word "none", as TOML and environment variables have no null."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


OrNone = BeforeValidator(_none)

OptionalText = Annotated[str | None, OrNone]
OptionalSeconds = Annotated[PositiveFloat | None, OrNone]
# A strict field accepts only a Path or a tuple, but a file has strings and lists.
FolderPath = Annotated[Path, Field(strict=False)]
OptionalPath = Annotated[FolderPath | None, OrNone]
Names = Annotated[tuple[str, ...], Field(strict=False)]


class MissingKeyError(ValueError):
    """A validator's error: the section needs a key where others are not set.

    Args:
        key: The key.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"a table with the key {key}")
        self.key = key


explain_error: Callable[[type[SettingsSection], ValidationError], ConfigError] | None = None
"""Creates the error of a constructor. `loading._problems` sets it on import."""


class SettingsSection(BaseModel):
    """A part of the settings: frozen and strict. Unknown keys and values of another type ("3" for 3) are errors."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    if not TYPE_CHECKING:  # type checkers derive the arguments from the fields

        def __init__(self, /, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                if explain_error is None:
                    raise
                # From None: pydantic's error contains the values, secrets too.
                raise explain_error(type(self), error) from None

        # Like pydantic's RootModel: pydantic creates nested sections without calling this.
        __init__.__pydantic_base_init__ = True

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Yield the fields, with secrets masked."""
        for name, value in super().__repr_args__():
            yield name, masked((name or "",), value)

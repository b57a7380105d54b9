"""What every part of the settings is: a frozen model, and the types that files and the environment can give."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, ValidationError

from llmops_sdk.config._secrets import masked
from llmops_sdk.errors import ConfigError

__all__ = ["FolderPath", "Names", "OptionalPath", "OptionalSeconds", "OptionalText", "OrNone", "Section"]

if TYPE_CHECKING:
    from collections.abc import Iterable


def _none(value: object) -> object:
    """TOML and environment variables have no null, so the word "none" stands for it."""
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


OrNone = BeforeValidator(_none)

OptionalText = Annotated[str | None, OrNone]
OptionalSeconds = Annotated[PositiveFloat | None, OrNone]
# A strict field takes only a Path and only a tuple; a file has strings and lists.
FolderPath = Annotated[Path, Field(strict=False)]
OptionalPath = Annotated[FolderPath | None, OrNone]
Names = Annotated[tuple[str, ...], Field(strict=False)]


explain: Callable[[type[Section], ValidationError], ConfigError] | None = None
"""Makes the error of a constructor; `loading._problems` sets it when the package is imported."""


class Section(BaseModel):
    """A part of the settings: frozen, an unknown key is an error, and so is a value of another type ("3" for 3)."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    if not TYPE_CHECKING:  # type checkers are to see the fields as the arguments

        def __init__(self, /, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                if explain is None:
                    raise
                # From None: pydantic's error has the values in it, secrets too.
                raise explain(type(self), error) from None

        # As pydantic's own RootModel has it: sections inside others are made without a call of this.
        __init__.__pydantic_base_init__ = True

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """The fields, without the values of headers and of what looks like a secret."""
        for name, value in super().__repr_args__():
            yield name, masked((name or "",), value)

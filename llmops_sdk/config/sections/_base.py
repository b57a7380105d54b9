"""The base of every settings model, and the field types that files and the environment can supply."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

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
    "field_docs",
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
        protected_namespaces=(),
        # Not `use_attribute_docstrings`, which reads and parses every module of the settings on import: `field_docs`.
        defer_build=True,
    )

    written_in: ClassVar[str]
    """The module of the source, which `__module__` is not for public sections."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.written_in = cls.__module__

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


@cache
def field_docs(section: type[SettingsSection]) -> Mapping[str, str]:
    """Return the docstrings below the fields of a section, by field, as its source has them."""
    import ast
    import inspect

    module = ast.parse(inspect.getsource(sys.modules[section.written_in]))
    [node] = [node for node in module.body if isinstance(node, ast.ClassDef) and node.name == section.__name__]
    return {
        field.target.id: text.value.value
        for field, text in pairwise(node.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }

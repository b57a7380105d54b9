"""Guards of the application by their place in its code: "module:attribute"."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from llmops_sdk._util._guard import Caught
from llmops_sdk.config.loading._guard_options import GUARD_OPTIONS, is_import_path
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detector, Guard
from llmops_sdk.guardrails.running._names import nearest
from llmops_sdk.guardrails.running._options import ConfiguredGuard, GuardOptions, split_options

__all__ = ["import_guard", "import_modules"]


def import_modules(names: Sequence[object]) -> None:
    """Import the modules of those names that lead to code; a module that is missing has its error later.

    A lock that is held during an import can wait for another thread, whose import waits for the lock.
    """
    for name in names:
        if isinstance(name, str) and is_import_path(name):
            with Caught():
                importlib.import_module(name.partition(":")[0])


def import_guard(name: str, given: Mapping[str, Any]) -> Guard:
    """Return the guard that "module:attribute" leads to: an object, or what a class or function there returns.

    Args:
        name: The place.
        given: The options: those of every guard, and the arguments of the class or function.

    Raises:
        ConfigError: The module or the attribute is missing, importing it fails, it is no guard, or an option is not
            valid.
    """
    common, own = split_options(given)
    found = _attribute(name)
    if isinstance(found, type) or inspect.isroutine(found):
        made: Any = None
        with Caught() as caught:
            made = found(**own)
        if caught.error is not None:
            raise ConfigError(
                f"the guard {name!r} cannot be made: {_described(caught.error)}. Its options are the arguments of "
                f"{getattr(found, '__qualname__', found)}{_signature(found)}",
                value=name,
            ) from caught.error
        found = made
    elif own:
        raise ConfigError(
            f"the guard {name!r} is an object, so it has no option {next(iter(own))!r}: name its class", value=name
        )
    if isinstance(found, type) or not isinstance(found, Guard):
        is_detector = isinstance(found, Detector) and not isinstance(found, type)
        hint = (
            "wrap it in DetectorGuard(detector, action)" if is_detector else "a guard has a name, a version and check"
        )
        raise ConfigError(f"{name!r} is not a guard but {_kind_of(found)}: {hint}", value=name)
    return ConfiguredGuard(found, GuardOptions(**common)) if common else found


def _attribute(name: str) -> Any:
    module, _, attribute = name.partition(":")
    found: Any = None
    with Caught() as caught:
        found = importlib.import_module(module)
    if isinstance(caught.error, ModuleNotFoundError) and f"{module}.".startswith(f"{caught.error.name}."):
        near = nearest(module, GUARD_OPTIONS)
        meant = f" If it is a guard's name: did you mean {near!r}?" if near else ""
        raise ConfigError(
            f"the guard {name!r}: there is no module {caught.error.name!r} that this program can import.{meant}",
            value=name,
            nearest=near,
        ) from None
    if caught.error is not None:
        raise ConfigError(
            f"the guard {name!r}: importing its module failed: {_described(caught.error)}", value=name
        ) from caught.error
    for part in attribute.split("."):
        if not hasattr(found, part):
            near = nearest(part, dir(found))
            hint = f": did you mean {near!r}?" if near else ""
            raise ConfigError(f"the guard {name!r}: {module} has no {part!r}{hint}", value=name, nearest=near)
        found = getattr(found, part)
    return found


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _signature(found: Any) -> str:
    try:
        return str(inspect.signature(found))
    except (TypeError, ValueError):
        return "(...)"


def _kind_of(found: object) -> str:
    return f"the class {found.__qualname__}" if isinstance(found, type) else f"of the type {type(found).__name__}"

"""Loading: every source in its order of precedence, merged key by key, checked, and written to the debug log."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from llmops_sdk.config._secrets import shown
from llmops_sdk.config.loading._environment import CONFIG_FILE_VARIABLE, environment_layer
from llmops_sdk.config.loading._files import Found, Surroundings, find, read_file
from llmops_sdk.config.loading._keys import KeyPath, dotted
from llmops_sdk.config.loading._layers import DEFAULT, Layer, arguments_layer, origin_of
from llmops_sdk.config.loading._otel_variables import otel_layer
from llmops_sdk.config.loading._problems import Problem, found_problem, key_path, raise_all
from llmops_sdk.config.loading._resolve_model import circle_problem, fallback_circle, model_problem
from llmops_sdk.config.loading._settings import Settings, values
from llmops_sdk.config.sections._models import CassetteSettings, SettingsFields, StoreSettings

__all__ = ["load", "load_from"]

_log = logging.getLogger("llmops_sdk")


class _LayerSource(PydanticBaseSettingsSource):
    """A source of pydantic-settings that says what a layer says."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - its protocol
        return self._layer.data.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._layer.data


class _Merged(SettingsFields, BaseSettings):
    """Merges the layers that it is given; it reads nothing by itself."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    def __init__(self, layers: Sequence[Layer]) -> None:
        # Not Section's: here what is wrong is to be told with the place that it comes from.
        BaseSettings.__init__(self, **cast("dict[str, Any]", {"layers": layers}))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - its protocol, like the next two
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # The keyword arguments of the constructor: pydantic-settings passes them in this source.
        given: Any = init_settings
        layers: Sequence[Layer] = given.init_kwargs["layers"]
        return tuple(_LayerSource(settings_cls, layer) for layer in layers)


def load(config_file: str | os.PathLike[str] | None = None, **overrides: Any) -> Settings:
    """Read and check the configuration, without putting it in force.

    Args:
        config_file: A file to read in place of the `llmops.toml` that would be found.
        overrides: Settings, as in `model="openai/gpt-4.1-mini"`, `retry={"attempts": 5}` or `retry__attempts=5`.

    Raises:
        ConfigError: A file is missing or not TOML, a key is unknown, or a value is of the wrong type.

    Example:
        >>> from llmops_sdk import config
        >>> settings = config.load(retry__attempts=5)
        >>> settings.retry.attempts, settings.source("retry.attempts")
        (5, 'arguments')
    """
    return load_from(Surroundings.here(), config_file, overrides)


def load_from(
    surroundings: Surroundings, config_file: str | os.PathLike[str] | None, overrides: Mapping[str, Any]
) -> Settings:
    """As `load`, in the surroundings given."""
    found = find(surroundings)
    layers, problems = _layers(surroundings, found, config_file, overrides)
    for layer in layers:
        problems += _problems(layer)
    raise_all(problems)
    layers.append(otel_layer(surroundings.environ, layers))
    # What a place of higher precedence says of the base URL is not overruled by a whole URL from below.
    layers = [_without_shadowed_url(layer, layers[:index]) for index, layer in enumerate(layers)]
    folders = {
        "store": {"path": found.folder / StoreSettings().path},
        "cassettes": {"folder": found.folder / CassetteSettings().folder},
    }
    layers.append(Layer(folders, DEFAULT))
    try:
        merged = _Merged(layers)
    except ValidationError as error:
        problems = [found_problem(item, origin_of(layers, key_path(item)[:-1]).where) for item in error.errors()]
        raise_all(problems)
        raise
    raise_all(list(_model_problems(merged, layers)))
    sources = {dotted(path): origin_of(layers, path).label for path in values(merged)}
    settings = Settings.from_sources(merged, sources)
    _log_effective(settings)
    return settings


def _layers(
    surroundings: Surroundings,
    found: Found,
    config_file: str | os.PathLike[str] | None,
    overrides: Mapping[str, Any],
) -> tuple[list[Layer], list[Problem]]:
    """Our own layers, the highest precedence first, and what is wrong with the environment's."""
    arguments = arguments_layer(overrides, surroundings.cwd)
    files = list(_files(surroundings, found, config_file))
    names = [
        (section, name)
        for layer in (arguments, *files)
        for section in ("models", "prices")
        if isinstance(entries := layer.data.get(section), dict)
        for name in cast("dict[str, Any]", entries)
    ]
    environment, problems = environment_layer(surroundings.environ, surroundings.cwd, names)
    return [arguments, environment, *files], problems


def _files(surroundings: Surroundings, found: Found, config_file: str | os.PathLike[str] | None) -> Iterator[Layer]:
    named = os.fspath(config_file) if config_file is not None else surroundings.environ.get(CONFIG_FILE_VARIABLE, "")
    path = found.config
    if named:
        by = "the argument config_file" if config_file is not None else CONFIG_FILE_VARIABLE
        path = surroundings.cwd / os.path.expanduser(named)  # noqa: PTH111 - Path.expanduser raises for "~nobody"
        yield read_file(path, named_by=by)
    elif path is not None:
        yield read_file(path)
    if found.pyproject is not None and found.pyproject != path:
        yield read_file(found.pyproject)


def _without_shadowed_url(layer: Layer, above: Sequence[Layer]) -> Layer:
    shadowed = any(higher.has(("export", "endpoint")) for higher in above)
    if not (shadowed and layer.has(("export", "traces_endpoint"))):
        return layer
    export = {name: value for name, value in layer.data["export"].items() if name != "traces_endpoint"}
    return Layer({**layer.data, "export": export}, layer.origin, layer.origins)


def _problems(layer: Layer) -> list[Problem]:
    """What is wrong with one layer; what is missing may stand in another."""
    try:
        SettingsFields.model_validate(layer.data)
    except ValidationError as error:
        items = [item for item in error.errors() if item["type"] != "missing"]
        return [found_problem(item, layer.origin_at(key_path(item)).where) for item in items]
    return []


def _model_problems(merged: SettingsFields, layers: Sequence[Layer]) -> Iterator[Problem]:
    """The default model, every named one and every fallback must lead to a provider's model."""
    wanted: dict[KeyPath, str] = {("model",): merged.model}
    wanted |= {("models", name, "model"): name for name in merged.models}
    seen: set[str] = set()
    for path, name in wanted.items():
        problem = model_problem(merged, name, origin_of(layers, path).where, dotted(path))
        # The default model may be a name whose own entry is the mistake: say it once, where it stands.
        if problem is not None and (len(path) > 1 or name not in merged.models) and problem.message not in seen:
            seen.add(problem.message)
            yield problem
    yield from _fallback_problems(merged, layers)


def _fallback_problems(merged: SettingsFields, layers: Sequence[Layer]) -> Iterator[Problem]:
    lists: dict[KeyPath, tuple[str, ...]] = {("fallbacks",): merged.fallbacks}
    lists |= {("models", name, "fallbacks"): entry.fallbacks for name, entry in merged.models.items()}
    for path, names in lists.items():
        # Of a name that there is, what is wrong is told where it stands.
        for name in (one for one in names if one not in merged.models):
            problem = model_problem(merged, name, origin_of(layers, path).where, dotted(path))
            if problem is not None:
                yield problem
    told: set[str] = set()
    for start in (merged.model, *merged.models):
        circle = [] if start in told else fallback_circle(merged, start)
        if circle:
            told |= set(circle)
            places: list[KeyPath] = [("models", start, "fallbacks"), ("fallbacks",), ("models", start, "model")]
            path = next(path for path in places if any(layer.has(path) for layer in layers))
            yield circle_problem(circle, origin_of(layers, path).where, dotted(path))


def _log_effective(settings: Settings) -> None:
    if not _log.isEnabledFor(logging.DEBUG):
        return
    sources = settings.sources
    lines = (
        f"  {dotted(path)} = {shown(path, value)}  ({sources[dotted(path)]})"
        for path, value in values(settings).items()
    )
    _log.debug("llmops: the configuration in force:\n%s", "\n".join(lines))

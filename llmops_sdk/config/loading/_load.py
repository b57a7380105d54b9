"""Load the configuration: read every source, merge by precedence, check, and write it to the debug log."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from llmops_sdk.config._secrets import masked_repr
from llmops_sdk.config.loading._environment import CONFIG_FILE_VARIABLE, environment_layer
from llmops_sdk.config.loading._files import ConfigFiles, ProcessEnvironment, find_files, read_file
from llmops_sdk.config.loading._guard_options import guard_option_problems
from llmops_sdk.config.loading._keys import KeyPath, dotted
from llmops_sdk.config.loading._layers import DEFAULT, Layer, arguments_layer, source_of
from llmops_sdk.config.loading._otel_variables import otel_layer
from llmops_sdk.config.loading._problems import Problem, from_pydantic, key_path, problem_items, raise_if_any
from llmops_sdk.config.loading._settings import Settings, describe_settings, setting_values
from llmops_sdk.config.loading._trust import FileTrust, trust_of
from llmops_sdk.config.loading.models._deployments import deployment_problems
from llmops_sdk.config.loading.models._model_names import circle_problem, fallback_circle, is_target, model_problem
from llmops_sdk.config.loading.models._routes import route_problems, routes_named
from llmops_sdk.config.sections._caching import CassetteSettings
from llmops_sdk.config.sections._fields import SettingsFields
from llmops_sdk.config.sections._store import StoreSettings

__all__ = ["load", "load_for_project", "load_from"]

_log = logging.getLogger("llmops_sdk")


class _LayerSource(PydanticBaseSettingsSource):
    """A source of pydantic-settings that returns a layer."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 - its protocol
        return self._layer.data.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._layer.data


class _Merged(SettingsFields, BaseSettings):
    """Merge the given layers, and read nothing else."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())

    def __init__(self, layers: Sequence[Layer]) -> None:
        # Bypass SettingsSection.__init__: the caller adds locations to the errors.
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
        # pydantic-settings passes the constructor's keyword arguments in this source.
        layers: Sequence[Layer] = cast("Any", init_settings).init_kwargs["layers"]
        return tuple(_LayerSource(settings_cls, layer) for layer in layers)


def load(config_file: str | os.PathLike[str] | None = None, **overrides: Any) -> Settings:
    """Read and check the configuration, but do not put it in force.

    Args:
        config_file: A file to read instead of the `llmops.toml` that the search finds.
        overrides: Settings, e.g. `model="openai/gpt-4.1-mini"`, `retry={"attempts": 5}` or `retry__attempts=5`.

    Raises:
        ConfigError: A file is missing or not TOML, a key is unknown, or a value has the wrong type.

    Example:
        >>> from llmops_sdk import config
        >>> settings = config.load(retry__attempts=5)
        >>> settings.retry.attempts, settings.source("retry.attempts")
        (5, 'arguments')
    """
    return load_from(ProcessEnvironment.of_this_process(), config_file, overrides)


def load_for_project() -> Settings:
    """Read and check the configuration that the project's own programs have, only to show it."""
    process = ProcessEnvironment.of_this_process()
    root = os.path.realpath(find_files(process).root)
    return load_from(replace(process, program=Path(root, "program")), None, {})


def load_from(
    process: ProcessEnvironment,
    config_file: str | os.PathLike[str] | None,
    overrides: Mapping[str, Any],
    *,
    drop_untrusted: bool = False,
) -> Settings:
    """Read and check the configuration of the given process environment.

    Args:
        process: The environment.
        config_file: A file to read instead of the `llmops.toml` that the search finds.
        overrides: The arguments.
        drop_untrusted: Leave out what an untrusted file may not set, where a caller that sends nothing does not need
            it; by default it is an error.
    """
    found = find_files(process)
    layers, problems = _layers(process, found, config_file, overrides, drop_untrusted=drop_untrusted)
    for layer in layers:
        problems += _problems(layer)
    raise_if_any(problems)
    layers.append(otel_layer(process.environ, layers))
    # A whole URL must not override a base URL of higher precedence.
    layers = [_without_shadowed_url(layer, layers[:index]) for index, layer in enumerate(layers)]
    folders = {
        "store": {"path": found.folder / StoreSettings().path},
        "cassettes": {"folder": found.folder / CassetteSettings().folder},
    }
    layers.append(Layer(folders, DEFAULT))
    try:
        merged = _Merged(layers)
    except ValidationError as error:
        items = problem_items(error, _lists(layers))
        raise_if_any([from_pydantic(item, source_of(layers, key_path(item)[:-1]).location) for item in items])
        raise
    found_problems = (
        _name_problems,
        _model_problems,
        _fallback_problems,
        _deployment_problems,
        _route_problems,
        _budget_problems,
    )
    raise_if_any([problem for find in found_problems for problem in find(merged, layers)])
    sources = {dotted(path): source_of(layers, path).label for path in setting_values(merged)}
    settings = Settings.from_sources(merged, sources)
    _log_effective(settings)
    return settings


def _layers(
    process: ProcessEnvironment,
    found: ConfigFiles,
    config_file: str | os.PathLike[str] | None,
    overrides: Mapping[str, Any],
    *,
    drop_untrusted: bool,
) -> tuple[list[Layer], list[Problem]]:
    """Return our own layers, highest precedence first, and the problems of variables and of untrusted files."""
    arguments = arguments_layer(overrides, process.cwd)
    files: list[Layer] = []
    untrusted: list[Problem] = []
    for layer, trust in _files(process, found, config_file, own_store=not arguments.has(("store", "path"))):
        files.append(trust.without_refused(layer) if drop_untrusted and trust is not None else layer)
        untrusted += trust.problems(local_only=drop_untrusted) if trust is not None else []
    names = [
        (section, name)
        for layer in (arguments, *files)
        for section in ("models", "prices")
        if isinstance(entries := layer.data.get(section), dict)
        for name in cast("dict[str, Any]", entries)
    ]
    environment, problems = environment_layer(process.environ, process.cwd, names)
    return [arguments, environment, *files], problems + untrusted


def _files(
    process: ProcessEnvironment, found: ConfigFiles, config_file: str | os.PathLike[str] | None, *, own_store: bool
) -> Iterator[tuple[Layer, FileTrust | None]]:
    """Yield the layer of each file, and of a file that was only found, how far it is trusted."""
    named = os.fspath(config_file) if config_file is not None else process.environ.get(CONFIG_FILE_VARIABLE, "")
    path: Path | None = None
    if named:
        by = "the argument config_file" if config_file is not None else CONFIG_FILE_VARIABLE
        path = process.cwd / os.path.expanduser(named)  # noqa: PTH111 - Path.expanduser raises for "~nobody"
        yield read_file(path, named_by=by), None
    own_store = own_store and not any(process.environ.get(name) for name in ("LLMOPS_STORE__PATH", "LLMOPS_STORE"))
    for file in (None if named else found.config, found.pyproject):
        if file is not None and file.path != path:
            layer = read_file(file)
            yield layer, trust_of(file.path, layer, process, found.root, own_store=own_store)


def _lists(layers: Sequence[Layer]) -> dict[str, Any]:
    """Return the values in force at the top level, for the lists: the first layer that has one sets all of it."""
    return {name: value for layer in reversed(layers) for name, value in layer.data.items()}


def _without_shadowed_url(layer: Layer, above: Sequence[Layer]) -> Layer:
    shadowed = any(higher.has(("export", "endpoint")) for higher in above)
    if not (shadowed and layer.has(("export", "traces_endpoint"))):
        return layer
    export = {name: value for name, value in layer.data["export"].items() if name != "traces_endpoint"}
    return Layer({**layer.data, "export": export}, layer.source, layer.sources)


def _problems(layer: Layer) -> list[Problem]:
    """Return the problems of one layer. Another layer may have its missing keys."""
    problems = list(guard_option_problems(layer))
    try:
        SettingsFields.model_validate(layer.data)
    except ValidationError as error:
        items = [item for item in problem_items(error, layer.data) if item["type"] != "missing"]
        problems += [from_pydantic(item, layer.source_at(key_path(item)).location) for item in items]
    return problems


def _name_problems(merged: SettingsFields, layers: Sequence[Layer]) -> Iterator[Problem]:
    """Yield the names of [models] that would take the place of a provider's model or of a URL."""
    for name, entry in merged.models.items():
        if entry.model != name and is_target(name):
            path = ("models", name)
            source = source_of(layers, path).location
            target = masked_repr((*path, "model"), entry.model or entry.deployments)
            text = (
                f"{source}: {dotted(path)}: a name in [models] must not look like a provider's model or a URL: calls "
                f"to {name!r} would go to {target}. Choose a name without a slash."
            )
            yield Problem(message=text, source=source, key=dotted(path), value=name)


def _model_problems(merged: SettingsFields, layers: Sequence[Layer]) -> Iterator[Problem]:
    """Yield the names of models that do not lead to a provider's model."""
    wanted: dict[KeyPath, str] = {("model",): merged.model}
    wanted |= {("models", name, "model"): name for name in merged.models}
    seen: set[str] = set()
    for path, name in wanted.items():
        problem = model_problem(merged, name, source_of(layers, path).location, dotted(path))
        # If the default model names a broken entry, report only the entry.
        if problem is not None and (len(path) > 1 or name not in merged.models) and problem.message not in seen:
            seen.add(problem.message)
            yield problem


def _fallback_problems(merged: SettingsFields, layers: Sequence[Layer]) -> Iterator[Problem]:
    lists: dict[KeyPath, tuple[str, ...]] = {("fallbacks",): merged.fallbacks}
    lists |= {("models", name, "fallbacks"): entry.fallbacks for name, entry in merged.models.items()}
    for path, names in lists.items():
        # `_model_problems` reports the entries of [models].
        for name in (one for one in names if one not in merged.models):
            problem = model_problem(merged, name, source_of(layers, path).location, dotted(path))
            if problem is not None:
                yield problem
    reported: set[str] = set()
    for start in (merged.model, *merged.models):
        circle = [] if start in reported else fallback_circle(merged, start)
        if circle:
            reported |= set(circle)
            keys: list[KeyPath] = [("models", start, "fallbacks"), ("fallbacks",), ("models", start, "model")]
            path = next(path for path in keys if any(layer.has(path) for layer in layers))
            yield circle_problem(circle, source_of(layers, path).location, dotted(path))


def _deployment_problems(merged: SettingsFields, layers: Sequence[Layer]) -> Iterator[Problem]:
    for name, entry in merged.models.items():
        key = "deployments" if entry.deployments else "weights"
        yield from deployment_problems(merged, name, source_of(layers, ("models", name, key)).location)


def _route_problems(merged: SettingsFields, layers: Sequence[Layer]) -> Iterator[Problem]:
    for name in merged.models:
        yield from route_problems(merged, name, source_of(layers, ("models", name)).location)
    for name in routes_named(merged, merged.fallbacks):
        source = source_of(layers, ("fallbacks",)).location
        text = f"{source}: fallbacks: {name!r} is a route. Name one of its models instead."
        yield Problem(message=text, source=source, key="fallbacks", value=name)


def _budget_problems(merged: SettingsFields, layers: Sequence[Layer]) -> Iterator[Problem]:
    """Yield the budgets of models that do not exist: they would never count a call."""
    for budget in merged.budgets:
        path = ("budgets", budget.name, "model")
        if budget.model is not None and budget.model not in merged.models:
            problem = model_problem(merged, budget.model, source_of(layers, path).location, dotted(path))
            if problem is not None:
                yield problem


def _log_effective(settings: Settings) -> None:
    if not _log.isEnabledFor(logging.DEBUG):
        return
    lines = (f"  {value.key} = {value.text}  ({value.source})" for value in describe_settings(settings))
    _log.debug("llmops: the configuration in force:\n%s", "\n".join(lines))

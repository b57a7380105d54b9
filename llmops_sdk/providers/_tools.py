"""Turn functions into tool definitions, and run the calls that a model makes of them."""

from __future__ import annotations

import asyncio
import difflib
import functools
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, TypeAlias, cast, get_type_hints

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from llmops_sdk.errors import ConfigError, ToolCallError
from llmops_sdk.providers._docstrings import split_docstring
from llmops_sdk.tracing import span
from llmops_sdk.tracing.records import _semconv

__all__ = ["Tool", "arun_tool", "definition_of", "run_tool", "tool_choice_of", "tool_name"]

Tool: TypeAlias = Mapping[str, Any] | Callable[..., Any]
"""A tool's definition in the OpenAI shape, or a plain function to derive one from."""

# What OpenAI and Anthropic take.
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MODES = ("auto", "none", "required")


def tool_name(tool: object) -> str:
    """Return the name of a tool: its definition's, or its function's; "" if it has none."""
    if isinstance(tool, Mapping):
        values = cast("Mapping[str, Any]", tool)
        function = values.get("function")
        inside = cast("Mapping[str, Any]", function).get("name") if isinstance(function, Mapping) else None
        name: object = inside or values.get("name")
        return name if isinstance(name, str) else ""
    while isinstance(tool, functools.partial):
        tool = cast("functools.partial[Any]", tool).func
    return str(getattr(tool, "__name__", type(tool).__name__))


def definition_of(tool: Callable[..., Any]) -> dict[str, Any]:
    """Return the definition of a function: name and description, and the JSON schema of its parameters.

    A parameter's description comes from `Annotated[int, "text"]`, `Field(description="text")`, or the docstring.

    Raises:
        TypeError: The function has no name that models take, or a parameter has no JSON schema.
    """
    name = tool_name(tool)
    if not _NAME.fullmatch(name):
        advice = "a lambda has no name" if name == "<lambda>" else 'use letters, digits, "_" and "-", at most 64'
        raise TypeError(f"a model cannot call the tool {name!r}: {advice}; define it with `def name(...)`")
    try:
        schema: dict[str, Any] = TypeAdapter(cast("Any", _plain(tool))).json_schema()
        annotated = _annotated_texts(tool)
    except (PydanticUserError, NameError) as error:
        raise TypeError(
            f"tool {name}: its parameters have no JSON schema; annotate them with JSON types ({error})"
        ) from error
    if schema.get("type") != "object":
        raise TypeError(f"tool {name}: every parameter must be one that can be passed by name")
    description, documented = split_docstring(_docstring_of(tool))
    for parameter, part in cast("dict[str, dict[str, Any]]", schema.get("properties", {})).items():
        text = annotated.get(parameter) or documented.get(parameter)
        if text:
            part.setdefault("description", text)
    return {"name": name, **({"description": description} if description else {}), "parameters": schema}


def _plain(tool: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function with the parameters of a tool: of other objects, pydantic does not resolve the annotations."""
    if inspect.isfunction(tool):
        return tool

    def stand_in() -> None: ...

    signature = inspect.signature(tool)
    hints = get_type_hints(_function_of(tool), include_extras=True)
    stand_in.__annotations__ = {name: hint for name, hint in hints.items() if name in signature.parameters}
    cast("Any", stand_in).__signature__ = signature
    return stand_in


def _function_of(tool: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function inside a partial, a method, a callable object and decorators."""
    while isinstance(tool, functools.partial):
        tool = cast("functools.partial[Any]", tool).func
    return inspect.unwrap(tool if inspect.isroutine(tool) else type(tool).__call__)


def _docstring_of(tool: Callable[..., Any]) -> str:
    while isinstance(tool, functools.partial):
        tool = cast("functools.partial[Any]", tool).func
    return inspect.getdoc(tool) or ""


def _annotated_texts(tool: Callable[..., Any]) -> dict[str, str]:
    """Return the texts of `Annotated[int, "text"]` and `Annotated[int, Doc("text")]` by parameter."""
    found: dict[str, str] = {}
    for name, hint in get_type_hints(_function_of(tool), include_extras=True).items():
        metadata = hint.__metadata__ if hasattr(hint, "__metadata__") else ()
        texts = [one if isinstance(one, str) else getattr(one, "documentation", None) for one in metadata]
        if text := next((one for one in texts if isinstance(one, str)), None):
            found[name] = text
    return found


def tool_choice_of(choice: object, definitions: Sequence[Mapping[str, Any]]) -> Any:
    """Return `tool_choice` in the OpenAI shape, which every provider understands: a tool's name, or a function, too.

    Raises:
        ConfigError: The choice names no tool of the call.
        TypeError: The choice is no name, mapping or function.
    """
    if isinstance(choice, str) and choice in _MODES:
        return choice
    if isinstance(choice, Mapping):
        chosen = dict(cast("Mapping[str, Any]", choice))
        if "function" not in chosen:
            return chosen  # a vendor's own form
        return {"type": "function", **chosen, "function": {"name": _known_tool(tool_name(chosen), definitions)}}
    if not isinstance(choice, str) and not callable(choice):
        raise TypeError(f"tool_choice must be a name, a function or a mapping, not {type(choice).__name__}")
    name = choice if isinstance(choice, str) else tool_name(choice)
    return {"type": "function", "function": {"name": _known_tool(name, definitions)}}


def _known_tool(name: str, definitions: Sequence[Mapping[str, Any]]) -> str:
    names = [found for one in definitions if (found := tool_name(one))]
    if name in names:
        return name
    near = next(iter(difflib.get_close_matches(name, [*names, *_MODES], n=1, cutoff=0.5)), None)
    known = f"the tools of this call are {', '.join(names)}" if names else "this call has no tools"
    meant = f"did you mean {near!r}? " if near else ""
    raise ConfigError(
        f'tool_choice={name!r} names no tool: {meant}{known}; "auto", "none" and "required" are the other choices',
        source="arguments",
        key="tool_choice",
        value=name,
        nearest=near,
    )


class _PreparedCall:
    """A call of a tool: the function to run, with checked arguments."""

    def __init__(self, name: str, call_id: str, arguments: str, tools: Iterable[Tool]) -> None:
        self.name = name
        self.call_id = call_id
        functions = [tool for tool in tools if not isinstance(tool, Mapping)]
        function = next((one for one in functions if tool_name(one) == name), None)
        if function is None:
            names = ", ".join(map(tool_name, functions)) or "none"
            raise self.error(f"there is no function for it; the functions are: {names}")
        self.function = function
        self.args, self.kwargs = self._checked(arguments)

    def error(self, problem: str, errors: tuple[str, ...] = ()) -> ToolCallError:
        """Return the error of this call."""
        return ToolCallError(
            f"the model's call of the tool {self.name!r} cannot be run: {problem}",
            tool=self.name,
            call_id=self.call_id,
            errors=errors or (problem,),
        )

    def _checked(self, arguments: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        text = arguments.strip() or "{}"
        if not text.startswith("{"):
            raise self.error("its arguments are not a JSON object")
        try:
            return _validator(self.function).validate_json(text)
        except ValidationError as error:
            # Without the input: these lines end up in exceptions and spans, which must not have content.
            details = error.errors(include_url=False, include_input=False, include_context=False)
            errors = tuple(f"{'.'.join(map(str, one['loc'])) or 'the arguments'}: {one['msg']}" for one in details)
        raise self.error("; ".join(errors), errors)


class _ArgumentsSchema:
    """Lets a `TypeAdapter` validate the arguments of a function without calling it."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Any:
        return self._schema


def _validator(tool: Callable[..., Any]) -> TypeAdapter[Any]:
    """Return the validator of a function's arguments: it makes a tuple and a dict."""
    schema = cast("dict[str, Any]", TypeAdapter(cast("Any", _plain(tool))).core_schema)
    call = schema["schema"] if schema["type"] == "definitions" else schema
    # pydantic cannot serialize arguments, and insists on a serializer.
    arguments = {**call["arguments_schema"], "serialization": {"type": "to-string"}}
    if schema["type"] == "definitions":
        arguments = {**schema, "schema": arguments}
    return TypeAdapter(Annotated[Any, _ArgumentsSchema(arguments)])


def _tool_span(name: str, call_id: str, arguments: str) -> Any:
    """Return the block of the span of a tool's run."""
    return span(
        name or "tool",
        kind="tool",
        input=_readable(arguments),
        attributes={_semconv.TOOL_NAME: name, _semconv.TOOL_CALL_ID: call_id, _semconv.TOOL_TYPE: "function"},
    )


def _readable(arguments: str) -> object:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def run_tool(name: str, call_id: str, arguments: str, tools: Iterable[Tool]) -> Any:
    """Run a tool; see `ToolCall.run`."""
    with _tool_span(name, call_id, arguments) as traced:
        call = _PreparedCall(name, call_id, arguments, tools)
        result = call.function(*call.args, **call.kwargs)
        if inspect.iscoroutine(result):
            result.close()
            raise call.error("it is async: use `await call.arun(tools)`")
        traced.output = result
        return result


async def arun_tool(name: str, call_id: str, arguments: str, tools: Iterable[Tool]) -> Any:
    """Run a tool, async; see `ToolCall.arun`."""
    with _tool_span(name, call_id, arguments) as traced:
        call = _PreparedCall(name, call_id, arguments, tools)
        if inspect.iscoroutinefunction(_function_of(call.function)):
            result = call.function(*call.args, **call.kwargs)
        else:
            result = await asyncio.to_thread(call.function, *call.args, **call.kwargs)
        traced.output = result = await result if inspect.isawaitable(result) else result
        return result

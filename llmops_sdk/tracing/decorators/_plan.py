"""What is known of a traced callable before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, cast

from llmops_sdk._util._guard import Caught, guarded
from llmops_sdk.tracing.capture._arguments import Parameters
from llmops_sdk.tracing.decorators._binding import Binding
from llmops_sdk.tracing.spans import _active, _runtime
from llmops_sdk.tracing.spans._span import Span
from llmops_sdk.tracing.spans._start_span import start_child

__all__ = ["Plan"]

_NOT_SHOWN = {"$unreadable": True}


class Plan:
    """What is known of a traced callable before it is called.

    Attributes:
        bound: Whether the first argument is `self` or `cls`: True or False, or who finds that out at a call.
        given: Whether `self` or `cls` is given already and not among the arguments.
        show_input: Says what is kept of the arguments; None for all of them.
        show_output: Says what is kept of the result; None for all of it.
    """

    __slots__ = (
        "attributes",
        "bound",
        "capture_input",
        "capture_output",
        "given",
        "kind",
        "name",
        "parameters",
        "plain",
        "show_input",
        "show_output",
        "wrapper",
    )

    def __init__(
        self,
        function: object,
        name: str | None,
        kind: str,
        capture_input: bool | Callable[..., object],
        capture_output: bool | Callable[[Any], object],
        ignore: frozenset[str],
        attributes: Mapping[str, Any] | None,
    ) -> None:
        plain: Any = function
        with Caught():  # an object that has whatever attribute it is asked for is wrapped for ever
            plain = inspect.unwrap(cast("Any", getattr(function, "__func__", function)))
        own: object = getattr(plain, "__qualname__", None)
        self.name: str = name or (own if isinstance(own, str) else "") or type(plain).__qualname__
        self.kind = kind
        self.capture_input = capture_input is not False
        self.capture_output = capture_output is not False
        self.show_input = capture_input if callable(capture_input) else None
        self.show_output = capture_output if callable(capture_output) else None
        self.attributes = dict(attributes) if attributes else None
        self.parameters = Parameters(plain, ignore)
        # Whether there is no more to a span than its arguments, as of most functions.
        self.plain = self.capture_input and self.show_input is None and self.attributes is None
        self.bound: bool | Binding = False
        self.given = False
        self.wrapper: object = None

    def start(
        self, runtime: _runtime.Runtime, context: _active.Context, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Span:
        """The span of one call, its arguments taken."""
        span = start_child(runtime, context, self.name, self.kind)
        if span.recording:
            if self.plain and self.bound is False:
                span.capture_arguments(self.parameters, self.given, args, kwargs)
                return span
            if self.capture_input:
                given, bound = self.given, self.bound
                if bound is not False and (bound is True or bound.binds(self.wrapper, args)):
                    given, args = True, args[1:]
                if self.show_input is None:
                    span.capture_arguments(self.parameters, given, args, kwargs)
                elif runtime.content:
                    span.input = guarded("capture_input", _NOT_SHOWN, self.show_input, *args, **kwargs)
            if self.attributes is not None:
                span.set_attributes(self.attributes)
        return span

    def shown(self, span: Span, result: object) -> object:
        """What is kept of a result."""
        if self.show_output is None or not span.recording:
            return result
        return guarded("capture_output", _NOT_SHOWN, self.show_output, result)

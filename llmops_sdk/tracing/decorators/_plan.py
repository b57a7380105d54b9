"""Hold what is known of a traced callable before its calls."""

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

__all__ = ["CallPlan"]

_UNREADABLE = {"$unreadable": True}


class CallPlan:
    """How to trace the calls of one callable.

    Attributes:
        takes_receiver: Whether `self` or `cls` comes first: True or False, or a `Binding` that decides per call.
        receiver_bound: Whether `self` or `cls` is bound already and not among the arguments.
        input_filter: The function that selects what to capture of the arguments; None captures all.
        output_filter: The function that selects what to capture of the result; None captures all.
        arguments_only: Whether a span captures all arguments and nothing else at its start, as most do.
    """

    __slots__ = (
        "arguments_only",
        "attributes",
        "capture_input",
        "capture_output",
        "input_filter",
        "kind",
        "name",
        "output_filter",
        "parameters",
        "receiver_bound",
        "takes_receiver",
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
        unwrapped: Any = function
        with Caught():  # inspect.unwrap never ends for an object with a catch-all __getattr__
            unwrapped = inspect.unwrap(cast("Any", getattr(function, "__func__", function)))
        qualname: object = getattr(unwrapped, "__qualname__", None)
        self.name: str = name or (qualname if isinstance(qualname, str) else "") or type(unwrapped).__qualname__
        self.kind = kind
        self.capture_input = capture_input is not False
        self.capture_output = capture_output is not False
        self.input_filter = capture_input if callable(capture_input) else None
        self.output_filter = capture_output if callable(capture_output) else None
        self.attributes = dict(attributes) if attributes else None
        self.parameters = Parameters(unwrapped, ignore)
        self.arguments_only = self.capture_input and self.input_filter is None and self.attributes is None
        self.takes_receiver: bool | Binding = False
        self.receiver_bound = False
        self.wrapper: object = None

    def start(
        self, runtime: _runtime.Runtime, context: _active.Context, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Span:
        """Start the span of a call, and capture its arguments."""
        span = start_child(runtime, context, self.name, self.kind)
        if span.recording:
            if self.arguments_only and self.takes_receiver is False:
                span.capture_arguments(self.parameters, self.receiver_bound, args, kwargs)
                return span
            if self.capture_input:
                receiver_bound, takes_receiver = self.receiver_bound, self.takes_receiver
                if takes_receiver is not False and (
                    takes_receiver is True or takes_receiver.has_receiver(self.wrapper, args)
                ):
                    receiver_bound, args = True, args[1:]
                if self.input_filter is None:
                    span.capture_arguments(self.parameters, receiver_bound, args, kwargs)
                elif runtime.content:
                    span.input = guarded("capture_input", _UNREADABLE, self.input_filter, *args, **kwargs)
            if self.attributes is not None:
                span.set_attributes(self.attributes)
        return span

    def captured_result(self, span: Span, result: object) -> object:
        """Return what to capture of a result."""
        if self.output_filter is None or not span.recording:
            return result
        return guarded("capture_output", _UNREADABLE, self.output_filter, result)

"""What is known of a traced callable before it is called."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

from llmops_sdk.tracing import _active, _runtime
from llmops_sdk.tracing._begin import begin
from llmops_sdk.tracing._binding import Binding
from llmops_sdk.tracing._capture import Parameters
from llmops_sdk.tracing._span import Span

__all__ = ["Plan"]


class Plan:
    """What is known of a traced callable before it is called.

    Attributes:
        bound: Whether the first argument is `self` or `cls`: True or False, or who finds that out at a call.
        given: Whether `self` or `cls` is given already and not among the arguments.
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
        "wrapper",
    )

    def __init__(
        self,
        function: object,
        name: str | None,
        kind: str,
        capture_input: bool,
        capture_output: bool,
        ignore: frozenset[str],
        attributes: Mapping[str, Any] | None,
    ) -> None:
        plain = inspect.unwrap(cast("Any", getattr(function, "__func__", function)))
        self.name: str = name or getattr(plain, "__qualname__", None) or type(plain).__qualname__
        self.kind = kind
        self.capture_input = capture_input
        self.capture_output = capture_output
        self.attributes = dict(attributes) if attributes else None
        self.parameters = Parameters(plain, ignore)
        self.bound: bool | Binding = False
        self.given = False
        self.wrapper: object = None

    def start(
        self, runtime: _runtime.Runtime, context: _active.Context, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Span:
        """The span of one call, its arguments taken."""
        span = begin(runtime, context, self.name, self.kind)
        if span.recording:
            if self.capture_input:
                bound = self.bound
                if bound is False:
                    span._take_arguments(self.parameters, self.given, args, kwargs)  # pyright: ignore[reportPrivateUsage] - a friend
                else:
                    if bound is not True:
                        bound = bound.binds(self.wrapper, args)
                    span._take_arguments(self.parameters, bound, args[1:] if bound else args, kwargs)  # pyright: ignore[reportPrivateUsage]
            if self.attributes is not None:
                span.set_attributes(self.attributes)
        return span

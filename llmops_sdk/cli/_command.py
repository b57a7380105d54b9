"""Make a command of the command line out of a function."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from llmops_sdk.cli._examples import EXAMPLES
from llmops_sdk.cli._filters import parse_filter
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._text import defuse
from llmops_sdk.errors import LLMOpsError

__all__ = ["add_command", "exit_on_error"]

_SENDING = frozenset({"canary", "concept", "data", "export_", "online", "replay", "run_", "watch"})
# Their status 1 is an answer: something drifted, or an alert fires. An error must be told from it.
_ANSWERING = frozenset({"canary", "concept", "data", "watch"})
_FILTER_OPTIONS = tuple(inspect.signature(parse_filter, eval_str=True).parameters.values())
_DEBUG = inspect.Parameter(
    "debug",
    inspect.Parameter.KEYWORD_ONLY,
    default=False,
    annotation=Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")],
)


def add_command(function: Callable[..., bool | None], group: typer.Typer) -> None:
    """Add a function to the command line, or to a group of commands in it, as the command of its name.

    A parameter `filters` becomes the options of `parse_filter`, `--debug` comes last, the epilog shows the command's
    examples, and the result False is exit status 1.
    """
    own = inspect.signature(function, eval_str=True).parameters
    options: list[inspect.Parameter] = []
    for option in own.values():
        options += _FILTER_OPTIONS if option.name == "filters" else [option]

    @functools.wraps(function)
    def run(*, debug: bool, **values: Any) -> None:
        with exit_on_error(debug, 2 if function.__name__ in _ANSWERING else 1):
            from llmops_sdk.config import tolerate_untrusted

            # The others send nothing, and work in a project that nobody has trusted yet.
            tolerate_untrusted(function.__name__ not in _SENDING)
            if "filters" in own:
                values["filters"] = parse_filter(**{option.name: values.pop(option.name) for option in _FILTER_OPTIONS})
            succeeded = function(**values)
        if succeeded is False:
            raise typer.Exit(1)

    keyword_only = [option.replace(kind=inspect.Parameter.KEYWORD_ONLY) for option in [*options, _DEBUG]]
    run.__signature__ = inspect.Signature(keyword_only)  # pyright: ignore[reportAttributeAccessIssue] - typer reads it
    name = function.__name__.rstrip("_")
    whole = name if group.info.name == "llmops" else f"{group.info.name} {name}"
    group.command(name, epilog=EXAMPLES.get(whole))(run)


@contextmanager
def exit_on_error(debug: bool, status: int = 1) -> Generator[None]:
    """Turn an exception of a command into one line on stderr and an exit status.

    Args:
        debug: Whether the exception passes, for its traceback.
        status: The exit status of an error.
    """
    try:
        yield
        sys.stdout.flush()
    except UsageError as error:
        raise typer.BadParameter(str(error)) from error
    except LLMOpsError as error:
        if debug:
            raise
        # DuckDB marks a position with a line of carets, which is useless once the lines are joined.
        lines = [line.strip() for line in defuse(str(error)).splitlines() if line.strip(" ^")]
        print(f"llmops: {'; '.join(lines)}", file=sys.stderr)
        raise typer.Exit(status) from error
    except BrokenPipeError as error:
        # The reader of the pipe (`head`) has closed it. The interpreter must not write again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error

"""`llmops guard approvals`: the calls of tools that wait for a person, in the file of `Approvals(path)`."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmops_sdk.cli._options import Form
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.output._text import defuse

if TYPE_CHECKING:
    from llmops_sdk.guardrails import ApprovalRequest, Approvals

__all__ = ["approve", "deny", "list_"]

_SHOWN_DIGITS = 12
_LEAST_DIGITS = 8

File = Annotated[Path, typer.Option("--file", metavar="FILE", help="The file that the program gives to Approvals.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The id of the call, or 8 or more of its first digits.")]


def list_(file: File, form: Form = Format.TABLE) -> None:
    """List the calls that wait, oldest first, with all of their arguments.

    A model wrote the arguments. Characters that a terminal does not show are escaped.
    """
    requests = _open(file).pending()
    if form is not Format.TABLE:
        columns = ("id", "tool", "arguments", "reason", "tainted", "scope", "created")
        rows = [
            (one.digest, one.tool, dict(one.arguments), one.reason, ", ".join(one.tainted), one.scope, _time(one))
            for one in requests
        ]
        write_rows(form, columns, rows, sys.stdout)
        return
    for one in requests:
        print("\n".join(_lines(one)))
    if not requests:
        print("no call waits for an approval", file=sys.stderr)


def approve(
    call: Id,
    file: File,
    ttl: Annotated[
        float | None, typer.Option("--ttl", metavar="SECONDS", min=1, help="Seconds for which it counts. Default: 900.")
    ] = None,
) -> None:
    """Approve a call: for one answer with it, and for one run of the tool."""
    approvals = _open(file)
    request = _find(approvals, call)
    approvals.grant(request.digest, ttl)
    print("approved:")
    print("\n".join(_lines(request)))


def deny(call: Id, file: File) -> None:
    """Remove a call from the list; it stays blocked."""
    approvals = _open(file)
    request = _find(approvals, call)
    approvals.refuse(request.digest)
    print("denied:")
    print("\n".join(_lines(request)))


def _open(file: Path) -> Approvals:
    from llmops_sdk.guardrails import Approvals

    if not file.is_file():
        raise UsageError(f"there is no file {defuse(str(file))}: name the one in Approvals(path) of your program")
    return Approvals(file)


def _find(approvals: Approvals, call: str) -> ApprovalRequest:
    if len(call) < _LEAST_DIGITS:
        raise UsageError(f"give at least {_LEAST_DIGITS} digits of the id")
    found = [one for one in approvals.pending() if one.digest.startswith(call.lower())]
    if len(found) != 1:
        which = "no call waits" if not found else f"{len(found)} calls wait"
        raise UsageError(f"{which} under this id: `llmops guard approvals list` shows the ids")
    return found[0]


def _lines(request: ApprovalRequest) -> list[str]:
    """Return the lines of a call: with every argument whole, as what is cut off could be the harm."""
    lines = [f"{request.digest[:_SHOWN_DIGITS]}  {_escaped(request.tool)}  {_time(request)}  {defuse(request.reason)}"]
    if request.scope:
        lines.append(f"  scope: {_escaped(request.scope)}")
    if request.tainted:
        lines.append(f"  from untrusted content: {', '.join(map(_escaped, request.tainted))}")
    return lines + [f"  {_escaped(name)} = {json.dumps(value)}" for name, value in request.arguments.items()]


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


def _time(request: ApprovalRequest) -> str:
    return datetime.datetime.fromtimestamp(request.created, datetime.UTC).isoformat(timespec="seconds")

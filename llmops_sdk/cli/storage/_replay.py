"""`llmops replay`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from llmops_sdk.cli._filters import parse_period
from llmops_sdk.cli._options import Since, Store, Until, WhereSql
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._progress import progress_bar
from llmops_sdk.cli.output._reading import existing_store

__all__ = ["replay"]


def replay(
    to: Annotated[
        str | None, typer.Option("--to", metavar="URL", help="A backend's base URL or a destination's name.")
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", help="http/protobuf or grpc (with --to URL).")
    ] = "http/protobuf",
    header: Annotated[
        list[str] | None, typer.Option("--header", metavar="NAME=VALUE", help="Extra request header (with --to URL).")
    ] = None,
    content: Annotated[
        bool | None, typer.Option("--content/--no-content", help="Send prompts and answers, or leave them out.")
    ] = None,
    where: WhereSql = None,
    since: Since = None,
    until: Until = None,
    discard: Annotated[
        str | None, typer.Option("--discard", metavar="NAME", help="Delete the pending spans of this destination.")
    ] = None,
    store: Store = None,
) -> bool:
    """Send pending spans, or stored spans, to a backend."""
    if protocol not in {"http/protobuf", "grpc"}:
        raise UsageError(f"--protocol {protocol}: use http/protobuf or grpc")
    if to is None and (where or since or until or header):
        raise UsageError("--where, --since, --until and --header need --to: pending spans are sent as they are")
    folder = existing_store(store)
    from llmops_sdk.store import discard as discard_pending
    from llmops_sdk.store import replay as send

    if discard is not None:
        size = discard_pending(discard, path=folder)
        print(f"{size:,} pending bytes for {discard} deleted", file=sys.stderr)
        return True
    begin, end = parse_period(since, until)
    with progress_bar("sent", "bytes" if to is None else "spans") as progress:
        done = send(
            to=to,
            protocol=protocol,
            headers=dict(_parse_header(text) for text in header or ()),
            content=content,
            where=where,
            since=begin,
            until=end,
            path=folder,
            progress=progress,
        )
    if not done:
        print("no configured destination has pending spans", file=sys.stderr)
    for one in done:
        parts = [f"{one.sent:,} spans sent"]
        parts += [f"{one.lost:,} rejected"] if one.lost else []
        parts += [f"{one.filtered:,} excluded by its filter"] if one.filtered else []
        parts += [f"more is pending ({one.reason})"] if one.left else []
        print(f"{one.destination}: {', '.join(parts)}", file=sys.stderr)
    return not any(one.left or one.lost for one in done)


def _parse_header(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise UsageError(f"--header {text!r} is not of the form NAME=VALUE")
    return name.strip(), value.strip()

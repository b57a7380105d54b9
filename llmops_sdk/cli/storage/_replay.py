"""`llmops replay`: what waits for backends, or what the store has, sent now."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from llmops_sdk.cli._filters import parse_moment
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._progress import progress_bar
from llmops_sdk.cli.output._reading import existing_store

__all__ = ["Asked", "run_replay"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the options say."""

    to: str | None = None
    protocol: str = "http/protobuf"
    headers: Sequence[str] = ()
    content: bool | None = None
    where: str | None = None
    since: str | None = None
    until: str | None = None
    discard: str | None = None


def run_replay(asked: Asked, *, store: Path | None) -> bool:
    """Send, and say on stderr what came of it; whether nothing is left.

    Raises:
        UsageError: The options do not fit together, or one cannot be read.
        QueryError: The condition is not valid or not allowed.
        StoreError: There is no store or no such destination.
    """
    if asked.protocol not in {"http/protobuf", "grpc"}:
        raise UsageError(f"--protocol {asked.protocol}: http/protobuf or grpc")
    if asked.to is None and (asked.where or asked.since or asked.until or asked.headers):
        raise UsageError("--where, --since, --until and --header go with --to: what waits is sent whole")
    folder = existing_store(store)
    from llmops_sdk.store import discard, replay

    if asked.discard is not None:
        size = discard(asked.discard, path=folder)
        print(f"{size:,} bytes that waited for {asked.discard} are gone", file=sys.stderr)
        return True
    now = datetime.now(UTC).replace(tzinfo=None)
    with progress_bar("sent", "bytes" if asked.to is None else "spans") as progress:
        done = replay(
            to=asked.to,
            protocol=asked.protocol,
            headers=dict(_pair(text) for text in asked.headers),
            content=asked.content,
            where=asked.where,
            since=parse_moment(asked.since, now),
            until=parse_moment(asked.until, now),
            path=folder,
            progress=progress,
        )
    if not done:
        print("nothing waits for a configured destination", file=sys.stderr)
    for one in done:
        parts = [f"{one.sent:,} spans sent"]
        parts += [f"{one.lost:,} refused for good"] if one.lost else []
        parts += [f"{one.filtered:,} not for it"] if one.filtered else []
        parts += [f"more is left ({one.reason})"] if one.left else []
        print(f"{one.destination}: {', '.join(parts)}", file=sys.stderr)
    return not any(one.left or one.lost for one in done)


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise UsageError(f"--header {text!r} is no NAME=VALUE")
    return name.strip(), value.strip()

"""`llmops prune`: data of a user, a session or a trace, or what is old or too much, out of every file."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from llmops_sdk.cli._filters import parse_moment
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._progress import progress_bar
from llmops_sdk.cli.output._reading import existing_store
from llmops_sdk.errors import LLMOpsError

__all__ = ["Wanted", "run_prune"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the options ask for; one of them."""

    user: str | None = None
    session: str | None = None
    trace: str | None = None
    older_than: str | None = None
    max_bytes: str | None = None


def run_prune(wanted: Wanted, *, dry_run: bool, yes: bool, keep_cache: bool, store: Path | None) -> bool:
    """Prune, and say on stderr what went; whether nothing of it is left.

    Raises:
        UsageError: None or several of the options are given, or one cannot be read, or nobody can be asked.
        StoreError: There is no store, or it cannot be changed.
        LLMOpsError: The answer to the question was no.
    """
    given = {
        "user_id": wanted.user,
        "session_id": wanted.session,
        "trace_id": wanted.trace,
        "older_than": _moment(wanted.older_than),
        "max_bytes": _size(wanted.max_bytes),
    }
    chosen = {name: value for name, value in given.items() if value is not None}
    if len(chosen) != 1:
        raise UsageError("say what is to go by one of --user, --session, --trace, --older-than and --max-bytes")
    folder = existing_store(store)
    from llmops_sdk.store import prune

    if not dry_run and not yes:
        _ask_first(folder, None if wanted.max_bytes else prune(**chosen, dry_run=True, path=folder).spans)  # pyright: ignore[reportArgumentType] - each name has its own type
    with progress_bar("looked through", "files") as progress:
        done = prune(**chosen, dry_run=dry_run, path=folder, progress=progress)  # pyright: ignore[reportArgumentType] - as above
    verb = "would go" if dry_run else "are gone"
    print(
        f"{done.spans:,} spans in {done.traces:,} traces, {done.scores:,} scores and {done.blobs:,} images {verb}"
        if done.traces
        else f"{done.spans:,} spans, {done.scores:,} scores and {done.blobs:,} images {verb}",
        file=sys.stderr,
    )
    if (wanted.user or wanted.session) and not dry_run:
        _tell_of_cache(folder, keep_cache)
    if done.left:
        print(
            f"llmops: {done.left:,} more spans have been written meanwhile; run it again when the process that writes "
            "them is done",
            file=sys.stderr,
        )
    return not done.left


def _tell_of_cache(folder: Path, keep: bool) -> None:
    # Answers are kept by what was asked, not by who asked.
    from llmops_sdk.caching import erase

    cache = _cache_folder(folder)
    if keep:
        print(f"the cache of answers was left as it is ({cache})", file=sys.stderr)
    elif erased := erase(cache):
        print(f"{erased:,} answers are gone from the cache, whoever asked", file=sys.stderr)


def _cache_folder(folder: Path) -> Path:
    from llmops_sdk.config import current

    settings = current()
    own = settings.cache.path
    return own.absolute() if own is not None and folder == settings.store.path.absolute() else folder / "cache"


def _ask_first(folder: Path, spans: int | None) -> None:
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here: add --yes, or --dry-run to see what would go")
    what = "the oldest files" if spans is None else f"{spans:,} spans"
    sys.stderr.write(f"Remove {what} from {folder} for good? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise LLMOpsError("not confirmed: nothing was removed")


def _moment(text: str | None) -> datetime | None:
    return parse_moment(text, datetime.now(UTC).replace(tzinfo=None))


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no size: a number of bytes, or as in 500MB or 2GB")
    return int(float(match[1]) * _UNITS[match[2].lower()])

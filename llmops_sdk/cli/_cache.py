"""`llmops cache stats`, `clear`, `invalidate`, `inspect` and `shadow`."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_sdk.cli._options import Form, Limit, Since, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format, write_rows

if TYPE_CHECKING:
    from llmops_sdk.config import SharedSettings

__all__ = ["clear", "inspect_", "invalidate", "shadow", "stats_"]

_SHADOW = """
WITH judged AS (
  SELECT trace_id, span_id, any_value(reason) AS label FROM cache_lookups
  WHERE tier = 'semantic' AND decision = 'judged' AND ($since IS NULL OR time >= $since) GROUP BY ALL
),
asked AS (
  SELECT lookups.decision, coalesce(lookups.score, 0) AS score, lookups.saved_cost, judged.label,
    cume_dist() OVER (ORDER BY lookups.time) > 0.75 AS late
  FROM cache_lookups AS lookups LEFT JOIN judged USING (trace_id, span_id)
  WHERE lookups.tier = 'semantic' AND lookups.decision IN ('served', 'would_serve', 'unsure', 'refused', 'empty')
    AND ($since IS NULL OR lookups.time >= $since)
),
policies(policy, threshold) AS (
  VALUES ('as configured', NULL), ('score >= 0.5', 0.5), ('score >= 0.8', 0.8), ('score >= 0.9', 0.9),
         ('score >= 0.95', 0.95), ('score >= 0.98', 0.98), ('score >= 0.99', 0.99)
),
chosen AS (
  SELECT policy, threshold, asked.*, decision IN ('served', 'would_serve') OR
    (threshold IS NOT NULL AND decision = 'unsure' AND score >= threshold) AS hit
  FROM policies CROSS JOIN asked
)
SELECT policy, count(*) AS lookups, count(*) FILTER (hit) AS hits, avg(hit::INT) FILTER (late) AS late_rate,
  count(*) FILTER (hit AND label IS NOT NULL) AS judged,
  count(*) FILTER (hit AND label = 'wrong') AS wrong, sum(saved_cost) FILTER (hit) AS saved_cost
FROM chosen GROUP BY policy, threshold ORDER BY threshold NULLS FIRST
"""


def stats_(form: Form = Format.TABLE, store: Store = None) -> None:
    """Show what the caches hold, and what their look-ups in the store saved."""
    from llmops_sdk.caching._listing import list_tiers

    found = _lookups(store)
    rows: list[tuple[Any, ...]] = []
    for folder in _folders(store):
        for tier in list_tiers(folder):
            asked = found.get("semantic" if tier.name.endswith("semantic") else "exact", (None, None, None))
            rows.append((tier.name, str(tier.folder), tier.entries, tier.bytes, *asked))
    if shared := _shared(store):
        from llmops_sdk.caching._shared_tiers import shared_place, shared_sizes

        for name, sizes in shared_sizes(shared).items():
            asked = found.get("semantic" if name == "semantic" else "exact", (None, None, None))
            rows.append((name, shared_place(shared), *sizes, *asked))
    write_rows(form, ("tier", "folder", "entries", "bytes", "lookups", "hit_rate", "saved_cost"), rows, sys.stdout)


def clear(form: Form = Format.TABLE, store: Store = None) -> None:
    """Remove every stored answer: the files on this machine keep no byte of them."""
    from llmops_sdk.caching import erase

    rows = [(str(folder), erase(folder)) for folder in _folders(store)]
    if shared := _shared(store):
        from llmops_sdk.caching._shared_tiers import clear_shared, shared_place

        rows.append((shared_place(shared), clear_shared(shared)))
    write_rows(form, ("folder", "removed"), rows, sys.stdout)


def invalidate(
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Remove the answers with this tag.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", metavar="KEY", help="Remove the answer of this key, or of its beginning.")
    ] = None,
    store: Store = None,
) -> None:
    """Remove the stored answers of a tag or a key."""
    from llmops_sdk.caching import invalidate as remove

    if (tag is None) == (key is None):
        raise UsageError("give one of --tag and --key")
    try:
        count = sum(remove(tag=tag, key=key, path=folder) for folder in _folders(store))
        if shared := _shared(store):
            from llmops_sdk.caching._shared_tiers import remove_shared

            count += remove_shared(shared, tag=tag, key=key)
    except ValueError as error:
        raise UsageError(str(error)) from error
    print(f"{count} removed")


def inspect_(
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="The beginning of a key. Default: all.")] = None,
    limit: Limit = 20,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """List answers on this machine, the latest first: key, age and size, and the question in the semantic tier."""
    from llmops_sdk.caching._listing import list_entries

    columns = ("tier", "key", "stored_at", "expires_at", "bytes", "tags", "question")
    entries = [one for folder in _folders(store) for one in list_entries(folder, key=key, limit=limit)]
    rows = [
        (one.tier, one.key, _time(one.stored_at), _time(one.expires_at), one.bytes, ", ".join(one.tags), one.text)
        for one in entries
    ]
    write_rows(form, columns, rows, sys.stdout)


def shadow(since: Since = None, form: Form = Format.TABLE, store: Store = None) -> None:
    """Show what the semantic tier served or would have served, and how often that was wrong, by lowest score."""
    from llmops_sdk.cli._filters import parse_moment
    from llmops_sdk.stats import clopper_pearson
    from llmops_sdk.store import query

    found = query(_SHADOW, {"since": parse_moment(since, datetime.now(UTC).replace(tzinfo=None))}, path=_store(store))
    rows: list[tuple[Any, ...]] = []
    for policy, lookups, hits, late, judged, wrong, saved in found.rows():
        error, high = (wrong / judged, clopper_pearson(wrong, judged)[1]) if judged else (None, None)
        rate = hits / lookups if lookups else None
        rows.append((policy, lookups, _rounded(rate), _rounded(late), judged, _rounded(error), _rounded(high), saved))
    columns = ("served if", "lookups", "hit_rate", "latest", "judged", "error", "error_at_most", "saved_cost")
    write_rows(form, columns, rows, sys.stdout)


def _lookups(store: Path | None) -> dict[str, tuple[Any, ...]]:
    from llmops_sdk.store import query

    sql = (
        "SELECT tier, count(*), round(avg(hit::INT), 4), sum(saved_cost) FILTER (hit) FROM cache_lookups "
        "WHERE decision NOT IN ('bypassed', 'judged') GROUP BY tier"
    )
    return {tier: tuple(rest) for tier, *rest in query(sql, path=_store(store)).rows()}


def _store(store: Path | None) -> Path:
    from llmops_sdk.config import current

    return store or current().store.path


def _folders(store: Path | None) -> list[Path]:
    from llmops_sdk.config import current
    from llmops_sdk.store.maintenance._places import cache_folders

    return [folder for folder in cache_folders(_store(store), current()) if os.path.lexists(folder)]


def _shared(store: Path | None) -> SharedSettings | None:
    """Return the shared server, if there is one and the store is the configured one."""
    from llmops_sdk.config import current

    settings = current()
    own = store is None or store.absolute() == settings.store.path.absolute()
    return settings.shared if own and settings.shared.url is not None else None


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=0)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

"""The filter options that commands share."""

from __future__ import annotations

from llmops_sdk.cli._options import (
    Kind,
    MinCost,
    MinDuration,
    Model,
    Name,
    Score,
    Search,
    Session,
    Since,
    Status,
    Tag,
    Until,
    User,
)
from llmops_sdk.store.reading._filters import Filter, ScoreTest, Where, make_filter, parse_moment, parse_period

__all__ = ["Filter", "ScoreTest", "Where", "parse_filter", "parse_moment", "parse_period"]


def parse_filter(
    *,
    since: Since = None,
    until: Until = None,
    name: Name = None,
    model: Model = None,
    session: Session = None,
    user: User = None,
    status: Status = None,
    kind: Kind = None,
    tags: Tag = None,
    scores: Score = None,
    min_cost: MinCost = None,
    min_duration: MinDuration = None,
    search: Search = None,
) -> Filter:
    """Return the filter that the options describe. This signature is the one declaration of these options.

    Raises:
        UsageError: A time, a number, a status or a score is not valid, or `until` is not after `since`.
    """
    return make_filter(
        since=since,
        until=until,
        name=name,
        model=model,
        session=session,
        user=user,
        status=status,
        kind=kind,
        tags=tags,
        scores=scores,
        min_cost=min_cost,
        min_duration=min_duration,
        search=search,
    )

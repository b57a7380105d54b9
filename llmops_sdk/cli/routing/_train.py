"""`llmops route train` and `llmops route report`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_sdk.cli._filters import parse_moment
from llmops_sdk.cli._options import Form, Since, Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._formats import Format, write_rows
from llmops_sdk.cli.routing._routed_model import Name, Quality, routed_model
from llmops_sdk.errors import LLMOpsError

if TYPE_CHECKING:
    from llmops_sdk.cli.routing._routed_model import RoutedModel
    from llmops_sdk.routing import ModelRow, RouterReport

__all__ = ["report", "train"]

_COLUMNS = ("kind", "model", "n", "quality", "low", "high", "cost")


def train(
    name: Name,
    score: Annotated[
        str | None, typer.Option("--score", metavar="NAME", help="The scores to learn from. Default: as configured.")
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="Only scores of this source, e.g. user.")] = None,
    since: Since = None,
    keep_suspicious: Annotated[
        bool, typer.Option("--keep-suspicious", help="Learn also from kinds that seem graded wrongly.")
    ] = False,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Learn from scored calls, and write the router's file."""
    from llmops_sdk.routing import Router

    found = routed_model(name, store)
    learned = score or found.resolved.router.score
    if learned is None:
        raise UsageError(f"name the scores: --score NAME, or score in [models.{found.resolved.routed_by}.router]")
    if found.resolved.router.policy == "online":
        _train_online(found, learned, source, parse_moment(since, datetime.now(UTC).replace(tzinfo=None)), form)
        return
    try:
        router = Router.from_traces(
            score=learned,
            route=found.resolved.route,
            since=parse_moment(since, datetime.now(UTC).replace(tzinfo=None)),
            source=source,
            default=found.resolved.router.default or found.resolved.route[-1],
            keep_suspicious=keep_suspicious,
            path=found.store,
        )
        found.path.parent.mkdir(mode=0o700, exist_ok=True)
        router.save(found.path)
    except (OSError, ValueError) as error:
        raise LLMOpsError(str(error)) from error
    _write(router.report(quality=found.resolved.router.quality), form)
    print(f"wrote {found.path}, version {router.version}", file=sys.stderr)


def _train_online(found: RoutedModel, score: str, source: str | None, since: datetime | None, form: Format) -> None:
    from llmops_sdk.routing import OnlineRouter

    settings = found.resolved.router
    try:
        router = OnlineRouter.from_traces(
            score=score,
            route=found.resolved.route,
            since=since,
            source=source,
            default=settings.default,
            quality=settings.quality,
            regret=settings.regret,
            explore=settings.explore,
            path=found.store,
        )
        found.path.parent.mkdir(mode=0o700, exist_ok=True)
        router.save(found.path)
    except (OSError, ValueError) as error:
        raise LLMOpsError(str(error)) from error
    write_rows(form, _COLUMNS, _shown(router.rows()), sys.stdout)
    sys.stdout.flush()
    for change in router.changes[-5:]:
        kind = f" on {change.kind}" if change.kind else ""
        print(
            f"the scores of {change.model}{kind} changed: older ones no longer count, {change.since} did from then on",
            file=sys.stderr,
        )
    print(f"wrote {found.path}, version {router.version}", file=sys.stderr)


def report(
    name: Name,
    quality: Quality = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Draw quality over cost into this SVG file.")
    ] = None,
    form: Form = Format.TABLE,
    store: Store = None,
) -> None:
    """Compare the models by kind, and say what is proven.

    The exit status is 0 if a cheaper model is proven good enough, 1 for an error, and 2 if nothing is proven.
    """
    found = routed_model(name, store)
    wanted = found.resolved.router.quality if quality is None else quality
    made = found.router().report(quality=wanted)
    if output is not None:
        from llmops_sdk.routing._picture import curve_svg

        try:
            output.write_text(curve_svg(made), encoding="utf-8")
        except OSError as error:
            raise LLMOpsError(f"{output} cannot be written: {error.strerror}") from error
    _write(made, form)
    if made.chosen is None or (made.chosen.share == 0 and made.strongest not in found.resolved.route[:1]):
        raise typer.Exit(2)


def _shown(rows: Sequence[ModelRow]) -> list[tuple[Any, ...]]:
    shown: list[tuple[Any, ...]] = []
    for one in rows:
        bounds = (None, None) if one.interval is None else (one.interval.low, one.interval.high)
        shown += [(one.kind or "(all)", one.model, one.n, one.quality, *bounds, one.cost)]
    return shown


def _write(made: RouterReport, form: Format) -> None:
    write_rows(form, _COLUMNS, _shown(made.rows), sys.stdout)
    sys.stdout.flush()
    lines = [f"the strongest model is {made.strongest}; {made.margin:.4f} of score may be lost", *made.notes]
    if made.chosen is not None and made.chosen.share > 0:
        point = made.chosen
        lines.insert(
            1,
            f"{point.share:.0%} of the prompts go to other models: score {point.quality:.4f}, which is "
            f"{point.difference:+.4f}, at least {point.lower:+.4f} with 95 % confidence; mean cost {point.cost:.6g}",
        )
    for line in lines:
        print(line, file=sys.stderr)

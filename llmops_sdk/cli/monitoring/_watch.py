"""`llmops watch`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_sdk.cli._options import Store
from llmops_sdk.cli._priority import lower_priority
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._text import defuse

if TYPE_CHECKING:
    from llmops_sdk.config import Settings

__all__ = ["settings_with", "watch"]


def watch(
    once: Annotated[
        bool,
        typer.Option("--once", help="Look once and exit: status 0 if nothing fires, 1 if an alert does, 2 on error."),
    ] = False,
    interval: Annotated[
        float | None, typer.Option("--interval", min=1, help="Seconds between two looks. Default: [watch] interval.")
    ] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Serve /metrics and /healthz at this address.")
    ] = None,
    store: Store = None,
) -> bool:
    """Evaluate the rules of the configuration every minute, and tell people.

    One watcher works on a store at a time. With --once it suits cron and systemd timers.
    """
    from llmops_sdk.monitoring.watch._start import look_once, open_notifications, run_until

    if once and listen is not None:
        raise UsageError("--once looks once and ends: it serves no address; leave --listen out")
    changed = {name: value for name, value in (("interval", interval), ("listen", listen)) if value is not None}
    settings = settings_with(store, watch=changed)
    if not (settings.alerts or settings.slo or settings.evaluators or settings.canaries or settings.drift.every):
        print("llmops: nothing to watch: the configuration has no [[alerts]] and no [slo.*]", file=sys.stderr)
    lower_priority()
    queue = open_notifications(settings)
    # An evaluator "module:name" is code of the project, and this program is not in the project's folder.
    with _project_code(settings):
        if once:
            found = look_once(settings, queue)
            if found.problems and not found.fires:
                # Status 0 would say that every rule was evaluated. The log says which one was not.
                raise typer.Exit(2)
            return not found.fires
        run_until(_until_signal(), settings, queue, ready=lambda address: _say_what_is_watched(settings, address))
    return True


def _say_what_is_watched(settings: Settings, address: tuple[str, int] | None) -> None:
    counts = [
        f"{len(given)} {one if len(given) == 1 else several}" for given, one, several in (
            (settings.alerts, "rule", "rules"), (settings.slo, "objective", "objectives"),
            (settings.canaries, "canary", "canaries"), (settings.evaluators, "evaluator", "evaluators"),
        ) if given
    ]  # fmt: skip
    counts += ["drift"] if settings.drift.every else []
    metrics = "" if address is None else f"; /metrics at http://{address[0]}:{address[1]}"
    print(
        f"llmops: watching {defuse(str(settings.store.path))}: {', '.join(counts) or 'no rules'}, every "
        f"{settings.watch.interval:g} s{metrics}; Ctrl-C ends it",
        file=sys.stderr,
    )


def settings_with(store: Path | None, **sections: dict[str, Any]) -> Settings:
    """Return the settings in force with another store, and other values in some sections.

    Args:
        store: The store's folder, or None.
        sections: Values by section.

    Raises:
        ConfigError: The file with the rules is not trusted. Without its rules the commands would say nothing.
    """
    from llmops_sdk.config import current, tolerate_untrusted

    tolerate_untrusted(False)
    settings = current()
    given = {**sections, "store": {"path": store} if store is not None else {}}
    changes = {
        name: getattr(settings, name).model_copy(update=values) for name, values in given.items() if values
    }  # fmt: skip
    return settings.model_copy(update=changes)


def _until_signal() -> threading.Event:
    """Return an event that SIGTERM and Ctrl-C set."""
    stop = threading.Event()

    def end(number: int, frame: Any) -> None:
        del number, frame
        stop.set()

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, end)
    return stop


@contextmanager
def _project_code(settings: Settings) -> Generator[None]:
    if not settings.evaluators and not settings.canaries:
        yield
        return
    from llmops_sdk.evals.cases._import_names import import_from

    with import_from([Path.cwd()]):
        yield

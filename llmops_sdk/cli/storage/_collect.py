"""`llmops collect`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmops_sdk.cli._options import Store
from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._reading import store_folder
from llmops_sdk.errors import ConfigError

if TYPE_CHECKING:
    from llmops_sdk.collect import Collector

__all__ = ["collect"]

_TICK_SECONDS = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def collect(
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="The port; 0 picks a free one.")] = 4318,
    allow_remote: Annotated[
        bool, typer.Option("--allow-remote", help="Allow a --host that other machines can reach.")
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Host header to accept in addition to localhost."),
    ] = None,
    token_env: Annotated[
        str | None,
        typer.Option("--token-env", metavar="NAME", help="Environment variable that holds the required bearer token."),
    ] = None,
    store: Store = None,
) -> None:
    """Receive OTLP over HTTP into the store, until Ctrl-C."""
    from llmops_sdk.collect import Collector

    token = None if token_env is None else os.environ.get(token_env)
    if token_env is not None and not token:
        raise UsageError(f"set the environment variable {token_env} to the bearer token; it is not set")
    try:
        collector = Collector(
            path=store_folder(store),
            host=host,
            port=port,
            allow_remote=allow_remote,
            allow_hosts=allow_host or (),
            token=token,
        )
    except ConfigError as error:
        raise UsageError(str(error)) from error
    stop = threading.Event()
    # Set the handlers first: a client that sees the open port may send a signal at once.
    previous = {number: signal.signal(number, lambda _number, _frame: stop.set()) for number in _SIGNALS}
    try:
        with collector:
            _print_address(collector, open_to_all=allow_remote and token is None)
            while not stop.wait(_TICK_SECONDS):
                collector.tick()
            # Restore them now, so that a second Ctrl-C ends the process at once.
            _set_handlers(previous)
    finally:
        _set_handlers(previous)
    _print_counts(collector)


def _set_handlers(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _print_address(collector: Collector, *, open_to_all: bool) -> None:
    print(f"collecting at {collector.url} into {collector.path}; press Ctrl-C to stop", file=sys.stderr)
    print(
        f"for senders: OTEL_EXPORTER_OTLP_ENDPOINT={collector.url} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        file=sys.stderr,
    )
    if open_to_all:
        print(
            "warning: every machine that reaches this address can write to the store; set --token-env", file=sys.stderr
        )
    sys.stderr.flush()


def _print_counts(collector: Collector) -> None:
    counts = collector.counts
    text = f"{counts.spans:,} spans, {counts.scores:,} scores and {counts.details:,} details of spans in logs"
    text += f", in {counts.requests:,} requests"
    if counts.rejected:
        text += f"; {counts.rejected:,} rejected"
    if counts.refused:
        text += "; refused: " + ", ".join(f"{count:,} with {status}" for status, count in counts.refused.items())
    print(text, file=sys.stderr)

"""`llmops collect`: a receiver of OTLP until it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llmops_sdk.cli._usage import UsageError
from llmops_sdk.cli.output._reading import store_folder
from llmops_sdk.errors import ConfigError

if TYPE_CHECKING:
    from llmops_sdk.collect import Collector

__all__ = ["run_collect"]

_TICK = 5.0  # seconds
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_collect(
    *,
    host: str,
    port: int,
    allow_remote: bool,
    allow_hosts: Sequence[str],
    token_env: str | None,
    store: Path | None,
) -> None:
    """Receive until Ctrl-C or SIGTERM; then end what is under way, seal the files, and say what came.

    Raises:
        UsageError: The address is open to other machines without `allow_remote`, or the token's variable is not set.
        StoreError: The store cannot be made or written.
        LLMOpsError: The address cannot be had.
    """
    from llmops_sdk.collect import Collector

    token = None if token_env is None else os.environ.get(token_env)
    if token_env is not None and not token:
        raise UsageError(f"the environment variable {token_env}, in which the token is to be, is not set")
    try:
        collector = Collector(
            path=store_folder(store),
            host=host,
            port=port,
            allow_remote=allow_remote,
            allow_hosts=allow_hosts,
            token=token,
        )
    except ConfigError as error:
        raise UsageError(str(error)) from error
    stop = threading.Event()

    def asked(_number: int, _frame: object) -> None:
        stop.set()

    # Before it listens: who sees it listening may ask it to stop.
    before = {number: signal.signal(number, asked) for number in _SIGNALS}
    try:
        with collector:
            _greet(collector, open_to_all=allow_remote and token is None)
            while not stop.wait(_TICK):
                collector.tick()
            # A second Ctrl-C ends it at once.
            for number, handler in before.items():
                signal.signal(number, handler)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    _report(collector)


def _greet(collector: Collector, *, open_to_all: bool) -> None:
    print(f"collecting at {collector.url} into {collector.path}; Ctrl-C ends it", file=sys.stderr)
    print(
        f"for senders: OTEL_EXPORTER_OTLP_ENDPOINT={collector.url} OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
        file=sys.stderr,
    )
    if open_to_all:
        print(
            "warning: every machine that reaches this address can write into the store (--token-env)", file=sys.stderr
        )
    sys.stderr.flush()


def _report(collector: Collector) -> None:
    counts = collector.counts
    told = f"{counts.spans:,} spans and {counts.scores:,} scores of {counts.requests:,} requests"
    if counts.rejected:
        told += f"; {counts.rejected:,} not kept"
    if counts.refused:
        told += "; refused: " + ", ".join(f"{count:,} with {status}" for status, count in counts.refused.items())
    print(told, file=sys.stderr)

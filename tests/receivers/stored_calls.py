"""Write calls to models into a store, as the pipeline does."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llmops_sdk.store import StoreSink
from llmops_sdk.tracing.records import _semconv as sc
from llmops_sdk.tracing.records._records import RecordedSpan, Stamp

__all__ = ["CallWriter"]

_IDS = itertools.count(1)


class CallWriter:
    """Writes to one store; close it to seal its files.

    Args:
        store: The store's folder.
    """

    def __init__(self, store: Path) -> None:
        self._sink = StoreSink(store)

    def write(
        self,
        count: int = 1,
        *,
        model: str = "gpt-x",
        provider: str = "openai",
        status: str = "ok",
        seconds: float = 0.5,
        cost: float | None = 0.01,
        prompt: str | None = "support",
        service: str = "shop",
        user: str = "ada",
        start_ns: int = 1_795_000_000_000_000_000,
        kind: str = "llm",
        attributes: Mapping[str, Any] | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        """Write calls with equal values."""
        own: dict[str, Any] = {
            sc.OPERATION: "chat",
            sc.PROVIDER: provider,
            sc.REQUEST_MODEL: model,
            sc.RESPONSE_MODEL: model,
            sc.INPUT_TOKENS: 100,
            sc.OUTPUT_TOKENS: 20,
            sc.ATTEMPTS: 2,
            sc.TIME_TO_FIRST_CHUNK: 0.3,
            **({} if cost is None else {sc.COST: cost}),
            **(attributes or {}),
        }
        self._sink.write([
            RecordedSpan(
                name="chat", kind=kind, trace_id=number, span_id=number, start_ns=start_ns, status=status,
                duration_ns=int(seconds * 1e9), attributes=own,
                stamp=Stamp(user_id=user, prompt_name=prompt, tags=tags), resource={"service.name": service},
            )
            for number in itertools.islice(_IDS, count)
        ])  # fmt: skip

    def close(self) -> None:
        self._sink.close(1.0)

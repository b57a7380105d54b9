"""Queries do not wait for a backend."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from otlp_receiver import BlackHole

import llmops_sdk as llmops

SQL = "SELECT count(*) FROM spans WHERE name = 'work'"


def query() -> object:
    return llmops.query(SQL).scalar()


def aquery() -> object:
    return asyncio.run(llmops.aquery(SQL)).scalar()


def connect() -> object:
    connection = llmops.connect()
    try:
        (count,) = connection.execute(SQL).fetchone() or (None,)
    finally:
        connection.close()
    return count


@pytest.mark.parametrize("ask", [query, aquery, connect])
def test_query_answers_while_the_backend_has_not(ask: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    # So long that only an answer of the backend could end the wait. It never comes.
    monkeypatch.setattr("llmops_sdk.store.reading._query._FLUSH_SECONDS", 3_600.0)
    with BlackHole() as backend:
        llmops.configure(export={"endpoint": backend.url, "metrics": {"exporters": []}})
        with llmops.span("work"):
            pass

        count = ask()
        request = backend.accept_request()
        report = llmops.flush(timeout=0.0)

    assert count == 1
    assert request.startswith(b"POST /v1/traces")
    assert (report.stored, report.exported, report.pending) == (1, 0, 1)

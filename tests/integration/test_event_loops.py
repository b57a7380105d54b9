"""The memory of a program with many short event loops stays flat."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from openai_server import OpenAIServer

import llmops_sdk as llmops

WARM_UP, LOOPS, MAX_GROWTH_MB = 30, 200, 25


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def test_resident_memory_stays_flat_over_event_loops(monkeypatch: pytest.MonkeyPatch):
    with OpenAIServer() as server:
        monkeypatch.setenv("OPENAI_API_KEY", "key-for-tests")
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        for number in range(WARM_UP + LOOPS):
            asyncio.run(llmops.achat(f"Hello {number}?", model="openai/gpt-4.1-mini"))
            if number == WARM_UP:
                before = resident_mb()
    # It was 0.8 MB for each loop.
    assert resident_mb() - before < MAX_GROWTH_MB

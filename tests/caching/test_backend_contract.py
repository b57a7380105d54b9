"""The contracts of the stores, on this machine's disk."""

from __future__ import annotations

import pytest
from backend_contract import BackendContract, SemanticContract

from llmops_sdk.caching.backends._disk import DiskBackend
from llmops_sdk.caching.semantic.stores._sqlite import SqliteBackend


class TestDisk(BackendContract):
    @pytest.fixture
    def make_backend(self, tmp_path):
        return lambda: DiskBackend(tmp_path / "cache", max_bytes=1_000_000)


class TestSqlite(SemanticContract):
    @pytest.fixture
    def make_backend(self, tmp_path):
        return lambda: SqliteBackend(tmp_path / "cache", max_entries=100)

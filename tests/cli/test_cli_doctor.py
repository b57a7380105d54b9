"""What `llmops doctor` says about the files of a store and of its caches."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llmops_sdk as llmops
from llmops_sdk import config

SETTINGS = """
model = "offline/echo"
[store]
path = "store"
compaction = "manual"
[cache]
exact = true
path = "shared"
[models.own]
model = "offline/echo"
cache = { exact = true, path = "shared/own" }
"""


@pytest.fixture
def store(own_surroundings: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (own_surroundings / "settings.toml").write_text(SETTINGS)
    monkeypatch.setenv("LLMOPS_CONFIG_FILE", "settings.toml")
    for model in (None, "own"):
        llmops.chat("hello", model=model)
    llmops.shutdown()
    config.reset()
    return own_surroundings / "store"


def size(*folders: Path) -> str:
    sizes = [file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file()]
    return f"{sum(sizes) / 1e6:.3f} MB in {len(sizes)} files"


def findings(text: str) -> dict[str, str]:
    return {row["what"]: row["value"] for row in json.loads(text) if row["part"] == "store"}


def test_the_size_of_caches_outside_of_the_store_has_its_own_row(command, store: Path, tmp_path: Path) -> None:
    shared = store.parent / "shared"
    assert (shared / "own" / "exact").is_dir()
    ran = command("doctor", "--format", "json")
    found = findings(ran.out)
    assert found["size"] == size(store)
    assert found["caches elsewhere"] == f"{size(shared)}: {shared}, {shared / 'own'}"
    # The caches of the settings are not those of another store.
    assert "caches elsewhere" not in findings(command("doctor", "--format", "json", "--store", tmp_path).out)


@pytest.mark.parametrize(("count", "lines"), [(1, "1 line"), (2, "2 lines")])
def test_a_user_reads_how_many_lines_cannot_be_read(command, store: Path, count: int, lines: str) -> None:
    (segment,) = (store / "wal").glob("*.ndjson")
    with segment.open("ab") as file:
        file.write(b'{"trace_id":"cut\n' * count)
    rows = llmops.query("SELECT time, what, reason, count FROM losses", path=store).rows()
    assert rows == [(None, "line", "unreadable", count)]
    ran = command("doctor")
    assert ran.status == 0
    sentence = f"{lines} of the store's files cannot be read: a program died while writing, or the disk failed"
    assert f"note: lost or redacted: {sentence}" in ran.out
    command("compact")
    assert findings(command("doctor", "--format", "json").out)["lost or redacted"] == sentence


@pytest.mark.parametrize(
    ("key", "value"),
    [("k" * 32, "with the key in TELEMETRY_HASH_KEY"), ("", "NO: TELEMETRY_HASH_KEY holds no key of at least 16")],
)
def test_a_user_reads_whether_redacted_values_have_hashes(
    command, monkeypatch: pytest.MonkeyPatch, key: str, value: str
) -> None:
    monkeypatch.setenv("LLMOPS_REDACTION__HASH_KEY_ENV", "TELEMETRY_HASH_KEY")
    monkeypatch.setenv("TELEMETRY_HASH_KEY", key)
    rows = json.loads(command("doctor", "--format", "json").out)
    (found,) = [row["value"] for row in rows if row["what"] == "hashes of redacted values"]
    assert found.startswith(value)

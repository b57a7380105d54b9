"""`prune --user`: a user's data through every feature, then a search of every byte on the disk."""

from __future__ import annotations

import base64
import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

import llmops_sdk as llmops
from llmops_sdk.config import current
from llmops_sdk.store import query
from llmops_sdk.store.maintenance._compact import compact_store
from llmops_sdk.store.maintenance._places import data_places

pytestmark = pytest.mark.redteam

CANARY = "xyzzy-of-ada"
IMAGE = b"\x89PNG" + CANARY.encode() * 2_000


@llmops.cache(namespace="erasure")
def with_exact_cache(text: str) -> str:
    return f"about {text}"


@llmops.cache(namespace="erasure", semantic="serve")
def with_semantic_cache(text: str) -> str:
    return f"about {text}"


def use_everything(user: str, words: str, image: bytes) -> None:
    url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
    with llmops.context(user_id=user, session_id=f"s-{user}", metadata={"note": words}, tags=[words]):
        for model in ("offline/echo", "own"):
            llmops.chat(words, model=model)
            llmops.chat(words, model=model, cache={"semantic": "serve"})
        for cached in (with_exact_cache, with_semantic_cache):
            assert cached(words) == f"about {words}"
        with llmops.span(words, input={"image": image}, attributes={words: [words]}) as span:
            span.add_event(words, {"text": words})
            llmops.score("good", 1.0, comment=words)
        with llmops.span("messages", input=[{"role": "user", "content": [{"image_url": {"url": url}}]}]):
            pass
    llmops.flush()


def every_byte(root: Path) -> bytes:
    """Return the bytes of all files, raw and unpacked."""
    found: list[bytes] = []
    for file in sorted(root.rglob("*")):
        if not file.is_file():
            continue
        data = file.read_bytes()
        found += [str(file).encode(), data]
        if data[:2] == b"\x1f\x8b":
            found.append(gzip.decompress(data))
        if file.suffix == ".parquet" and data[-4:] == b"PAR1":
            with duckdb.connect() as connection:
                found.append(repr(connection.execute(f"FROM '{file}'").fetchall()).encode())
                found.append(repr(connection.execute(f"FROM parquet_metadata('{file}')").fetchall()).encode())
        if data[:15] == b"SQLite format 3":
            with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
                found.append("\n".join(connection.iterdump()).encode())
    return b"\0".join(found)


def test_no_byte_of_a_user_is_left_anywhere(command, tmp_path):
    store, own = tmp_path / "store", tmp_path / "own-cache"
    llmops.configure(
        store={"path": store, "compaction": "manual"},
        cache={"exact": True},
        models={"own": {"model": "offline/echo", "cache": {"exact": True, "path": own}}},
        export={"endpoint": "http://127.0.0.1:9", "content": True},
    )
    use_everything("ada", CANARY, IMAGE)
    use_everything("bob", "plover-of-bob", b"\x89PNG" + b"plover" * 2_000)
    llmops.shutdown()
    compact_store(store, grace=0.0)
    llmops.configure(
        store={"path": store, "compaction": "manual"},
        cache={"exact": True},
        models={"own": {"model": "offline/echo", "cache": {"exact": True, "path": own}}},
    )
    use_everything("ada", CANARY, IMAGE)
    llmops.flush()
    # What killed processes and damage leave.
    token = "0" * 32
    for name in (
        f"tmp/1-{token}/spill.tmp", f"damaged/L0-00000001-{token}.parquet", f".PRUNE.json.{token}",
        f"import/{token}/wal/h-1-{token}-1.v2.ndjson", f"spans/.L0-00000001-{token}.parquet",
    ):  # fmt: skip
        (store / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (store / name).write_text(CANARY)
    for folder in (own, store / "cache"):
        (folder / "exact" / "cache.db.damaged").write_text(CANARY)
    places = {place.path for place in data_places(store, current())}
    before = every_byte(tmp_path)
    for canary in (CANARY.encode(), IMAGE, b"ada"):
        assert canary in before
    holding = {file for file in tmp_path.rglob("*") if file.is_file() and CANARY.encode() in file.read_bytes()}
    known = {file for file in holding if places & {file, *file.parents}}
    assert holding - known <= {store / f".PRUNE.json.{token}"}
    assert command("prune", "--user", "ada", "--yes", "--store", store).status == 0
    left = [str(file) for file in tmp_path.rglob("*") if file.is_file() and b"xyzzy" in file.read_bytes()]
    assert left == []
    after = every_byte(tmp_path)
    assert [
        canary for canary in (CANARY.encode(), b"xyzzy", b"s-ada", base64.b64encode(IMAGE)[:400]) if canary in after
    ] == []
    assert b"plover-of-bob" in after
    assert query("SELECT DISTINCT user_id FROM spans WHERE user_id IS NOT NULL", path=store).rows() == [("bob",)]

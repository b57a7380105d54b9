"""After `llmops prune --user`, no byte of the user's is left in the project."""

from __future__ import annotations

import secrets
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from llmops_sdk.store import compact

PROGRAM = """
import sys
import llmops_sdk as llmops
user, word, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
llmops.configure(cache={"exact": True}, export={"endpoint": "http://127.0.0.1:9", "content": True})

@llmops.trace
def look(image, note):
    return {"note": note}

for number in range(rounds):
    with llmops.context(user_id=user, session_id=f"session-{word}", tags=[word], metadata={"word": word}):
        with llmops.span("outer", attributes={"word": word}) as span:
            span.add_event("told", {"word": word})
            look(b"\\x89PNG\\r\\n\\x1a\\n" + word.encode() * 5_000, word)
            llmops.chat(f"My name is {word}, and this is {number}")
            llmops.score("good", 1.0, comment=word)
            try:
                with llmops.span("breaks"):
                    raise ValueError(word)
            except ValueError:
                pass
llmops.shutdown(10)
"""


def play(folder: Path, user: str, word: str, rounds: int = 3) -> None:
    """Run one user through tracing, calls, cache, scores, images, and the outbox of a backend that is away."""
    command = [sys.executable, "-c", PROGRAM, user, word, str(rounds)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=100)


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the bytes of every file, as they are and without their compression."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name, data = str(file.relative_to(folder)), file.read_bytes()
        yield name, data
        if file.suffix == ".parquet":
            with duckdb.connect() as connection:
                rows = connection.execute("SELECT * FROM read_parquet(?)", [str(file)]).fetchall()
            yield f"{name} (rows)", repr(rows).encode()
        for at in (
            place for place in range(len(data) - 1) if data[place] == 0x78 and data[place + 1] in {1, 0x9C, 0xDA}
        ):
            try:
                yield f"{name} (zlib at {at})", zlib.decompressobj().decompress(data[at:], 1 << 20)
            except zlib.error:
                continue


def places_of(word: str, folder: Path) -> list[str]:
    """Return where a word stands."""
    forms = (word.encode(), word.encode().hex().encode(), word.encode("utf-16-le"))
    return [name for name, data in texts(folder) if any(form in data for form in forms)]


@pytest.mark.slow
@pytest.mark.parametrize("compacted", [False, True], ids=["lines", "Parquet"])
def test_no_byte_of_a_pruned_user_is_left(tmp_path: Path, compacted: bool):
    (tmp_path / "llmops.toml").write_text("")
    store = tmp_path / ".llmops"
    gone, stays = "gone" + secrets.token_hex(12), "stays" + secrets.token_hex(12)
    play(tmp_path, f"user-{gone}", gone)
    play(tmp_path, f"user-{stays}", stays)
    if compacted:
        compact(path=store)
    assert places_of(gone, store), "the test looks in the wrong place"

    command = [sys.executable, "-m", "llmops_sdk", "prune", "--user", f"user-{gone}", "--yes"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode == 0, done.stderr
    assert places_of(gone, tmp_path) == []
    assert places_of(stays, store)

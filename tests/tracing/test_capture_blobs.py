"""Images and other large content: a marker in the JSON, a file beside the store, bounded and private."""

from __future__ import annotations

import base64
import hashlib
import json
import stat
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from span_rows import only, recorded

import llmops_sdk as llmops
from llmops_sdk.tracing.capture import _blobs
from llmops_sdk.tracing.capture._encode import encode
from llmops_sdk.tracing.capture._media import media_of, png


def picture(width: int, height: int, seed: int = 1) -> bytes:
    """A PNG that does not compress."""
    pixels = b"".join(hashlib.sha256(f"{seed}-{n}".encode()).digest() for n in range(width * height * 3 // 32 + 1))
    return png(pixels[: width * height * 3], "RGB", width, height)


LARGE = picture(150, 100)
SMALL = picture(4, 3)


def folder() -> Path:
    return Path(llmops.settings().store.path)


def files() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder() / "blobs").glob("*")}


def marker(content: bytes, **more: object) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    return {"$media": "image/png", "bytes": len(content), **more, "sha256": digest, "path": f"blobs/{digest}.png"}


def losses() -> list[tuple[str, str, int]]:
    llmops.flush()
    return [tuple(row) for row in llmops.query("SELECT what, reason, count FROM losses ORDER BY ALL").rows()]


def test_an_image_in_bytes_round_trips_through_its_blob():
    with llmops.span("look", input={"image": LARGE}):
        pass
    said = only("look")["input"]["image"]
    assert said == marker(LARGE, width=150, height=100)
    assert (folder() / said["path"]).read_bytes() == LARGE
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder() / "blobs", folder() / said["path"])]
    assert modes == [0o700, 0o600]
    assert losses() == []


URL = f"data:image/png;base64,{base64.b64encode(LARGE).decode()}"


@pytest.mark.parametrize(
    "text",
    [
        URL,
        URL.partition(",")[2],
        URL.replace(";base64", ";charset=utf-8;base64"),
        "data:image/png;base64," + base64.encodebytes(LARGE).decode(),
        URL.rstrip("="),
    ],
    ids=["data URL", "bare base64", "with a parameter", "with line breaks", "without padding"],
)
def test_an_image_in_base64_text_becomes_a_blob(text: str):
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": text}}]}]
    with llmops.span("ask", input=messages):
        pass
    said = only("ask")["input"][0]["content"][0]["image_url"]["url"]
    assert said["sha256"] == hashlib.sha256(LARGE).hexdigest()
    assert (folder() / said["path"]).read_bytes() == LARGE


def test_a_small_image_is_inlined_in_the_json():
    url = f"data:image/png;base64,{base64.b64encode(SMALL).decode()}"
    said, text = json.loads(encode([SMALL, url]))
    assert text == url
    assert base64.b64decode(said.pop("data")) == SMALL
    assert said == {
        "$media": "image/png",
        "bytes": len(SMALL),
        "width": 4,
        "height": 3,
        "sha256": hashlib.sha256(SMALL).hexdigest(),
    }


@pytest.mark.parametrize(
    "text",
    [
        "data:" + "x" * 30_000,
        "data:image/png;base64" + "x" * 30_000,
        "iVBORw0KGgo but then in words " * 1_000,
        "/9j/" + "usr/lib/python3.11/" * 2_000,
        "R0lGOD" + "A" * 30_000,
        "data:;base64," + "A" * 30_000,
    ],
)
def test_text_that_only_begins_like_an_image_stays_text(text: str):
    (said,) = json.loads(encode([text, {1}]))[:1]
    assert said == text


@pytest.mark.parametrize(
    ("text", "media", "suffix"),
    [
        ("data:application/pdf;base64,", "application/pdf", "pdf"),
        ("data:audio/wav;base64,", "audio/wav", "wav"),
        ("data:application/x-own;base64,", "application/x-own", "bin"),
        ("DATA:IMAGE/SVG+XML;BASE64,", "image/svg+xml", "svg"),
    ],
)
def test_data_urls_of_other_types_become_blobs(text: str, media: str, suffix: str):
    content = b"anything " * 4_000
    with llmops.span("read", input=[text + base64.b64encode(content).decode()]):
        pass
    (said,) = only("read")["input"]
    assert (said["$media"], said["bytes"]) == (media, len(content))
    assert files() == {f"{hashlib.sha256(content).hexdigest()}.{suffix}": content}


def test_the_same_content_is_one_file():
    for name in ("a", "b", "c"):
        with llmops.span(name, input=[LARGE, URL], attributes={"app.image": [LARGE, None]}) as span:
            span.add_event("seen", {"image": {"again": LARGE}})
    rows = recorded()
    assert list(files()) == [f"{hashlib.sha256(LARGE).hexdigest()}.png"]
    for row in rows:
        assert row["input"] == [marker(LARGE, width=150, height=100)] * 2
        assert row["attributes"]["app.image"][0] == marker(LARGE, width=150, height=100)
        assert row["events"][0]["attributes"]["image"]["again"] == marker(LARGE, width=150, height=100)


def test_a_blob_holds_the_content_at_the_time_of_the_call():
    content = bytearray(LARGE)

    @llmops.trace(name="change")
    def change(image: bytearray) -> None:
        image[-4:] = b"gone"

    change(content)
    assert (folder() / only("change")["input"]["image"]["path"]).read_bytes() == LARGE


def test_large_bytes_without_media_get_a_digest_but_no_file():
    content = b"\x00\x01" * 1_000_000
    with llmops.span("read", input={"raw": content}):
        pass
    said = only("read")["input"]["raw"]
    assert said == {"$bytes": 2_000_000, "sha256": hashlib.sha256(content).hexdigest(), "$head": "\\x00\\x01" * 32}
    assert files() == {}


def test_content_over_the_limit_is_counted():
    llmops.configure(capture={"max_blob_bytes": len(LARGE) - 1})
    with llmops.span("look", input=[LARGE]):
        pass
    (said,) = only("look")["input"]
    assert said == {"$media": "image/png", "bytes": len(LARGE), "width": 150, "height": 100}
    assert (files(), losses()) == ({}, [("blob", "too_large", 1)])


def test_a_blob_limit_of_zero_stores_and_counts_nothing():
    llmops.configure(capture={"max_blob_bytes": 0})
    with llmops.span("look", input=[LARGE]):
        pass
    assert (files(), losses()) == ({}, [])


def test_without_a_store_a_blob_has_a_digest_but_no_path(sink: Any):
    llmops.configure(store={"enabled": False})
    encoded = json.loads(encode([LARGE]))[0]
    assert set(encoded) >= {"sha256"}
    with llmops.span("look", input=[LARGE]):
        pass
    assert json.loads(sink.only().input)[0]["sha256"] == hashlib.sha256(LARGE).hexdigest()


def test_without_tracing_media_is_only_described():
    assert json.loads(encode([LARGE])) == [{"$media": "image/png", "bytes": len(LARGE), "width": 150, "height": 100}]


def test_blobs_removed_by_redaction_are_never_written():
    def failing(_: str) -> str:
        raise ValueError

    from llmops_sdk._util._guard import raise_in_tests

    raise_in_tests(False)  # that the redactor fails is what is wanted here
    remove = llmops.add_redactor(failing)
    try:
        with llmops.span("closed", input=[LARGE]):
            pass
        llmops.flush()
    finally:
        remove()
        raise_in_tests(True)
    assert "input" not in only("closed")
    assert files() == {}


def test_a_span_that_is_never_written_leaves_no_file():
    span = llmops.span("open", input=[LARGE])
    span.__enter__()
    with llmops.span("other"):
        pass
    assert len(recorded()) == 1
    assert files() == {}
    span.__exit__(None, None, None)
    assert len(recorded()) == 2
    assert len(files()) == 1


def test_application_text_that_looks_like_a_token_is_unchanged():
    texts = ["0" * 64, "0" * 44 + "de0b6b3a7640000" + "0" * 5, "pending-" + "ab" * 16, "blobs/pending-" + "ab" * 16]
    with llmops.span("look", input=[*texts, LARGE]):
        pass
    assert only("look")["input"][:-1] == texts


def test_secrets_in_bytes_are_redacted():
    key = "AKIA" + "IOSFODNN7EXAMPLE"
    with llmops.span("read", input=[f"id {key} end".encode(), (" " * 50 + key).encode() * 2]):
        pass
    text = json.dumps(only("read")["input"])
    assert (key not in text, text.count("REDACTED")) == (True, 2)


def test_pending_blob_content_is_bounded():
    llmops.configure(capture={"max_blob_bytes": 100_000_000})
    large = LARGE[:8] + LARGE[8:] + bytes(20_000_000)
    others = [large[:-1] + bytes([n]) for n in range(3)]
    with llmops.span("look", input=[large, *others, large]):
        pass
    said = only("look")["input"]
    assert ["path" in one for one in said] == [True, True, True, False, True]
    assert "sha256" not in said[3]
    assert ("blob", "queue_full", 1) in losses()
    # What was given up has made room.
    with llmops.span("again", input=[large]):
        pass
    assert "path" in only("again")["input"][0]


def test_unwritable_blob_content_is_counted_and_the_span_stored():
    with llmops.span("first"):
        pass
    llmops.flush()
    (folder() / "blobs").write_text("a file in the way")
    with llmops.span("look", input=[LARGE]):
        pass
    assert only("look")["input"][0]["path"].startswith("blobs/")
    assert losses() == [("blob", "not_written", 1)]


@pytest.mark.parametrize("kind", ["bytes", "data URL", "bare base64"])
def test_nothing_is_decoded_or_copied_in_the_call(kind: str):
    content = LARGE + bytes(6_000_000)
    text = base64.b64encode(content).decode()
    value = {"bytes": content, "data URL": f"data:image/png;base64,{text}", "bare base64": text}[kind]
    with llmops.span("begin"):
        encode([LARGE])
        tracemalloc.start()
        said = json.loads(encode([value]))[0]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert said["bytes"] == len(content)
    assert peak < 200_000


PROGRAM = """
import hashlib, os, signal, sys
import llmops_sdk as llmops

image = bytes.fromhex(sys.argv[1]) + bytes(50_000)
with llmops.span("look", input=[image]):
    pass
assert llmops.flush().stored == 1
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_flushed_blobs_survive_a_kill():
    done = subprocess.run([sys.executable, "-c", PROGRAM, SMALL.hex()], check=False, timeout=100)
    assert done.returncode == -9
    (row,) = recorded()
    content = SMALL + bytes(50_000)
    assert (folder() / row["input"][0]["path"]).read_bytes() == content


FORKING = """
import os, sys, warnings
import llmops_sdk as llmops
warnings.simplefilter("ignore")

image = bytes.fromhex(sys.argv[1])
with llmops.span("parent", input=[image + bytes(50_000)]):
    child = os.fork()
    if child == 0:
        with llmops.span("child", input=[image + bytes(60_000)]):
            pass
        os._exit(0 if llmops.flush().stored == 1 else 1)
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_child_writes_the_content_of_its_own_spans():
    subprocess.run([sys.executable, "-c", FORKING, SMALL.hex()], check=True, timeout=100)
    rows = {row["name"]: row["input"][0] for row in recorded()}
    assert {name: said["bytes"] - len(SMALL) for name, said in rows.items()} == {"parent": 50_000, "child": 60_000}
    for said in rows.values():
        assert hashlib.sha256((folder() / said["path"]).read_bytes()).hexdigest() == said["sha256"]


def test_no_blob_content_stays_in_memory_after_a_flush():
    with llmops.span("look", input=[LARGE, b"x" * 1_000_000], attributes={"a": [LARGE, 1]}):
        pass
    recorded()
    assert not _blobs.has_ready()


# --- what a file is -------------------------------------------------------------------------------------------------


def _jpeg(width: int, height: int) -> bytes:
    thumbnail = b"\xff\xe1" + struct.pack(">H", 4_002) + bytes(4_000)
    return b"\xff\xd8" + thumbnail + b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + bytes(10)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (png(b"abc", "L", 3, 1), ("image/png", 3, 1)),
        (png(b"abcd" * 2, "RGBA", 2, 1), ("image/png", 2, 1)),
        (b"\x89PNG\r\n\x1a\n", ("image/png", None, None)),
        (b"GIF89a" + struct.pack("<HH", 7, 8), ("image/gif", 7, 8)),
        (_jpeg(640, 480), ("image/jpeg", 640, 480)),
        (b"\xff\xd8\xff\xe0", ("image/jpeg", None, None)),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 " + bytes(10) + struct.pack("<HH", 5, 6), ("image/webp", 5, 6)),
        (b"RIFF\x00\x00\x00\x00WEBPVP8X" + bytes(8) + b"\x04\x00\x00\x05\x00\x00", ("image/webp", 5, 6)),
        (b"RIFF\x00\x00\x00\x00WEBPVP8L" + bytes(5) + struct.pack("<I", 4 | 5 << 14), ("image/webp", 5, 6)),
        (b"BM" + bytes(16) + struct.pack("<ii", 9, -4) + bytes(4), ("image/bmp", 9, 4)),
        (b"II*\x00", ("image/tiff", None, None)),
        (b"%PDF-1.7", ("application/pdf", None, None)),
        (b"RIFF\x00\x00\x00\x00WAVE", ("audio/wav", None, None)),
        (b"ID3\x04", ("audio/mpeg", None, None)),
        (b"BMW is a car", None),
        (b"", None),
        (b"text", None),
    ],
)
def test_media_types_are_recognised_by_their_first_bytes(head: bytes, expected: object):
    found = media_of(head)
    assert (None if found is None else tuple(found)) == expected


def test_pixels_become_a_png():
    content = png(bytes(range(12)), "RGB", 2, 2)
    chunk = content.index(b"IDAT")
    (size,) = struct.unpack(">I", content[chunk - 4 : chunk])
    assert zlib.decompress(content[chunk + 4 : chunk + 4 + size]) == b"\0" + bytes(range(6)) + b"\0" + bytes(
        range(6, 12)
    )

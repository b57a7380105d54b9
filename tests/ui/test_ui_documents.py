"""Hostile text and secrets: in the API, in the page of one trace, and in images."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from ui_page import Page, PlainSpan, call, message

from llmops_sdk.cli._app import run
from llmops_sdk.store import StoreSink
from llmops_sdk.tracing.records._records import Stamp

HOSTILE = (
    "<img src=x onerror=alert(1)></script><script>alert(2)</script><svg/onload=alert(3)> javascript:alert(4) "
    "![x](https://evil.example/?q=1) \u202etxt\u2066 \x1b[31m \ufeff =cmd|' /C calc'!A0 \u2028"
)
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xff\xff?\x00\x05\xfe\x02\xfe\xa75\x81\x84\x00\x00\x00\x00IEND\xaeB`\x82"
)
TRACE = f"{9:032x}"


def put_hostile(folder, secret: str = "") -> str:
    """Write a trace of hostile text with an image and a secret that no redaction saw; return the image's name."""
    sink = StoreSink(folder)
    digest = hashlib.sha256(PNG).hexdigest()
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    (folder / "blobs" / f"{digest}.png").write_bytes(PNG)
    image = {"$media": "image/png", "sha256": digest, "path": f"blobs/{digest}.png"}
    stamp = Stamp(session_id=HOSTILE, user_id=HOSTILE, tags=(HOSTILE,))
    said = [{"role": HOSTILE, "parts": [{"type": "text", "content": HOSTILE}, "x", None, {"type": [1]}]}, HOSTILE, None]
    sink.write([
        PlainSpan(name=HOSTILE, trace_id=9, span_id=1, stamp=stamp, status="error", error_type=HOSTILE,
                  status_message=HOSTILE, input=json.dumps([HOSTILE, image, secret]).encode(),
                  output=json.dumps("long " * 100_000).encode()),
        call(1, 9, said=said, answer=HOSTILE, stamp=stamp),
        PlainSpan(name="circle", trace_id=9, span_id=4, parent_id=5, start_ns=-5),
        PlainSpan(name="circle", trace_id=9, span_id=5, parent_id=4),
        PlainSpan(name="orphan", trace_id=9, span_id=6, parent_id=99),
        PlainSpan(name="again", trace_id=9, span_id=6, parent_id=6, input=b'"twice"'),
    ])  # fmt: skip
    sink.close(5.0)
    return f"{digest}.png"


class Elements(HTMLParser):
    """Collects what a page would do."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.loads: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.loads += [value for name, value in attrs if name in {"src", "href", "srcset", "action"}]


def test_the_page_of_a_trace_runs_nothing_loads_nothing_and_has_no_secret(folder, tmp_path, capsys):
    secret = "sk-" + "proj-" + "A1b2C3d4" * 6
    put_hostile(folder, secret)
    file = tmp_path / "trace.html"

    assert run(["show", TRACE, "--html", "-o", str(file), "--store", str(folder)]) == 0
    document = file.read_text("utf-8")

    found = Elements()
    found.feed(document)
    assert not found.tags & {"script", "iframe", "object", "link", "base", "form", "a"}
    assert not [name for name in found.attributes if name.startswith("on") or name == "style"]
    assert [one.split(",")[0] for one in found.loads] == ["data:image/png;base64"]
    assert "default-src 'none'" in document
    assert secret not in document
    assert "&lt;img src=x onerror=alert(1)&gt;" in document
    assert not re.search("[\u202e\u2066\x1b]", document)
    assert len(document) < 500_000
    assert run(["show", TRACE, "--html", "--store", str(folder)]) == 0
    assert capsys.readouterr().out == document
    assert run(["show", TRACE, "-o", str(file), "--store", str(folder)]) == 2


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Return a page over a hostile store."""
    folder = tmp_path_factory.mktemp("hostile") / "store"
    opened = Page(folder)
    opened.image = put_hostile(folder)
    (folder / "blobs" / ("a" * 64 + ".svg")).write_text("<svg onload='alert(1)'/>")
    (folder / "blobs" / ("a" * 64 + ".png")).symlink_to("/etc/passwd")
    yield opened
    opened.close()


def test_every_answer_over_hostile_text_is_plain_json(hostile):
    name, page = hostile.image, hostile

    data = page.get(f"trace/{TRACE}")["data"]
    assert len(data["spans"]) == 6
    assert {one["name"] for one in data["spans"] if one.get("orphan")} == {"circle", "orphan", "again"}
    for path in (f"span/{TRACE}/{1:016x}", f"span/{TRACE}/{2:016x}", f"span/{TRACE}/{6:016x}"):
        assert len(page.client.get(f"/api/v1/{path}").content) < 200_000
    assert page.get("traces")["data"]["rows"][0]["user_id"] == HOSTILE
    for path in ("traces", "sessions", "facets", "calls", "errors", "histogram", "metrics"):
        page.get(path, since="2026-01-01", user=HOSTILE, tag=HOSTILE)
    answer = page.client.get(f"/blob/{name}")
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize(
    "name", ["../MANIFEST.json", "a" * 64 + ".svg", "a" * 64 + ".png", "a" * 64 + ".html", "x.png"]
)
def test_nothing_but_stored_images_is_served(hostile, name):
    assert hostile.client.get(f"/blob/{name}").status_code == 404


def test_a_session_of_broken_messages_is_shown(hostile):
    session = hostile.client.get("/api/v1/session/" + "".join(f"%{byte:02x}" for byte in HOSTILE.encode()))
    assert session.status_code == 200
    assert session.json()["data"]["turns"][0]["said"][0]["role"] == HOSTILE
    assert session.json()["data"]["turns"][0]["answered"] == [message("assistant", HOSTILE)]

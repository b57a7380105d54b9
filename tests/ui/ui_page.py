"""A real server with a client, and a store to show: `from ui_page import Page, put_traces`."""

from __future__ import annotations

import importlib.util
import json
import secrets
import sys
import threading
from pathlib import Path

import httpx

from llmops_sdk.store import StoreSink
from llmops_sdk.tracing.records._records import Json, ScoreRecord, Stamp
from llmops_sdk.ui._server import PageServer

_spec = importlib.util.spec_from_file_location("span_writer", Path(__file__).parents[1] / "store" / "span_writer.py")
assert _spec is not None
assert _spec.loader is not None
if "span_writer" not in sys.modules:
    sys.modules["span_writer"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["span_writer"])
from span_writer import START_NS, PlainSpan  # noqa: E402 - it is no module on the path

SECOND = 1_000_000_000
MODELS = ("gpt-x", "claude-y")


def message(role: str, text: str) -> dict[str, object]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def call(number: int, trace: int, *, said: list[dict[str, object]], answer: str, **more) -> PlainSpan:
    attributes = {
        "gen_ai.request.model": MODELS[number % 2],
        "gen_ai.response.model": MODELS[number % 2],
        "gen_ai.usage.input_tokens": 10 + number,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.input.messages": Json(json.dumps(said).encode()),
        "gen_ai.output.messages": Json(json.dumps([message("assistant", answer)]).encode()),
        "gen_ai.usage.cost": 0.001 * (number + 1),
    }
    return PlainSpan(
        name=f"chat {MODELS[number % 2]}",
        kind="llm",
        trace_id=trace,
        span_id=2,
        parent_id=1,
        attributes=attributes,
        **more,
    )


def trace_ids(count: int = 12) -> list[str]:
    """Return the ids, newest first."""
    return [f"{(number + 1) << 64 | 7:032x}" for number in range(count)][::-1]


def put_traces(folder: Path, count: int = 12) -> list[str]:
    """Write traces of a root, a call and a tool, one a minute; every third fails. Return their ids, newest first."""
    sink = StoreSink(folder)
    ids = trace_ids(count)[::-1]
    talk: list[dict[str, object]] = []
    for number in range(count):
        trace = (number + 1) << 64 | 7
        start = START_NS + number * 60 * SECOND
        stamp = Stamp(session_id="talk" if number < 4 else f"s{number % 3}", user_id=f"user-{number % 2}",
                      tags=("blue",) if number % 2 else ("red", "blue"))  # fmt: skip
        talk = [*talk, message("user", f"question {number}")]
        failed = number % 3 == 2
        error = {"status": "error", "error_type": "TimeoutError", "status_message": f"no answer in {number} s"}
        sink.write([
            PlainSpan(name="ask" if number % 4 else "plan", trace_id=trace, span_id=1, start_ns=start, stamp=stamp,
                      duration_ns=number * SECOND, input=b'"needle in %d"' % number, **(error if failed else {})),
            call(number, trace, said=list(talk), answer=f"answer {number}", start_ns=start + 5, stamp=stamp,
                 **(error if failed else {})),
            PlainSpan(name="lookup", kind="tool", trace_id=trace, span_id=3, parent_id=1, start_ns=start + 9,
                      stamp=stamp),
        ])  # fmt: skip
        talk = [*talk, message("assistant", f"answer {number}")]
    sink.write([
        ScoreRecord(trace_id=ids[1], span_id=None, name="helpful", value=1.0, label=None, comment=None, source="user",
                    time_ns=START_NS)
    ])  # fmt: skip
    sink.close(5.0)
    return ids[::-1]


def events(answer: httpx.Response):
    """Yield the name and the data of each event, and its id."""
    name, position = "", None
    for line in answer.iter_lines():
        if line.startswith("id: "):
            position = line[4:]
        elif line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:]), position


class Page:
    """A real server on a free port, and a client that has its token."""

    def __init__(self, folder: Path, **options) -> None:
        self.token = secrets.token_urlsafe(18)
        self.folder = folder
        self.announced: list[str] = []
        given = {"token": self.token, "allow_hosts": (), "allow_remote": False, "read_only": False, "settings": None}
        given |= options
        if given["settings"] is None:
            del given["settings"]
        self.server = PageServer(folder, host="127.0.0.1", port=0, announce=self.announced.append, **given)
        self.url = f"http://127.0.0.1:{self.server.port}"
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()
        self.client = httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
            trust_env=False,
            verify=False,
        )

    def get(self, path: str, **params):
        """Return the JSON of an answer."""
        answer = self.client.get(f"/api/v1/{path}", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: object):
        return self.client.post(f"/api/v1/{path}", json=body, headers={"X-LLMOps": "1"})

    def close(self) -> None:
        self.client.close()
        self.server.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()

"""A real Alertmanager takes our alerts, ends them, and respects its silences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hook_receiver import HookReceiver, hook_receiver
from prometheus_programs import alertmanager, amtool
from real_backends import eventually

from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.config import load
from llmops_sdk.monitoring import Notification
from llmops_sdk.monitoring.notify._queue import open_queue

pytestmark = pytest.mark.integration


def alert(rule: str, state: str, **labels: str) -> Notification:
    now = SYSTEM_CLOCK.time()
    return Notification(
        id=f"id-{rule}", rule=rule, kind="threshold", state=state, severity="page", reason='the cost is "high"',
        time=now, firing_since=now - 60, labels=labels, value=7.5, threshold=5.0,
    )  # type: ignore[arg-type]  # fmt: skip


def told(receiver: HookReceiver) -> list[tuple[str, str]]:
    alerts = [one for request in receiver.requests for one in json.loads(request.body)["alerts"]]
    return [(one["labels"]["alertname"], one["status"]) for one in alerts]


def test_firing_and_resolved_arrive_and_a_silence_holds(tmp_path: Path):
    with hook_receiver() as receiver, alertmanager(tmp_path, receiver.url) as server:
        settings = load(notify={"am": {"kind": "alertmanager", "url": server.url}})
        queue = open_queue(settings, tmp_path / "store")
        queue.start()
        amtool(server, "silence", "add", "--author=tests", "--comment=tests", "alertname=quiet")
        queue.put(alert("quiet", "firing"), ["am"])
        queue.put(alert("spend", "firing", **{"prompt name": '<!channel>"}\n', "model": "gpt-x"}), ["am"])
        eventually(lambda: told(receiver), lambda found: ("spend", "firing") in found, "the alert at the webhook")
        shown = amtool(server, "alert", "query", "alertname=spend")
        silenced = amtool(server, "alert", "query", "--silenced", "alertname=quiet")
        queue.put(alert("spend", "resolved", **{"prompt name": '<!channel>"}\n', "model": "gpt-x"}), ["am"])
        eventually(lambda: told(receiver), lambda found: ("spend", "resolved") in found, "the end at the webhook")
        queue.close()

    [one] = shown
    assert one["labels"] == {
        "alertname": "spend", "severity": "page", "kind": "threshold", "model": "gpt-x", "prompt_name": '<!channel>"}',
    }  # fmt: skip
    assert one["annotations"]["alert_id"] == "id-spend"
    assert one["annotations"]["value"] == "7.5"
    assert [quiet["status"]["state"] for quiet in silenced] == ["suppressed"]
    assert told(receiver) == [("spend", "firing"), ("spend", "resolved")]

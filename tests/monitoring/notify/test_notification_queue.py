"""The queue: durable, in order, bounded, and never twice without need; over real files, processes and receivers."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hook_receiver import Answer, HookReceiver, hook_receiver
from real_backends import free_port

import llmops_sdk as llmops
from llmops_sdk.config import Settings
from llmops_sdk.errors import NotifierError, StoreError
from llmops_sdk.monitoring import Notification
from llmops_sdk.monitoring.notify import _lane
from llmops_sdk.monitoring.notify._queue import NotificationQueue, dead, open_queue, pending
from llmops_sdk.testing import ManualClock

MakeNotification = Callable[..., Notification]
MakeSettings = Callable[..., Settings]
STORE = Path("store")


def webhook(receiver: HookReceiver, **more: object) -> dict[str, object]:
    return {"kind": "webhook", "url": receiver.url, **more}


def alerts(receiver: HookReceiver) -> list[str]:
    """Return the ids of the alerts that came, in order, those in digests too."""
    bodies = [json.loads(request.body)["data"] for request in receiver.requests]
    return [one["id"] for body in bodies for one in body.get("alerts", [body])]


def message_ids(receiver: HookReceiver) -> list[str]:
    return [request.headers["webhook-id"] for request in receiver.requests]


def drain(queue: NotificationQueue, clock: ManualClock, until: float = float("inf")) -> None:
    """Turn the clock from one try to the next until nothing waits, or until a time."""
    while (again := queue.pump(clock.time())) is not None and again < until:
        clock.advance(max(again - clock.time(), 0.001))


def test_notification_arrives_once_however_often_it_is_put(notification: MakeNotification, settings_of: MakeSettings):
    with hook_receiver() as receiver:
        settings = settings_of(ops=webhook(receiver))
        clock = ManualClock()
        for _ in range(2):  # the second queue is one after a restart
            queue = open_queue(settings, STORE, clock)
            for state in ("firing", "resolved"):
                for repeat in (0, 1):
                    queue.put(notification(state=state, repeat=repeat), ["ops"])
                    queue.put(notification(state=state, repeat=repeat), ["ops"])
            drain(queue, clock)

        states = [json.loads(request.body)["type"] for request in receiver.requests]
        assert states == ["alert.firing", "alert.firing", "alert.resolved", "alert.resolved"]
        assert len(set(message_ids(receiver))) == 4
        assert queue.sizes() == {"ops": 0}


def test_receiver_that_is_down_for_an_hour_then_broken_then_busy_gets_everything_in_order(
    notification: MakeNotification, settings_of: MakeSettings
):
    clock, port = ManualClock(), free_port()
    began = clock.time()
    settings = settings_of(ops={"kind": "webhook", "url": f"http://127.0.0.1:{port}", "max_per_minute": 600})
    queue = open_queue(settings, STORE, clock)
    for number in range(5):
        queue.put(notification(id=str(number)), ["ops"])
    drain(queue, clock, until=began + 3_600)
    clock.advance(max(began + 3_600 - clock.time(), 0))
    assert queue.sizes() == {"ops": 5}

    answers = [Answer(500), Answer(500), Answer(429, {"Retry-After": "1800"}), Answer(200), Answer(503)]
    with hook_receiver(answers, port) as receiver:
        while (again := queue.pump(clock.time()) or 0.0) and len(receiver.requests) < 3:
            clock.advance(max(again - clock.time(), 0.001))
        queue.put(notification(id="5"), ["ops"])
        assert again == queue.pump(clock.time()) == clock.time() + 1_800
        drain(queue, clock)

        assert alerts(receiver) == ["0", "0", "0", "0", "1", "1", "2", "3", "4", "5"]
        assert len(set(message_ids(receiver))) == 6
    assert dead(STORE) == []


def test_tries_become_rarer_and_have_jitter(notification: MakeNotification, settings_of: MakeSettings):
    clock, tries = ManualClock(), list[float]()
    queue = open_queue(settings_of(ops={"kind": "webhook", "url": f"http://127.0.0.1:{free_port()}"}), STORE, clock)
    queue.put(notification(), ["ops"])
    for _ in range(40):
        again = queue.pump(clock.time())
        assert again is not None
        tries.append(again - clock.time())
        clock.advance(max(again - clock.time(), 0.001))

    assert all(pause <= min(2**at, 900) for at, pause in enumerate(tries, 1))
    assert len({round(pause) for pause in tries[12:]}) > 5
    assert max(tries) > 300


def test_message_is_given_up_after_its_time_and_counted(
    notification: MakeNotification, settings_of: MakeSettings, caplog: pytest.LogCaptureFixture
):
    clock = ManualClock()
    began = clock.time()
    down = {"kind": "webhook", "url": f"http://127.0.0.1:{free_port()}"}
    queue = open_queue(settings_of({"dead_letter_after": 7_200}, ops=down), STORE, clock)
    queue.put(notification(), ["ops"])
    waiting = pending(STORE)
    drain(queue, clock)

    assert [(one.notifier, one.notification.rule, one.failures) for one in waiting] == [("ops", "spend", 0)]
    assert 7_200 <= clock.time() - began < 7_200 + 901
    [(name, letter)] = dead(STORE)
    assert (name, letter.message.notification, letter.time) == ("ops", waiting[0].notification, clock.time())
    assert "could not be reached" in letter.reason
    assert pending(STORE) == []
    lost = llmops.query("SELECT what, reason, count FROM losses", path=STORE).rows()
    assert lost == [("notification", "dead_letter", 1)]
    assert "kept and sent again" in caplog.text


def test_message_that_is_not_acceptable_holds_up_nobody(notification: MakeNotification, settings_of: MakeSettings):
    clock = ManualClock()
    with hook_receiver([Answer(400)]) as receiver:
        queue = open_queue(settings_of(ops=webhook(receiver)), STORE, clock)
        queue.put(notification(id="bad"), ["ops"])
        queue.put(notification(id="good"), ["ops"])

        assert queue.pump(clock.time()) is None
        assert alerts(receiver) == ["bad", "good"]
    assert [letter.message.notification.id for _, letter in dead(STORE)] == ["bad"]


def test_missing_variable_keeps_the_message_until_a_restart_with_it(
    notification: MakeNotification, settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):  # fmt: skip
    clock = ManualClock()
    settings = settings_of(ops={"kind": "slack", "url_env": "SLACK_URL"})
    queue = open_queue(settings, STORE, clock)
    assert "[notify.ops] needs the environment variable SLACK_URL: set it" in caplog.text
    queue.put(notification(), ["ops"])

    assert queue.pump(clock.time()) is not None
    with hook_receiver() as receiver:
        monkeypatch.setenv("SLACK_URL", receiver.url)
        assert open_queue(settings, STORE, clock).pump(clock.time()) is None
        assert len(receiver.requests) == 1


def no_space(descriptor: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_delivered_message_is_not_sent_again_while_the_disk_is_full(
    notification: MakeNotification, settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch
):
    clock = ManualClock()
    with hook_receiver() as receiver:
        queue = open_queue(settings_of(ops=webhook(receiver)), STORE, clock)
        queue.put(notification(id="1"), ["ops"])
        queue.put(notification(id="2"), ["ops"])
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", no_space)
            for _ in range(4):
                with pytest.raises(OSError, match="No space"):
                    queue._lanes["ops"].pump(clock.time())
                clock.advance(30)
        assert alerts(receiver) == ["1"]

        drain(queue, clock)
        assert alerts(receiver) == ["1", "2"]


def test_storm_becomes_single_messages_and_one_digest(notification: MakeNotification, settings_of: MakeSettings):
    clock = ManualClock()
    with hook_receiver() as receiver:
        queue = open_queue(settings_of(ops=webhook(receiver, max_per_minute=5)), STORE, clock)
        for number in range(60):
            queue.put(notification(id=str(number)), ["ops"])
        drain(queue, clock)
        queue.put(notification(id="60"), ["ops"])
        again = queue.pump(clock.time())
        assert again == clock.time() + 60
        drain(queue, clock)

        assert len(receiver.requests) == 6
        digest = json.loads(receiver.requests[4].body)
        assert (digest["type"], digest["data"]["count"], digest["data"]["firing"]) == ("alert.digest", 56, 56)
        assert alerts(receiver) == [str(number) for number in range(61)]


def test_slack_gets_one_message_a_second(
    notification: MakeNotification, settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch
):
    clock = ManualClock()
    began = clock.time()
    with hook_receiver() as receiver:
        monkeypatch.setenv("SLACK_URL", receiver.url)
        queue = open_queue(settings_of(ops={"kind": "slack", "url_env": "SLACK_URL"}), STORE, clock)
        for number in range(10):
            queue.put(notification(id=str(number)), ["ops"])
        drain(queue, clock)

        assert len(receiver.requests) == 10
    assert clock.time() - began == pytest.approx(9, abs=0.1)


def test_receiver_that_hangs_delays_nobody_else(notification: MakeNotification, settings_of: MakeSettings):
    with hook_receiver([Answer(hang=True)]) as hung, hook_receiver() as other:
        queue = open_queue(settings_of(hung=webhook(hung), other=webhook(other)), STORE)
        queue.start()
        for number in range(3):
            queue.put(notification(id=str(number)), ["hung", "other"])
        hung.wait_for(1)
        other.wait_for(3)
        queue.put(notification(id="3"), ["other"])
        other.wait_for(4)

        assert len(hung.requests) == 1
        hung.released.set()
        queue.close(timeout=60)
    assert alerts(other) == ["0", "1", "2", "3"]


def test_resolved_and_texts_follow_the_settings(notification: MakeNotification, settings_of: MakeSettings):
    settings = settings_of(
        short={"kind": "file", "path": str(Path("short").absolute()), "resolved": False},
        full={"kind": "file", "path": str(Path("full").absolute()), "content": True},
    )
    clock = ManualClock()
    queue = open_queue(settings, STORE, clock)
    for state in ("firing", "resolved"):
        queue.put(notification(state=state, texts=("the text of an error",)), ["short", "full"])
    waiting = [path.read_text() for path in STORE.glob("notify/short/*.json")]
    drain(queue, clock)

    short, full = ([json.loads(line) for line in Path(name).read_text().splitlines()] for name in ("short", "full"))
    assert len(waiting) == 1
    assert "the text of an error" not in waiting[0]
    assert [(one["type"], one["data"]["texts"]) for one in short] == [("alert.firing", [])]
    assert [(one["type"], one["data"]["texts"]) for one in full] == [
        ("alert.firing", ["the text of an error"]),
        ("alert.resolved", ["the text of an error"]),
    ]


def test_unknown_notifier_is_an_error_that_names_the_known_ones(
    notification: MakeNotification, settings_of: MakeSettings
):
    queue = open_queue(settings_of(ops={"kind": "command", "command": ["true"]}), STORE)

    with pytest.raises(NotifierError, match=r"\[notify.oops\].*use ops"):
        queue.put(notification(), ["ops", "oops"])

    assert queue.sizes() == {"ops": 0}


def test_queue_is_bounded(notification: MakeNotification, settings_of: MakeSettings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_lane, "_MAX_WAITING", 3)
    queue = open_queue(settings_of(ops={"kind": "command", "command": ["true"]}), STORE, ManualClock())
    for number in range(5):
        queue.put(notification(id=str(number)), ["ops"])

    assert [one.notification.id for one in pending(STORE)] == ["2", "3", "4"]
    assert [(letter.message.notification.id, letter.reason) for _, letter in dead(STORE)] == [
        ("0", "queue_full"),
        ("1", "queue_full"),
    ]


def test_damaged_file_is_given_up_and_names_of_any_form_get_a_folder(
    notification: MakeNotification, settings_of: MakeSettings
):
    name = "../Ops & Co"
    clock = ManualClock()
    with hook_receiver() as receiver:
        queue = open_queue(settings_of(**{name: webhook(receiver)}), STORE, clock)
        for number in range(2):
            queue.put(notification(id=str(number)), [name])
        first = min(STORE.glob("notify/*/0*.json"))
        first.write_bytes(b"{")
        assert queue.pump(clock.time()) is None
        assert alerts(receiver) == ["1"]
    assert [folder.parent.parent.name for folder in STORE.glob("notify/*/name.txt")] == ["notify"]
    assert pending(STORE) == []


def test_spool_in_a_place_of_others_is_refused(settings_of: MakeSettings, tmp_path: Path):
    (STORE / "notify").mkdir(parents=True, mode=0o700)
    (STORE / "notify" / "ops").symlink_to(tmp_path)

    with pytest.raises(StoreError, match="symbolic link"):
        open_queue(settings_of(ops={"kind": "command", "command": ["true"]}), STORE)


def test_clock_that_is_set_back_ends_no_wait_late(notification: MakeNotification, settings_of: MakeSettings):
    port, clock = free_port(), ManualClock()
    queue = open_queue(settings_of(ops={"kind": "webhook", "url": f"http://127.0.0.1:{port}"}), STORE, clock)
    queue.put(notification(), ["ops"])
    queue.pump(clock.time())
    with hook_receiver(port=port) as receiver:
        queue.pump(clock.time() - 86_000)

        assert len(receiver.requests) == 1


def test_of_two_queues_over_one_spool_one_sends(notification: MakeNotification, settings_of: MakeSettings):
    with hook_receiver([Answer(hang=True)]) as receiver:
        settings = settings_of(ops=webhook(receiver))
        first, second = (open_queue(settings, STORE) for _ in range(2))
        first.start()
        first.put(notification(), ["ops"])
        second.put(notification(), ["ops"])
        receiver.wait_for(1)
        now = 1_900_000_000.0

        assert second.pump(now) == now + 5
        receiver.released.set()
        first.close(timeout=60)
        assert second.pump(now) is None
        assert len(receiver.requests) == 1


_PROGRAM = """
import sys
from pathlib import Path
from llmops_sdk.config import load
from llmops_sdk.monitoring import Notification
from llmops_sdk.monitoring.notify._queue import open_queue

url, count = sys.argv[1], int(sys.argv[2])
settings = load(store={"path": str(Path("store").absolute())}, notify={"ops": {"kind": "webhook", "url": url}})
queue = open_queue(settings, Path("store"))
for number in range(count):
    queue.put(Notification(id=str(number), rule="r", kind="slo", state="firing", severity="page", reason="x",
                           time=1.8e9, firing_since=1.8e9), ["ops"])
queue.start()
sys.stdin.read()
"""


@pytest.mark.parametrize("sent", [0, 2])
def test_kill_during_sending_repeats_the_one_message_that_was_under_way(settings_of: MakeSettings, sent: int):
    with hook_receiver([Answer()] * sent + [Answer(hang=True)]) as receiver:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, receiver.url, "4"], stdin=subprocess.PIPE, env={**os.environ}
        )
        receiver.wait_for(sent + 1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(pending(STORE)) == 4 - sent

        clock = ManualClock()
        drain(open_queue(settings_of(ops=webhook(receiver)), STORE, clock), clock)

        came = message_ids(receiver)
        assert len(came) == 5
        assert came[sent] == came[sent + 1]
        assert len(set(came)) == 4
    assert sorted(alerts(receiver)) == sorted(["0", "1", "2", "3", str(sent)])


def test_kill_during_a_digest_repeats_the_same_digest(settings_of: MakeSettings, notification: MakeNotification):
    with hook_receiver([Answer()] * 19 + [Answer(hang=True)]) as receiver:
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, receiver.url, "30"], stdin=subprocess.PIPE, env={**os.environ}
        )
        receiver.wait_for(20)
        process.send_signal(signal.SIGKILL)
        process.communicate()

        clock = ManualClock()
        queue = open_queue(settings_of(ops=webhook(receiver)), STORE, clock)
        queue.put(notification(id="later"), ["ops"])
        drain(queue, clock)

        came = message_ids(receiver)
        assert came[19] == came[20]
        assert alerts(receiver)[-12:] == [*(str(number) for number in range(19, 30)), "later"]


def test_kill_between_the_note_and_the_removal_sends_nothing_twice(
    notification: MakeNotification, settings_of: MakeSettings
):
    with hook_receiver() as receiver:
        clock = ManualClock()
        settings = settings_of(ops=webhook(receiver))
        queue = open_queue(settings, STORE, clock)
        queue.put(notification(), ["ops"])
        [file] = STORE.glob("notify/ops/0*.json")
        content = file.read_bytes()
        drain(queue, clock)
        file.write_bytes(content)

        assert open_queue(settings, STORE, clock).pump(clock.time()) is None
        assert len(receiver.requests) == 1
        assert not file.exists()

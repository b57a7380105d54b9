"""`llmops collect` as a process: stopped, killed, and under load."""

from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llmops_sdk.cli._app import run
from llmops_sdk.cli._examples import COMMANDS
from llmops_sdk.store import query

SENDER = Path(__file__).with_name("load_sender.py")


@contextmanager
def collecting(store: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `llmops collect` and yield the process and its URL."""
    command = [sys.executable, "-m", "llmops_sdk", "collect", "--port", "0", "--store", str(store), *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://\S+:\d+", line)
        assert found is not None, line + process.stderr.read()
        try:
            yield process, found[0]
        finally:
            process.kill()


def sender(url: str, name: str, batches: int, size: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, str(SENDER), url, name, str(batches), str(size)]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_the_collector_and_seals_files(tmp_path, number):
    store = tmp_path / "store"
    with collecting(store) as (process, url):
        with sender(url, "a", 3, 10) as sending:
            assert sending.wait(60) == 0
        process.send_signal(number)
        assert process.wait(60) == 0
        assert process.stderr is not None
        told = process.stderr.read()
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=" + url in told
    assert told.endswith("30 spans, 0 scores and 0 details of spans in logs, in 3 requests\n")
    assert all(b'{"seal":' in path.read_bytes() for path in store.glob("wal/*.ndjson"))


def test_acknowledged_spans_survive_kill_9(tmp_path):
    store = tmp_path / "store"
    answered = 0
    with collecting(store) as (process, url), sender(url, "a", 0, 50) as sending:
        assert sending.stdout is not None
        for line in sending.stdout:
            answered = int(line.split()[0])
            if answered >= 1_000:
                os.kill(process.pid, signal.SIGKILL)
                break
        for line in sending.stdout:
            answered = int(line.split()[0])
        assert process.wait(60) == -signal.SIGKILL
        sending.wait(60)
    ids = {int(row[0], 16) for row in query("SELECT span_id FROM spans", path=store)}
    assert set(range(1, answered + 1)) <= ids
    assert len(ids) == query("SELECT count(*) FROM spans", path=store).scalar()
    # One more batch, whose response was lost, is stored completely or not at all.
    assert len(ids) in (answered, answered + 50)


@pytest.mark.thorough
def test_two_senders_lose_and_duplicate_nothing(tmp_path):
    store = tmp_path / "store"
    with collecting(store) as (process, url):
        senders = [sender(url, name, 20, 100) for name in ("a", "b")]
        for one in senders:
            with one:
                assert one.wait(100) == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    rows = query(
        "SELECT service, count(*), count(DISTINCT span_id) FROM spans GROUP BY ALL ORDER BY 1", path=store
    ).rows()
    assert rows == [("a", 2_000, 2_000), ("b", 2_000, 2_000)]


def test_wrong_usage_exits_with_2_and_a_used_port_with_1(tmp_path, capsys):
    store = ["--store", str(tmp_path / "store")]
    assert run(["collect", "--host", "0.0.0.0", *store]) == 2
    assert run(["collect", "--token-env", "NO_SUCH_VARIABLE", *store]) == 2
    assert run(["collect", "--port", "99999", *store]) == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run(["collect", "--port", str(taken.getsockname()[1]), *store]) == 1
    assert "--port" in capsys.readouterr().err.splitlines()[-1]
    # The signal handlers are restored.
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("line", COMMANDS["collect"])
def test_help_examples_of_collect_run(tmp_path, monkeypatch, line):
    monkeypatch.setenv("COLLECT_TOKEN", "t")
    remote = "--allow-remote" in line
    with collecting(tmp_path / "a", *shlex.split(line)[2:], "--port", "0") as (process, url):
        with sender(url.replace("0.0.0.0", "127.0.0.1"), "a", 1, 1) as sending:
            assert (sending.wait(60) == 0) is not remote
            assert sending.stderr is not None
            assert ("AssertionError: 401" in sending.stderr.read()) is remote
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "warning" not in process.stderr.read()


def test_open_address_without_a_token_prints_a_warning(tmp_path):
    with collecting(tmp_path / "a", "--host", "0.0.0.0", "--allow-remote") as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        assert "warning: every machine" in process.stderr.read()

"""`llmops export`."""

from __future__ import annotations

import csv
import os
import pty
from pathlib import Path

import orjson
import pytest


def test_export_writes_each_form_and_says_so(command, store, tmp_path):
    for name, form in (("a.parquet", "parquet"), ("a.jsonl", "jsonl"), ("a.csv", "csv"), ("a.json", "otlp")):
        ran = command("export", str(tmp_path / name), "--store", str(store))
        assert (ran.status, ran.out) == (0, "")
        size = (tmp_path / name).stat().st_size
        assert ran.err == f"5 spans in {tmp_path / name} ({size:,} bytes, {form})\n"
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["name"] for row in rows) == ["'=1+1", "chat gpt", "chat gpt", "chat toy", "checkout"]


def test_export_takes_conditions(command, store, tmp_path):
    file = tmp_path / "a.jsonl"
    ran = command("export", str(file), "--where", "user_id = 'bob'", "--since", "1h", "--store", str(store))
    assert ran.status == 0
    assert [orjson.loads(line)["name"] for line in file.read_bytes().splitlines()] == ["chat toy"]
    again = command("export", str(file), "--until", "1h", "--store", str(store))
    assert again.status == 1
    assert "is there already" in again.err
    assert command("export", str(file), "--until", "1h", "--force", "--store", str(store)).err.startswith("0 spans")


def test_export_refuses_what_it_does_not_know(command, store, tmp_path):
    assert command("export", str(tmp_path / "a.txt"), "--store", str(store)).status == 2
    assert command("export", str(tmp_path / "a.csv"), "--what", "blobs", "--store", str(store)).status == 2
    bad = command("export", str(tmp_path / "a.csv"), "--where", "nothing = 1", "--store", str(store))
    assert bad.status == 1
    assert len(bad.err.splitlines()) == 1
    nowhere = command("export", str(tmp_path / "a.csv"), "--store", str(tmp_path / "none"))
    assert (nowhere.status, "there is no store" in nowhere.err) == (1, True)
    assert not list(tmp_path.glob("*a.*"))


def test_export_prints_the_views_for_clickhouse(command):
    ran = command("export", "--clickhouse-views")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (Path(__file__).parents[2] / "docs" / "clickhouse.sql").read_text(encoding="utf-8")


@pytest.mark.parametrize("arguments", [[], ["a.csv", "--clickhouse-views"]])
def test_export_needs_either_a_file_or_the_views(command, arguments):
    assert command("export", *arguments).status == 2


def test_export_clears_its_progress_on_a_terminal(llmops_process, store, tmp_path):
    parent, child = pty.openpty()
    arguments = ("export", str(tmp_path / "a.csv"), "--store", str(store))
    with llmops_process(*arguments, stderr=child) as process:
        os.close(child)
        assert process.wait(60) == 0
    told = os.read(parent, 65536).decode()
    os.close(parent)
    assert told.rsplit("\x1b[K", 1)[1].startswith("5 spans in ")

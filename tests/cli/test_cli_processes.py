"""The command as a process: imports, pipes, signals, terminals, and a store in use by another process."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path


def output(process, timeout=60):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def test_help_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; sys.argv = ['llmops', '--help']\n"
        "from llmops_sdk.cli import main\n"
        "status = main()\n"
        "heavy = {'duckdb', 'litellm', 'rich.console', 'pydantic', 'opentelemetry.sdk'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.exit(status)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr
    for name in ("demo", "sql", "traces", "show", "stats", "tail", "doctor"):
        assert f"\n  {name} " in ran.stdout


def test_module_and_script_print_the_same_version(llmops_process, tmp_path):
    status, version, _ = output(llmops_process("--version"))
    assert status == 0
    script = Path(sys.executable).parent / "llmops"
    ran = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert ran.stdout == version


def test_closed_pipe_exits_with_0(llmops_process, store):
    process = llmops_process("sql", "SELECT * FROM range(1000000)", "--format", "csv", "--store", str(store))
    assert process.stdout.readline() == "range\n"
    process.stdout.close()
    process.wait(60)
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.returncode == 0


def test_ctrl_c_exits_with_130_without_a_traceback(llmops_process, store, tmp_path):
    fifo = tmp_path / "query.sql"
    os.mkfifo(fifo)
    process = llmops_process("sql", "-f", str(fifo), "--store", str(store))
    with fifo.open("w") as writing:  # opens when the command has begun to read
        process.send_signal(signal.SIGINT)
        status, out, err = output(process)
        writing.close()
    assert status == 130
    assert out == ""
    assert "Traceback" not in err


def on_a_terminal(llmops_process, *arguments):
    ours, theirs = pty.openpty()
    process = llmops_process(*arguments, stdout=theirs, text=False)
    os.close(theirs)
    drawn = b""
    try:
        while piece := os.read(ours, 4096):
            drawn += piece
    except OSError:  # Linux's way to say that the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(60) == 0
    process.stderr.close()
    return drawn.decode()


def test_table_is_drawn_on_a_terminal(llmops_process, store):
    drawn = on_a_terminal(llmops_process, "sql", "SELECT name FROM spans ORDER BY name", "--store", str(store))
    assert "│ checkout" in drawn
    assert "┏" in drawn


def test_stats_draws_bars_on_a_terminal(llmops_process, store):
    drawn = on_a_terminal(llmops_process, "stats", "--limit", "1", "--store", str(store))
    rows = [line.split("│") for line in drawn.splitlines() if "│" in line]
    bars = {row[1].strip(): row[-2].strip() for row in rows}
    assert bars == {"gpt": "█" * 20, "total": ""}


def test_characters_outside_the_encoding_are_escaped(llmops_process, store):
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    status, out, err = output(llmops_process("sql", "SELECT 'é' AS x", "--store", str(store), env=environment))
    assert (status, err) == (0, "")
    assert "\\xe9" in out


WRITER = """
import sys
import llmops_sdk as llmops
llmops.configure(store={"path": sys.argv[1]})
for line in sys.stdin:
    with llmops.span(line.strip()):
        pass
    print(llmops.flush().stored, flush=True)
"""


def test_sql_sees_what_a_running_process_has_flushed(llmops_process, tmp_path):
    store = tmp_path / "live"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    query = ("sql", "SELECT name FROM spans ORDER BY start_ns", "--store", str(store), "--format", "json")
    seen = []
    for count, name in enumerate(["one", "two"], start=1):
        writer.stdin.write(f"{name}\n")
        writer.stdin.flush()
        assert writer.stdout.readline() == f"{count}\n"
        status, out, err = output(llmops_process(*query))
        assert status == 0, err
        seen.append([row["name"] for row in json.loads(out)])
    assert writer.poll() is None
    writer.kill()
    writer.communicate()
    assert seen == [["one"], ["one", "two"]]
    assert len(json.loads(output(llmops_process(*query))[1])) == 2

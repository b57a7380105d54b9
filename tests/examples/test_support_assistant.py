"""The support assistant runs, its report matches the store, and the store has no card number."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import llmops_sdk as llmops

EXAMPLES = Path(__file__).parents[2] / "examples"
QUESTIONS = 120
demo_run = pytest.mark.xdist_group("demo run")  # one worker: the demo runs once for all of them


def start(*arguments: str, cwd: Path, program: tuple[str, ...] = ("-m", "llmops_sdk", "demo"), **variables: str):
    environment = {**os.environ, "COLUMNS": "160", "PYTHONUTF8": "1", **variables}
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process, timeout=100):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def bank_help():
    spec = importlib.util.spec_from_file_location("bank_help", EXAMPLES / "bank_help.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made_questions(count: int) -> list[str]:
    return list(bank_help().made_questions(count))


def table(out: str) -> dict[str, list[str]]:
    """Return the rows of the printed tables by their first cell."""
    rows = (line.strip("│┃ ").split("│") for line in out.splitlines() if line.startswith("│"))
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in rows}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Run the demo once; return its output and its store."""
    folder = tmp_path_factory.mktemp("demo")
    status, out, err = finished(start("--limit", str(QUESTIONS), "--concurrency", "8", cwd=folder))
    assert status == 0, err
    return folder, out


@demo_run
def test_report_agrees_with_store_and_program(run):
    folder, out = run
    printed = table(out)
    sql = """SELECT count(*), count(cache), sum(attempts)::BIGINT, count(*) FILTER (status = 'error'),
             count(*) FILTER (simulated), (SELECT count(*) FROM spans) FROM llm_calls"""
    calls, hits, attempts, failed, simulated, spans = llmops.query(sql, path=folder / ".llmops-demo").rows()[0]
    assert calls == simulated == QUESTIONS
    assert hits > 0
    assert attempts > calls - hits
    for name, stored in [("calls", calls), ("cache hits", hits), ("attempts", attempts), ("failed", failed)]:
        assert printed[name][0] == str(stored), name
        assert int(printed[name][1] or 0) == stored, name
    assert printed["spans written"][0] == str(spans)
    assert printed["redactions"][0] == str(sum("My card is" in question for question in made_questions(QUESTIONS)))
    [(tries,)] = llmops.query("SELECT count(*) FROM attempts", path=folder / ".llmops-demo").rows()
    assert tries == attempts


@demo_run
def test_report_has_tree_and_example_prices(run):
    _, out = run
    assert re.search(r"offline/script \(simulated\) +│ +120 +│ +\d+ +│ +\d+ +│ +0\.\d+", out)
    assert re.search(r"trace [0-9a-f]{32}\n└── support  ", out)
    assert "├── search  " in out
    assert "llmops.attempt" in out
    assert "llmops.cache.lookup" in out


@demo_run
def test_one_answer_is_streamed(run):
    folder, _ = run
    explained = sum(question.startswith("Explain") for question in made_questions(QUESTIONS))
    sql = "SELECT count(*) FROM llm_calls WHERE name LIKE '%explain%' OR prompt_name LIKE '%explain%'"
    assert llmops.query(sql, path=folder / ".llmops-demo").rows() == [(explained,)]
    [(timed,)] = llmops.query(
        "SELECT count(*) FROM llm_calls WHERE ttft_ms IS NOT NULL", path=folder / ".llmops-demo"
    ).rows()
    assert timed > 0


@demo_run
def test_store_contains_no_card_number(run):
    folder, _ = run
    numbers = [
        match for question in made_questions(QUESTIONS) for match in re.findall(r"\d{4} \d{4} \d{4} \d{4}", question)
    ]
    assert len(numbers) == 12
    kept = b"".join(file.read_bytes() for file in (folder / ".llmops-demo").rglob("*") if file.is_file())
    for number in numbers:
        assert number.encode() not in kept
        assert number.replace(" ", "").encode() not in kept
        assert number[:14].encode() not in kept


@demo_run
def test_printed_command_runs_on_the_store(run):
    folder, out = run
    [hint] = re.findall(r"Query it yourself: (llmops .*)", out)
    command = shlex.split(hint)
    assert command[0] == "llmops"
    ran = start(*command[1:], "--format", "json", cwd=folder, program=("-m", "llmops_sdk"))
    status, printed, err = finished(ran)
    assert status == 0, err
    assert len(json.loads(printed)) == 9


@pytest.mark.thorough
def test_second_run_in_the_same_store_reports_only_itself(tmp_path):
    for limit in (8, 4):
        program = (str(EXAMPLES / "support_assistant.py"),)
        status, out, err = finished(start("--limit", str(limit), cwd=tmp_path, program=program))
        assert status == 0, err
        assert table(out)["calls"] == [str(limit), str(limit)]
    assert llmops.query("SELECT count(*) FROM llm_calls", path=tmp_path / ".llmops-demo").scalar() == 12


def test_model_is_set_by_one_variable(tmp_path):
    status, out, err = finished(start("--limit", "10", cwd=tmp_path, LLMOPS_MODEL="offline/echo"))
    assert status == 0, err
    assert "offline/echo (simulated)" in out
    assert table(out)["failed"][0] == "0"


@pytest.mark.thorough
def test_own_questions_file_is_used(tmp_path):
    file = tmp_path / "questions.csv"
    rows = ["id,question", '1,"Where is\nmy card, please?"', "2,", '3,"How do I ""freeze"" it?"', "4,Where is my PIN?"]
    file.write_text("\ufeff" + "\r\n".join(rows), encoding="utf-8")
    status, out, err = finished(start("--questions", str(file), "--store", "s", cwd=tmp_path))
    assert status == 0, err
    assert table(out)["calls"] == ["3", "3"]
    sql = "SELECT count(*) FROM messages WHERE role = 'user' AND contains(content, 'How do I \"freeze\" it?')"
    assert llmops.query(sql, path=tmp_path / "s").scalar() == 1


@pytest.mark.parametrize(
    ("content", "column", "said"),
    [
        ("a,b\n1,2\n", None, 'has no column "text" (it has: a, b)'),
        ("text\nhello\n", "frage", 'has no column "frage" (it has: text)'),
        ("", None, "nothing at all"),
        ("text\n\udcff\n", None, "not a CSV file in UTF-8"),
        ("text\n" + "x" * 200_000 + "\n", None, "not a CSV file"),
    ],
)
def test_bad_file_error_names_the_file(tmp_path, content, column, said):
    file = tmp_path / "questions.csv"
    file.write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(ValueError, match=re.escape(said)) as caught:
        list(bank_help().read_questions(file, column, None))
    assert str(file) in str(caught.value)


def test_questions_file_is_read_row_by_row(tmp_path):
    file = tmp_path / "questions.csv"
    file.write_text("text\n" + "Where is my card?\n" * 50_000, encoding="utf-8")
    questions = bank_help().read_questions(file, None, 3)
    assert next(questions) == "Where is my card?"
    assert len(list(questions)) == 2
    assert list(bank_help().read_questions(file, "text", 0)) == []


@pytest.mark.parametrize("content", ["a,b\n1,2\n", "text\n\n", None])
def test_bad_file_fails_before_any_call(tmp_path, content):
    file = tmp_path / "questions.csv"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    status, out, err = finished(start("--questions", str(file), cwd=tmp_path))
    assert status == 2
    assert out == ""
    assert err.startswith("llmops demo: ")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / ".llmops-demo").exists()


@pytest.mark.thorough
def test_closed_pipe_is_not_a_failure(tmp_path):
    process = start("--limit", "2", cwd=tmp_path)
    process.stdout.close()  # as `| head` does
    with process.stderr:
        assert process.stderr.read() == ""
    assert process.wait(100) == 0


@pytest.mark.thorough
def test_sql_works_while_the_demo_runs(tmp_path):
    demo = start("--limit", "100000", "--concurrency", "2", cwd=tmp_path)
    query = ("sql", "SELECT model, count(*) AS n FROM llm_calls GROUP BY ALL", "--store", ".llmops-demo")
    try:
        rows: list[dict[str, object]] = []
        while not rows:
            assert demo.poll() is None
            status, out, _ = finished(start(*query, "--format", "json", cwd=tmp_path, program=("-m", "llmops_sdk")))
            rows = json.loads(out) if status == 0 else []  # the demo creates its store a little later
        assert demo.poll() is None
        assert rows[0]["model"] == "script"
    finally:
        demo.kill()
        demo.communicate()

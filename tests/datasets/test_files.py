"""Files: what is exported is read back exactly, and what is not valid is refused by its line."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pytest

from llmops_sdk import DatasetError, StoreError
from llmops_sdk.datasets import Dataset

ROWS = [
    {"input": "plain", "expected": "yes", "topic": "a", "level": 3},
    {"input": '=HYPERLINK("http://x")', "expected": " \t+1", "nested": {"a": [1, None]}},
    {"input": "'quoted", "expected": None, "trace_id": "t" * 32},
    {"input": 'two\nlines, "and" \r\n more', "expected": "\u0000é\u202e"},
    {"input": "@cmd", "expected": "−1", "id": "=1+1"},
]


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz", "x.csv", "x.csv.gz", "x.parquet", "x.NDJSON"])
@pytest.mark.parametrize("extra", [[], [{"input": {"a": [1.5, True]}, "expected": ""}], [{"input": "", "expected": 0}]])
def test_an_exported_file_gives_the_same_data_set(tmp_path, name, extra):
    dataset = Dataset.from_rows([*ROWS, *extra])
    written = dataset.export(tmp_path / name)
    again = Dataset.from_file(written)
    assert again.items == dataset.items
    assert (again.version, again.source, again.detail) == (dataset.version, "file", name)
    assert oct(written.stat().st_mode & 0o777) == "0o600"


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path):
    text = (
        Dataset.from_rows([*ROWS, {"input": "＝1"}, {"input": "\ufeff =1"}])
        .export(tmp_path / "x.csv")
        .read_text("utf-8")
    )
    cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
    assert [cell for cell in cells if cell.lstrip("\ufeff \t\r\n")[:1] in set("=+-@＝−")] == []
    assert '"\'=1+1"' in text


def test_columns_can_be_left_out(tmp_path):
    dataset = Dataset.from_rows([{"input": "q", "user_id": "ada", "topic": "x", "trace_id": "t1"}])
    file = dataset.export(tmp_path / "x.jsonl", omit=["user_id", "source_trace_id"])
    assert json.loads(file.read_text()) == {
        "id": dataset.items[0].id, "input": "q", "expected": None, "metadata": {"topic": "x"}, "source_trace_id": None,
    }  # fmt: skip
    with pytest.raises(DatasetError, match="a list of names"):
        dataset.export(tmp_path / "y.jsonl", omit="user_id")


def test_other_files_are_read_by_their_columns(tmp_path):
    (tmp_path / "x.csv").write_bytes('\ufeffquestion,answer,topic\r\n\'tis,4,\r\n\r\n"a\nb",,sums\r\n'.encode())
    found = Dataset.from_file(tmp_path / "x.csv", input="question", expected="answer").items
    assert [(one.input, one.expected, dict(one.metadata)) for one in found] == [
        ("'tis", "4", {"topic": None}), ("a\nb", None, {"topic": "sums"}),
    ]  # fmt: skip
    (tmp_path / "x.txt").write_text('\n{"input": 1}\n\n')
    assert Dataset.from_file(tmp_path / "x.txt", form="jsonl").items[0].input == 1
    import duckdb

    with duckdb.connect() as connection:
        file = str(tmp_path / "x.parquet")
        connection.execute(
            f"COPY (SELECT {{'q': [1, 2]}} AS input, DATE '2026-11-30' AS day, 1.5::DECIMAL(4,2) AS d) TO '{file}'"
        )
    [item] = Dataset.from_file(file).items
    assert (item.input, dict(item.metadata)) == ({"q": [1, 2]}, {"day": "2026-11-30", "d": 1.5})


BAD = [
    ("x.jsonl", b'{"input": 1}\n{"input": \n', 2, "no valid JSON at column"),
    ("x.jsonl", b'{"input": 1}\n[1]\n', 2, "JSON object"),
    ("x.jsonl", b'{"input": NaN}\n', 1, "NaN is not JSON"),
    ("x.jsonl", b'{"input": 1e999}\n', 1, "inf is not JSON"),
    ("x.jsonl", b'\n{"input": "\\ud800"}\n', 2, "lone surrogate"),
    ("x.jsonl", b'{"input": "\xff"}\n', 1, "no valid UTF-8 at byte 11"),
    ("x.jsonl", b'{"input": 1}\n{"inputs": 1}\n', 2, "did you mean 'inputs'"),
    ("x.jsonl", b'{"input": ' + b"[" * 100_000 + b"\n", 1, "too many levels|no valid JSON|levels"),
    ("x.jsonl", b'{"input": 99999999999999999999999}\n', 1, "more than 64 bits"),
    ("x.jsonl", b'{"input": 1, "id": "a"}\n\n{"input": 2, "id": "a"}\n', 3, "line 3 has the id 'a', and so has line 1"),
    ("x.csv", b"input,expected\na,b\nc\n", 3, "1 cells, and the heading has 2"),
    ("x.csv", b"input,input\na,b\n", 1, "two columns are called"),
    ("x.csv", b'input\n"a\n', 2, "no valid CSV"),
    ("x.csv", b"input\n" + b"x" * 200_000 + b"\n", 2, "field larger than field limit"),
    ("x.csv", b'input\nok\n"a\nb"\n\xff\n', 5, "no valid UTF-8"),
    ("x.csv", b"id,input_json,expected,metadata,source_trace_id\n1,{,,,\n", 2, "input_json has no valid JSON"),
    ("x.csv", b"question\n1\n", 2, "no column 'input'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "line", "words"), BAD, ids=range(len(BAD)))
def test_invalid_lines_are_refused_by_number(tmp_path, name, content, line, words):
    file = tmp_path / name
    for path, data in ((file, content), (tmp_path / f"{name}.gz", gzip.compress(content))):
        path.write_bytes(data)
        with pytest.raises(DatasetError, match=words) as caught:
            Dataset.from_file(path)
        assert (caught.value.line, caught.value.path) == (line, str(path))
        assert str(path) in str(caught.value)


def test_unreadable_files_are_typed_errors(tmp_path):
    (tmp_path / "torn.jsonl.gz").write_bytes(gzip.compress(b'{"input": 1}\n' * 1000)[:40])
    (tmp_path / "no.parquet").write_text("no parquet")
    (tmp_path / "folder.jsonl").mkdir()
    for name in ("torn.jsonl.gz", "no.parquet", "folder.jsonl", "missing.jsonl", "missing.parquet", "x.json", "x"):
        with pytest.raises(DatasetError) as caught:
            Dataset.from_file(tmp_path / name)
        assert caught.value.path is not None


def test_sizes_are_bounded_also_when_unpacked(tmp_path, monkeypatch):
    from llmops_sdk.datasets import _read_files, _rows

    bomb = tmp_path / "bomb.jsonl.gz"
    bomb.write_bytes(gzip.compress(b'{"input": "' + b"x" * 40_000_000))
    with pytest.raises(DatasetError, match="more than 16,777,216 bytes in a line"):
        Dataset.from_file(bomb)
    monkeypatch.setattr(_read_files, "MAX_BYTES", 1_000)
    many = tmp_path / "many.jsonl"
    many.write_text('{"input": "some text"}\n' * 100)
    with pytest.raises(DatasetError, match=r"line 44: the file has more than 1,000 bytes, unpacked") as caught:
        Dataset.from_file(many)
    assert caught.value.line == 44
    monkeypatch.setattr(_rows, "MAX_ITEMS", 10)
    with pytest.raises(DatasetError, match="row 11: a data set has at most 10 items"):
        Dataset.from_rows({"input": n} for n in range(11))


def test_an_export_is_whole_or_absent(tmp_path, store, numbers):
    file = numbers(2).export(tmp_path / "x.jsonl")
    before = file.read_bytes()
    with pytest.raises(StoreError, match="already exists"):
        numbers(3).export(file)
    assert file.read_bytes() == before
    numbers(3).export(file, force=True)
    assert len(Dataset.from_file(file)) == 3
    store.mkdir()
    with pytest.raises(StoreError, match="inside the store"):
        numbers(1).export(store / "x.jsonl")
    for path, form in (("x", None), ("x.txt", None), ("x.jsonl", "xml")):
        with pytest.raises(DatasetError, match="form"):
            numbers(1).export(tmp_path / path, form=form)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store", "x.jsonl"]


def test_the_same_items_give_the_same_packed_bytes(tmp_path, numbers):
    files = [numbers(5).export(tmp_path / name) for name in ("a.jsonl.gz", "b.jsonl.gz")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_folder_in_the_layout_of_hugging_face(tmp_path, numbers):
    dataset = Dataset.from_rows([{"input": f"q{n}", "expected": {"n": n}} for n in range(40)], name="faq")
    folder = dataset.split({"train": 0.5, "test": 0.5}).export(tmp_path / "hf", title='my "title": x\n---\n# no')
    card = (folder / "README.md").read_text("utf-8")
    head = card.split("---\n")[1]
    assert head.splitlines()[0] == 'pretty_name: "my \\"title\\": x\\n---\\n# no"'
    assert "  - split: train\n    path: data/train.parquet\n  - split: test\n" in head
    parts = [Dataset.from_file(folder / "data" / f"{name}.parquet") for name in ("train", "test")]
    assert parts[0].add(parts[1].items) == dataset
    with pytest.raises(DatasetError, match="not empty"):
        dataset.export(folder, form="huggingface")
    dataset.export(folder, form="huggingface", force=True)
    assert len(Dataset.from_file(Path(folder) / "data" / "train.parquet")) == 40

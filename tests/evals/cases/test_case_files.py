"""Case files: what they say, and hostile ones."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmops_sdk.datasets import Dataset
from llmops_sdk.errors import ConfigError, LLMOpsError
from llmops_sdk.evals.cases._case_file import is_case_file, read_case_file
from llmops_sdk.evals.cases._import_names import import_from
from llmops_sdk.evals.cases._yaml_text import load_yaml

ITEMS = "items: [{input: a}]\n"


@pytest.fixture
def write(tmp_path):
    def go(content, name="x.eval.yaml"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return go


def outcomes(suite):
    return {item.id: suite.run_item(item)[0].outcome for item in suite.dataset.items}


YAML = """
# A suite
task: case_file_app:answer
scorers: [equals, "case_file_app:short", "regex:^[A-Z, ]+$"]
threshold: {short: 1}
repeats: 2
items:
  - id: first
    input: {text: paris, times: 1}
    expected: PARIS
    metadata: {topic: x}
  - {id: second, input: {text: oslo}, expected: 'no'}
"""
APP = """
from llmops_sdk.evals import scorer

def answer(text, times=1):
    return text.upper() * times

@scorer
def short(output):
    return float(len(output) < 9)
"""


def test_yaml_and_jsonl_say_the_same(write, tmp_path):
    write(APP, "case_file_app.py")
    head, *items = [
        {"task": "case_file_app:answer", "scorers": ["equals", "case_file_app:short", "regex:^[A-Z, ]+$"],
         "threshold": {"short": 1}, "repeats": 2},
        {"id": "first", "input": {"text": "paris", "times": 1}, "expected": "PARIS", "metadata": {"topic": "x"}},
        {"id": "second", "input": {"text": "oslo"}, "expected": "no"},
    ]  # fmt: skip
    lines = write("\n\n".join(map(json.dumps, [head, *items])), "x.eval.jsonl")
    with import_from([tmp_path]):
        for path in (write(YAML), lines):
            file = read_case_file(path)
            suite = file.suite()
            assert (file.name, suite.repeats, [one.name for one in suite.scorers]) == (
                "x", 2, ["equals", "short", "regex:^[A-Z, ]+$"]
            )  # fmt: skip
            assert outcomes(suite) == {"first": "pass", "second": "fail"}


def test_items_come_from_a_file_beside_it_or_a_saved_data_set(write):
    rows = [{"id": "1", "input": "a", "expected": "A"}]
    Dataset.from_rows(rows).save("letters")
    write("\n".join(map(json.dumps, rows)), "letters.jsonl")
    for source in ("file: letters.jsonl", "dataset: letters"):
        suite = read_case_file(write(f"task: builtins:str.upper\nscorers: equals\n{source}\n")).suite()
        assert outcomes(suite) == {"1": "pass"}


def test_values_are_what_they_look_like():
    found = load_yaml(b"[no, yes, on, 12:30, 2020-01-01, 0o7, 017, 1e3, 1.5, -3, null, ~, true, '1', .nan, 1_000]", "x")
    assert found == ["no", "yes", "on", "12:30", "2020-01-01", "0o7", "017", 1000.0, 1.5, -3, None, None, True, "1",
                     ".nan", "1_000"]  # fmt: skip
    assert load_yaml(b"a: &x {b: 1}\nc: {<<: *x, d: 2}\n", "x") == {"a": {"b": 1}, "c": {"b": 1, "d": 2}}
    assert load_yaml(b"", "x") is None


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (f"taks: a:b\n{ITEMS}", "taks", "the key 'taks' is unknown; did you mean 'task'"),
        (f"task: a:b\nzzzzzz: 1\n{ITEMS}", "zzzzzz", "the keys are task, scorers"),
        ("task: a:b\nitems: [{input: a, expectd: b}]", "expectd", "item 1: .*did you mean 'expected'"),
        ("task: a:b\nitems: [{expected: b}]", "items", "item 1 has no input"),
        ("task: a:b\nitems: []", "items", "give a list of items"),
        ("task: a:b\nitems: {input: a}", "items", "give a list of items"),
        ("task: a:b\nitems: [a]", "items", "item 1 has no input"),
        ("task: a:b", "items", "give one of items, dataset, file, and not none"),
        (f"task: a:b\nfile: x\n{ITEMS}", "file", "not items and file"),
        (f"scorers: equals\n{ITEMS}", "task", "task is None"),
        (f"task: 3\n{ITEMS}", "task", "task is 3"),
        (f"task: a:b\nscorers: 3\n{ITEMS}", "scorers", "give a list of texts"),
        (f"task: a:b\nscorers: [3]\n{ITEMS}", "scorers", "give a list of texts"),
        (f"task: a:b\nrepeats: many\n{ITEMS}", "repeats", "repeats is 'many'"),
        (f"task: a:b\nthreshold: [1]\n{ITEMS}", "threshold", "threshold is"),
        ("- a", None, "no mapping"),
        ("3", None, "no mapping"),
    ],
)
def test_wrong_keys_and_values_are_named(write, text, key, message):
    path = write(text)
    with pytest.raises(ConfigError, match=message) as raised:
        read_case_file(path)
    assert (raised.value.source, raised.value.key) == (str(path), key)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"task: nowhere.at_all:f\n{ITEMS}", 'no module "nowhere"'),
        (f"task: json:lods\n{ITEMS}", "did you mean 'loads'"),
        (f"task: json\n{ITEMS}", "module:function"),
        (f'task: "os; import sys:exit"\n{ITEMS}', "module:function"),
        (f"task: sys:maxsize\n{ITEMS}", "not a function"),
        (f"task: builtins:str.upper\nscorers: [exact_mach]\n{ITEMS}", "did you mean 'exact_match'"),
        ("task: builtins:str.upper\nitems: [{id: 1, input: a}, {id: 1, input: b}]", "ids are unique"),
        ("task: builtins:str.upper\nfile: nowhere.jsonl", "cannot be read"),
        ("task: builtins:str.upper\ndataset: nowhere", "nowhere"),
    ],
)
def test_what_cannot_be_found_is_named(write, text, message):
    with pytest.raises(LLMOpsError, match=message):
        read_case_file(write(text)).suite()


BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
MERGE_BOMB = "a0: &a0 {k: v}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "more than 200,000 values"),
        (MERGE_BOMB, "more than 200,000 values"),
        ("task: &a [*a]", "contains itself"),
        ("task: &a {b: *a}", "contains itself"),
        ("items: " + "[" * 60 + "]" * 60, "levels"),
        ("[" * 100_000, "levels"),
        ("task: a:b\ntask: c:d\n", "the key 'task' stands twice"),
        ("? [a]\n: b\n", "a key is a list"),
        ("task: !!python/object/apply:os.system ['true']", "no valid YAML.*python/object"),
        ("task: !!int 'x'", "cannot be read"),
        ("task: 'a", "no valid YAML"),
        ("a: b: c", "line 1, column 5"),
        ("--- a\n--- b\n", "no valid YAML"),
        ("task: a\x00b", "no valid YAML"),
        (b"task: \xff\xfe", "no valid UTF-8"),
        (b"\xff\xfet\x00", "no valid UTF-8"),
        (b"a: " + b"x" * 1_100_000, "YAML may have"),
        ("task: " + "9" * 5_000, "cannot be read"),
    ],
    ids=lambda value: str(value)[:20] if len(value) < 200 else "large",
)
def test_hostile_yaml_is_refused(write, content, message):
    path = write(content)
    with pytest.raises(ConfigError, match=message) as raised:
        read_case_file(path)
    assert raised.value.source == str(path)
    assert len(str(raised.value)) < 1_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the first line has the task"),
        ('{"input": 1}', "the first line has the task"),
        ('["task"]', "the first line has the task"),
        ('{"task": "a:b"}\n{"input": NaN', "line 2 is no valid JSON"),
        ('{"task": "a:b", "items": []}\n{"input": 1}', "both in the first line and below"),
        ("[" * 100_000, "line 1 is no valid JSON"),
        (b'{"task": "a:b"}\n\xff', "line 2 is no valid UTF-8"),
        ('{"task": "a:b"}\n3', "item 1 has no input"),
    ],
)
def test_hostile_jsonl_is_refused(write, content, message):
    with pytest.raises(ConfigError, match=message):
        read_case_file(write(content, "x.eval.jsonl"))


def test_a_folder_and_a_missing_file_are_errors(tmp_path):
    (tmp_path / "x.eval.yaml").mkdir()
    for name in ("x.eval.yaml", "y.eval.yaml"):
        with pytest.raises(ConfigError, match="no such file"):
            read_case_file(tmp_path / name)


@given(st.binary(max_size=200))
def test_any_bytes_are_yaml_or_a_config_error(content):
    with suppress(ConfigError):
        load_yaml(content, "x")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.eval.yaml", True), ("a.EVAL.yml", True), ("a/b.eval.jsonl", True), ("eval.yaml", False), ("a.yaml", False),
     ("app:answer", False)],
)  # fmt: skip
def test_names_of_case_files(name, expected):
    assert is_case_file(name) is expected

"""Sixteen faults of a provider: what this package, litellm's Router, LangChain's fallbacks and the openai client do.

The cases, the server and the grades are those of tests/faults: a real HTTP server on loopback plays each form of a
fault to calls in four ways (sync and async, whole and streamed), with and without tools, with one retry, with a
fallback, and with neither left. A call passes when it ends as the case's criterion says; the same criterion grades
all, but for what only we tell (attempts, spans). `fault_clients.py` says how the others are set up. The Router and
LangChain have environments of their own, made at first use under `.venv/faults` from the pins in
`requirements-faults/`.

Run it with `make bench-faults`, which writes `benchmarks/faults.md` from the machine-readable tables; or name
libraries.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
sys.path[:0] = [str(TESTS / "faults"), str(TESTS / "loopback")]

from fault_cases import CASES, FAULTS, some_cells  # noqa: E402 - stands beside the tests
from fault_grades import GRADES, grade, row_of, worst  # noqa: E402

OURS = "llmops-sdk"
TITLES = {
    OURS: "llmops-sdk",
    "litellm-router": "litellm's Router",
    "langchain": "LangChain with_fallbacks",
    "openai": "the openai client",
}
PACKAGES = {
    OURS: ("llmops-sdk", "litellm"),
    "litellm-router": ("litellm", "openai"),
    "langchain": ("langchain-core", "langchain-openai", "langchain-anthropic", "openai", "anthropic"),
    "openai": ("openai",),
}


def play(name: str, folder: Path) -> list[dict[str, Any]]:
    """Make the calls of one library, in a process of its own; a row for each."""
    if name == OURS:
        from fault_calls import played

        return played(some_cells(), folder)
    from fault_clients import CLIENTS, make_calls
    from fault_server import FaultServer

    with FaultServer() as server:
        client = CLIENTS[name](server)
        cells = [cell for cell in some_cells() if client.takes(cell)]
        scenes = {cell.key: cell.scene() for cell in cells}
        server.scenes.update(scenes)
        outcomes = make_calls(client, cells)
        for scene in scenes.values():
            scene.free.wait(20)
        return [
            row_of(cell, outcome, scenes[cell.key], grade(cell, outcome, scenes[cell.key]))
            for cell, outcome in zip(cells, outcomes, strict=True)
        ]


def measured(name: str) -> dict[str, Any]:
    """Run a library in its own process and folder and return its result."""
    from environments import environment

    python = Path(sys.executable)
    if (HERE / "requirements-faults" / f"{name}.txt").exists():
        python = environment(HERE / "requirements-faults" / f"{name}.txt", HERE.parent / ".venv" / "faults" / name)
    strange = ("OTEL_", "LLMOPS_", "PYTHON", "OPENAI_", "ANTHROPIC_", "LITELLM_", "LANGCHAIN_", "LANGSMITH_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(strange)}
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        subprocess.run(
            [str(python), str(Path(__file__).resolve()), "--play", name, str(answer)],
            check=True, timeout=1800, cwd=folder, stdin=subprocess.DEVNULL,
            env={**kept, "HOME": folder, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LANGSMITH_TRACING": "false"},
        )  # fmt: skip
        return json.loads(answer.read_text())


def share(rows: list[dict[str, Any]]) -> str:
    """Return the lowest grade of the calls, and the number that pass."""
    if not rows:
        return "not possible"
    lowest = worst(row["grade"] for row in rows)
    passed = sum(row["grade"] == "pass" for row in rows)
    return "pass" if lowest == "pass" else f"{lowest}; {passed} of {len(rows)} pass"


PAGE = """# Sixteen faults of a provider

`make bench-faults` writes this page. `bench_faults.py` and `fault_clients.py` define the faults, the calls and the
clients. There are {calls} calls: each form of a fault, in four ways (sync or async, whole or streamed). A fault passes
after one request, or it stays with a fallback, or it stays without one. Each library may retry once.

- pass: the call ended as the criterion says, with the answer or the right error, and with the configured requests.
- partial: the same, but something next to it is missing or wrong, or there were fewer requests than configured.
- safe: a typed error instead of a possible answer, or the wrong typed error.
- fail: a wrong answer, a hang, an untyped error, or more requests than configured.

{faults}
{sums}
The other libraries are not graded on their recorded attempts, on their waits, or on their spans. After delivered
pieces, an error of any class counts as a report of the interruption.

{criteria}"""


def table(head: list[str], rows: list[list[Any]]) -> str:
    """Return a Markdown table."""
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in [head, ["---"] * len(head), *rows])


def page(found: dict[str, dict[str, Any]]) -> str:
    """Return the page with the results of the libraries."""
    names = [name for name in TITLES if name in found]

    def shares(name: str) -> list[str]:
        return [share([row for row in found[name]["rows"] if row["fault"] == fault]) for fault in FAULTS]

    by_name = {name: shares(name) for name in names}
    sums: list[list[Any]] = []
    for name in names:
        grades = Counter(row["grade"] for row in found[name]["rows"])
        versions = ", ".join(f"{package} {number}" for package, number in found[name]["versions"].items())
        sums.append([TITLES[name], versions, by_name[name].count("pass"), *(grades[each] for each in GRADES)])
    return PAGE.format(
        calls=len(some_cells()),
        faults=table(
            ["fault", *(TITLES[name] for name in names)],
            [[fault, *(by_name[name][at] for name in names)] for at, fault in enumerate(FAULTS)],
        ),
        sums=table(
            ["library", "versions", "faults of which every call passes", *(f"calls: {g}" for g in GRADES)], sums
        ),
        criteria=table(["fault", "form", "criterion"], [[case.fault, case.name, case.criterion] for case in CASES]),
    )


def main(names: list[str]) -> int:
    """Play to the named libraries, and write the page when these are all."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        print(f"{TITLES[name]}", file=sys.stderr, flush=True)
        found[name] = measured(name)
    text = page(found)
    if set(names) == set(TITLES):
        (HERE / "faults.md").write_text(text)
    print(text.partition("\n| fault | form |")[0])
    kept = os.environ.get("FAULTS_TABLE")
    if kept:
        (Path(kept) / "faults-of-all.json").write_text(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--play"]:
        said = {
            "versions": {each: version(each) for each in PACKAGES[sys.argv[2]]},
            "rows": play(sys.argv[2], Path.cwd()),
        }
        Path(sys.argv[3]).write_text(json.dumps(said))
        os._exit(0)  # threads that still wait are left
    else:
        unknown = set(sys.argv[1:]) - set(TITLES)
        sys.exit(f"unknown: {', '.join(sorted(unknown))}" if unknown else main(sys.argv[1:] or list(TITLES)))

"""Judges on published verdicts: which ones are refused as a gate, what is read from their answers, ratings, and SQL.

LLMBar (princeton-nlp/LLMBar, MIT) has pairs with a right answer, and what six models answered in both orders; its
checkout is the folder `llmbar` of `LLMOPS_BENCH_SETS`. The verdicts of gpt-3.5 and of three people on PandaLM's pairs
are in `LLMOPS_BENCH_DATA`. What is missing is left out.

Run it with `python benchmarks/evals_judges.py`.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evals_statistics import Row
from guardrails_tables import number, table

from llmops_sdk.evals import JudgeReport, calibrate, parse_verdict, stats

__all__ = ["llmbar", "pandalm", "sql"]

MODELS = ("GPT-4", "PaLM2", "LLaMA2", "ChatGPT", "ChatGPT-0301", "Falcon")
SETS = ("Natural", "Adversarial/Neighbor", "Adversarial/GPTInst", "Adversarial/GPTOut", "Adversarial/Manual")
ORDERS = (("swap = False", {"a": "1", "b": "2"}), ("swap = True", {"a": "2", "b": "1"}))
VERDICTS = 10_000


def llmbar(folder: Path) -> Iterator[str | Row]:
    """Yield what becomes of six judges on five sets, as a table, and what is asked of it."""
    rows: list[tuple[str, ...]] = []
    reports: dict[tuple[str, str], JudgeReport] = {}
    read = same = 0
    for name in SETS:
        for model in MODELS:
            path = folder / "Dataset" / "LLMBar" / name / "evaluators" / model / "Vanilla" / "result.json"
            if not path.is_file():
                continue
            cases = json.loads(path.read_text("utf-8"))
            orders = [[_winner(case["results"][0][key], places) for case in cases] for key, places in ORDERS]
            theirs = [[case["results"][0][key]["winner"] for case in cases] for key, _ in ORDERS]
            read += sum(map(len, orders))
            same += sum(
                one == (other if other in ("1", "2") else None)
                for mine, their in zip(orders, theirs, strict=True)
                for one, other in zip(mine, their, strict=True)
            )
            report = _report(model, orders, [str(case["label"]) for case in cases])
            reports[name, model] = report
            each = statistics.mean(
                winner == str(case["label"]) for order in orders for winner, case in zip(order, cases, strict=True)
            )
            rows.append((
                name.rpartition("/")[2], model, str(report.n), f"{each:.3f}", f"{report.accuracy:.3f}",
                f"{report.order_consistency or 0:.3f}", str(report.garbage),
                "may gate" if report.refusal() is None else "refused",
            ))  # fmt: skip
    if not rows:
        return
    yield Row("LLMBar: answers read as its authors read them", f"{same:,} of {read:,}", "none", met=True)
    for name, model, refused in (("Adversarial/Neighbor", "ChatGPT", True), ("Natural", "GPT-4", False)):
        reason = reports[name, model].refusal()
        what = f"{model} on {name.rpartition('/')[2]}, as a gate"
        yield Row(
            what, "refused" if reason else "may gate", "refused" if refused else "may gate", bool(reason) == refused
        )
    head = ("set", "judge", "n", "accuracy, one order", "accuracy, both orders", "order consistency", "garbage", "gate")
    yield table(head, rows)


def _winner(result: dict[str, Any], places: dict[str, str]) -> str | None:
    label = parse_verdict(result["completion"][0], list(places))
    return None if label is None else places[label]


def _report(model: str, orders: Sequence[Sequence[str | None]], labels: Sequence[str]) -> JudgeReport:
    """Return the report as `PairJudge` makes it: two orders that disagree are a tie, one without a verdict is none."""
    pairs = list(zip(*orders, strict=True))
    winners = [None if None in pair else pair[0] if pair[0] == pair[1] else "tie" for pair in pairs]
    same = [None if None in pair else pair[0] == pair[1] for pair in pairs]
    return calibrate(winners, labels, judge=model, consistent=same)


def pandalm(folder: Path) -> Iterator[str | Row]:
    """Yield how gpt-3.5's verdicts on 500 pairs are read, the win rate, and ratings by people and by the judge."""
    path = folder / "evals" / "judge_pairs_dev.jsonl.gz"
    if not path.is_file():
        return
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        pairs = [json.loads(line) for line in lines]
    given = [parse_verdict(row["judge_gpt35"], ["1", "2", "tie"]) for row in pairs]
    garbage = sum(row["judge_gpt35"] not in ("1", "2", "Tie") for row in pairs)
    yield Row("PandaLM: verdicts that are none, by parse_verdict", f"{given.count(None)} of {len(pairs)}", str(garbage),
              given.count(None) == garbage)  # fmt: skip
    known = [
        parse_verdict(text, ["1", "2", "tie"]) for text in ("Response 1 is better, or 2", "not 1", "Verdict: 1 or 2")
    ]
    yield Row("ambiguous verdicts that count", str(3 - known.count(None)), "0", known.count(None) == 3)
    people = [{1: "1", 2: "2"}.get(Counter(row["humans"]).most_common(1)[0][0], "tie") for row in pairs]
    values = {"1": 1.0, "2": 0.0, "tie": 0.5, None: 0.5}
    human, judge = [values[one] for one in people], [values[one] for one in given]
    result = stats.ppi(human[:100], judge[:100], judge[100:])
    truth = statistics.mean(human)
    low, high = result.interval
    what = f"PPI++ win rate from 100 labels (all 500 say {truth:.3f}, the judge alone {result.judge_only:.3f})"
    yield Row(what, f"{result.estimate:.3f} [{low:.3f}, {high:.3f}]", "covers", low <= truth <= high)
    report = calibrate(given, people, judge="gpt-3.5")
    yield Row("gpt-3.5 on PandaLM, as a gate", report.refusal() or "may gate", "none", met=True)
    names = [row["pair"].split("_") for row in pairs]
    rankings = [
        stats.bradley_terry([(one, other, value) for (one, other), value in zip(names, column, strict=True)])
        for column in (human, judge)
    ]
    rows = [
        (str(name), *(f"{one.ratings[name].rating:.0f} [{one.ratings[name].interval.low:.0f}, "
                      f"{one.ratings[name].interval.high:.0f}]" for one in rankings))
        for name in rankings[0].ratings
    ]  # fmt: skip
    orders = [list(one.ratings) for one in rankings]
    swapped = [
        (str(one), str(other))
        for place, one in enumerate(orders[0])
        for other in orders[0][place + 1 :]
        if orders[1].index(one) > orders[1].index(other)
    ]
    tied = sum(rankings[1].tied(one, other) for one, other in swapped)
    yield Row("pairs that the judge ranks the other way round, reported as tied", f"{tied} of {len(swapped)}", "all",
              tied == len(swapped))  # fmt: skip
    yield table(("model", "rating by people", "rating by gpt-3.5"), rows)


def sql() -> Iterator[Row]:
    """Yield how long 10,000 verdicts in the store take to sum up, in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, __file__, "sql"], cwd=folder, capture_output=True, text=True, check=True, timeout=600
        )
    first, median = json.loads(done.stdout.splitlines()[-1])
    for what, value in (("the first query of a process", first), ("the median of the next nine", median)):
        name = f"{VERDICTS:,} judge verdicts by label, with mean and failures, in SQL: {what}"
        yield Row(name, f"{number(value * 1e3)} ms", "≤ 1,000 ms", value <= 1)


def _measure_sql() -> None:
    import llmops_sdk as llmops
    from llmops_sdk.evals import Score, evaluate, scorer

    @scorer
    def verdict(output: str, repeat: int) -> Score:
        good = (len(output) + repeat) % 3 > 0
        return Score(value=float(good), label="good" if good else "bad", comment=output * 20)

    rows = [{"input": {"question": f"q {index}"}} for index in range(VERDICTS // 10)]
    evaluate(str.upper, [{"input": row["input"]["question"]} for row in rows], [verdict], repeats=10, name="verdicts",
             progress=False)  # fmt: skip
    statement = """SELECT scorer, label, count(*), avg(value), count_if(status IN ('error', 'timeout'))
        FROM experiment_scores GROUP BY ALL"""
    times: list[float] = []
    for _ in range(10):
        began = time.perf_counter()
        found = llmops.query(statement).rows()
        times.append(time.perf_counter() - began)
        assert sum(row[2] for row in found) == VERDICTS, found
    print(json.dumps([times[0], statistics.median(times[1:])]))


def main() -> None:
    """Print the tables."""
    if sys.argv[1:] == ["sql"]:
        _measure_sql()
        return
    sets, data = os.environ.get("LLMOPS_BENCH_SETS", "no sets"), os.environ.get("LLMOPS_BENCH_DATA", "no data")
    for one in (*llmbar(Path(sets) / "llmbar"), *pandalm(Path(data)), *sql()):
        print(one if isinstance(one, str) else " | ".join(map(str, one)))


if __name__ == "__main__":
    main()

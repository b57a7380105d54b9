"""Find drift in five weeks of questions to a bank: in the last week the topics and the model have changed.

Run it with `llmops demo --drift` or `python examples/support_drift.py`. The weeks are simulated, and every row says so.
Nothing leaves the machine.
"""

from __future__ import annotations

import json
import random
import shlex
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bank_help import ARTICLES
from rich.console import Console
from rich.table import Table

from llmops_sdk.drift import DriftReport, concept_drift, data_drift
from llmops_sdk.monitoring import report
from llmops_sdk.store import import_file

DAYS, A_DAY, CUSTOMERS = 35, 40, 80
NEW_TOPIC = [f"How do I {verb} {coin} with my {thing}?" for verb in ("buy", "sell", "trade") for coin in
             ("bitcoin", "ethereum", "stablecoins") for thing in ("wallet", "savings", "broker")]  # fmt: skip


# The weeks. An application has them in its store; here they are made, and imported as another store's files would be.


def made_calls(end: datetime, rng: random.Random) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield calls of five weeks that end at `end`, each with the customer's score: was the answer helpful?"""
    known = [question for article in ARTICLES for question in article.questions]
    for number in range(DAYS * A_DAY):
        start = end - timedelta(days=DAYS) + timedelta(days=1) / A_DAY * number
        is_last_week = start >= end - timedelta(days=7)
        question = rng.choice(NEW_TOPIC if is_last_week and rng.random() < 0.2 else known)
        model = "bank-helper-2" if is_last_week else "bank-helper-1"
        seconds = rng.lognormvariate(0.0, 0.4) * (1.5 if is_last_week else 1.0)
        ids = {"trace_id": f"{rng.getrandbits(128):032x}", "span_id": f"{rng.getrandbits(64):016x}"}
        message = {"role": "user", "parts": [{"type": "text", "content": question}]}
        start_ns = int(start.timestamp() * 1e6) * 1_000
        call = {
            **ids, "name": "chat bank-helper", "kind": "llm", "start_ns": start_ns, "duration_ns": int(seconds * 1e9),
            "status": "ok", "service": "bank", "simulated": True,
            "tags": ["made for the demo of drift"], "user_id": f"customer-{rng.randrange(CUSTOMERS)}",
            "request_model": "bank-helper", "model": model, "input_tokens": 12, "output_tokens": 60,
            "cost": 0.0001 * rng.randint(8, 12), "input_messages": [message],
        }  # fmt: skip
        if rng.random() < 0.02:
            call |= {"status": "error", "error_type": "TimeoutError"}
        helpful = rng.random() < (0.6 if is_last_week else 0.85)
        time = (start + timedelta(minutes=1)).replace(tzinfo=None).isoformat()
        yield call, {**ids, "name": "helpful", "value": float(helpful), "source": "user", "time": time}


def fill(store: Path, end: datetime) -> None:
    calls, scores = zip(*made_calls(end, random.Random(7)), strict=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, rows in (("spans", calls), ("scores", scores)):
            file = Path(folder) / f"{name}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            import_file(file, path=store)


# The checks. This is all that an application writes.


def questions(condition: str) -> str:
    return f"""SELECT c.trace_id, c.user_id, m.content AS text FROM messages AS m JOIN llm_calls AS c USING (span_id)
        WHERE m.role = 'user' AND c.start_time {condition}"""


def scores(condition: str) -> str:
    return f"""SELECT c.start_time AS time, s.value, c.trace_id FROM scores AS s JOIN llm_calls AS c USING (span_id)
        WHERE s.name = 'helpful' AND c.start_time {condition} ORDER BY 1"""


def check(store: Path, end: datetime) -> list[tuple[str, DriftReport]]:
    week = f"TIMESTAMP '{end - timedelta(days=7):%Y-%m-%d %H:%M}'"
    before, since = f"< {week}", f">= {week}"
    return [
        ("What customers ask", data_drift(questions(before), questions(since), path=store)),
        ("How good answers are", concept_drift(scores(before), scores(since), name="helpful", path=store)),
    ]


def main(store: Path = Path(".llmops-drift")) -> int:
    store = store.resolve()
    if store.exists():
        print(f"{store} exists already: remove it, or name another folder with --store", file=sys.stderr)
        return 2
    console = Console()
    end = datetime.now(UTC).replace(second=0, microsecond=0, tzinfo=None)
    fill(store, end.replace(tzinfo=UTC))
    console.print(f"Made {DAYS * A_DAY} simulated calls of {DAYS} days; the last week differs.", soft_wrap=True)
    table = Table()
    for column in ("check", "found", "reason"):
        table.add_column(column)
    found = check(store, end)
    for title, one in found:
        table.add_row(title, one.status, one.reason)
    console.print(table)
    page = store.with_name(f"{store.name.lstrip('.')}.html")
    week = report(end - timedelta(days=7), end, simulated=True, path=store)
    week.write(page)
    console.print(f"Report of the last week: {page} ({week.status})", soft_wrap=True)
    for line in week.verdict:
        console.print(f"  {line}", soft_wrap=True, highlight=False)
    console.print(f"Look for yourself: llmops report --simulated --store {shlex.quote(str(store))}", soft_wrap=True)
    return 0 if all(one.drifted for _, one in found) else 1


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))

"""A support assistant for a bank: search the help pages, ask a model, and query the traces with SQL.

Run it with `llmops demo` or `python examples/support_assistant.py`; `--help` lists the options. Nothing leaves the
machine: the model is simulated until LLMOPS_MODEL or --model names a real one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bank_help import ARTICLES, made_questions, read_questions, words
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

import llmops_sdk as llmops

HERE = Path(__file__).parent
SYSTEM = "You answer customers of a bank. Use only the articles you are given; say so when they do not have the answer."


# The application: a retriever, two prompt functions, and the function that joins them. Customers type card numbers. The
# guard redacts them in the prompt. capture_input=False keeps the raw question out of the traces too.


@llmops.trace(kind="retriever", capture_input=False)
def search(question: str, top: int = 2) -> list[str]:
    asked = words(question)
    best = sorted(ARTICLES, key=lambda article: len(asked & article.words), reverse=True)[:top]
    return [f"{article.title}\n{article.text}" for article in best]


def prompt(question: str, articles: list[str]) -> str:
    return "\n\n".join(["Articles:", *articles, f"Question: {question}"])


@llmops.llm(returns=llmops.Response, system=SYSTEM)
async def answer(question: str, articles: list[str]) -> str:
    return prompt(question, articles)


@llmops.llm(stream=True, system=SYSTEM + " Explain step by step.")
async def explain(question: str, articles: list[str]) -> str:
    return prompt(question, articles)


@llmops.trace(capture_input=False)
async def support(question: str) -> llmops.Response:
    articles = search(question)
    if not question.lower().startswith("explain"):
        return await answer(question, articles)
    async with explain(question, articles) as stream:
        async for _chunk in stream:
            pass  # a web application would send each chunk to the browser
    return stream.response


async def ask_all(questions: Iterable[str], concurrency: int, done: Callable[[], object]) -> Counter[str]:
    """Ask every question and return the program's own counts, to compare with the store's."""
    counts = Counter({"calls": 0, "cache hits": 0, "attempts": 0, "failed": 0})
    waiting = iter(questions)  # shared: each worker takes the next question when it is free

    async def worker() -> None:
        for question in waiting:
            counts["calls"] += 1
            customer = counts["calls"] % 50
            with llmops.context(session_id=f"session-{customer}", user_id=f"customer-{customer}", tags=[RUN]):
                try:
                    response = await support(question)
                    counts["cache hits"] += response.cache is not None
                    counts["attempts"] += len(response.attempts)
                except llmops.LLMOpsError as error:  # one call failed; the others continue
                    counts["failed"] += 1
                    counts["attempts"] += len(getattr(error, "attempts", ()))
                    counts[f"error: {error}"] += 1
            done()

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(worker())
    return counts


# The report: every number comes from the store, by SQL. A tag separates the runs of one store.

RUN = f"run-{uuid.uuid4().hex[:8]}"

OVERVIEW = """
WITH calls AS (SELECT * FROM llm_calls WHERE list_contains(tags, $run)),
     away AS (  -- from the start of a call's first attempt to the end of its last: provider time and waits
         SELECT span_id, (epoch_us(max(start_time)) - epoch_us(min(start_time))) / 1e3 + arg_max(duration_ms, attempt)
                         AS ms
         FROM attempts GROUP BY span_id)
SELECT count(*) AS "calls", count(*) FILTER (cache IS NOT NULL) AS "cache hits", sum(attempts)::BIGINT AS "attempts",
       count(*) FILTER (status = 'error') AS "failed",
       (SELECT count(*) FROM guard_verdicts JOIN calls USING (span_id) WHERE action = 'redact') AS "redactions",
       quantile_cont(duration_ms, 0.50) AS "latency, ms, p50",
       quantile_cont(duration_ms, 0.95) AS "latency, ms, p95",
       quantile_cont(duration_ms - $delay * attempts, 0.50) AS "without simulated delay, ms, p50",
       quantile_cont(duration_ms - $delay * attempts, 0.95) AS "without simulated delay, ms, p95",
       quantile_cont(duration_ms - coalesce(away.ms, 0), 0.50) AS "outside all attempts, ms, p50",
       quantile_cont(duration_ms - coalesce(away.ms, 0), 0.95) AS "outside all attempts, ms, p95",
       (SELECT count(*) FROM spans WHERE list_contains(tags, $run)) AS "spans written"
FROM calls LEFT JOIN away USING (span_id)"""

BY_MODEL = """
SELECT provider || '/' || model || if(bool_or(simulated), ' (simulated)', '') AS "model", count(*) AS "calls",
       sum(input_tokens)::BIGINT AS "input tokens", sum(output_tokens)::BIGINT AS "output tokens",
       round(sum(cost), 6) AS "cost, USD"
FROM llm_calls WHERE list_contains(tags, $run) GROUP BY provider, llm_calls.model ORDER BY ALL"""

MOST_TRIED = "SELECT trace_id FROM llm_calls WHERE list_contains(tags, $run) ORDER BY attempts DESC, start_ns LIMIT 1"


def show(console: Console, title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(str(round(value, 4) if isinstance(value, float) else value) for value in row))
    console.print(table)


def trace_tree(trace_id: str) -> Tree:
    """Return a trace as a tree of its spans and their events (attempts, cache look-ups, verdicts)."""
    root = Tree(Text(f"trace {trace_id}"))
    nodes: dict[str | None, Tree] = {}
    spans = "SELECT span_id, parent_span_id, name, duration_ms FROM spans WHERE trace_id = ? ORDER BY start_ns"
    for span_id, parent_id, name, duration_ms in llmops.query(spans, [trace_id]):
        nodes[span_id] = nodes.get(parent_id, root).add(Text(f"{name}  {duration_ms:.1f} ms"))
    events = "SELECT span_id, name, attributes FROM events WHERE trace_id = ? ORDER BY time"
    for span_id, name, attributes in llmops.query(events, [trace_id]):
        said = (f"{key}={value}" for key, value in json.loads(attributes).items() if key != "start_ns")
        nodes[span_id].add(Text(" ".join([name, *said]), style="dim"))
    return root


def report(console: Console, counts: Counter[str], wall: float, store: Path) -> None:
    settings = llmops.settings()
    named = settings.models.get(settings.model)
    delay_ms = 1000 * float(named.options.get("latency", 0)) if named else 0.0
    overview = llmops.query(OVERVIEW, {"run": RUN, "delay": delay_ms})
    files = (file for file in store.rglob("*") if file.is_file() and "cache" not in file.relative_to(store).parts)
    measured = {"wall time, s": wall, "store, MB": sum(file.stat().st_size for file in files) / 1e6}
    numbers = {**dict(zip(overview.columns, overview.rows()[0], strict=True)), **measured}
    rows = ((name, value, counts.get(name, "")) for name, value in numbers.items())
    show(console, "This run", ("", "from the store", "counted by the program"), rows)
    by_model = llmops.query(BY_MODEL, {"run": RUN})
    show(console, "By model, at the example prices", by_model.columns, by_model.rows())
    for (trace_id,) in llmops.query(MOST_TRIED, {"run": RUN}):
        console.print("The trace with the most attempts:", trace_tree(trace_id))
    for message, times in counts.items():
        if message.startswith("error: "):
            console.print(Text(f"{times} x {message}", style="red"))


def main(arguments: Sequence[str] | None = None, prog: str | None = None) -> int:
    parser = argparse.ArgumentParser(prog=prog, description="A support assistant for a bank.")
    parser.add_argument("--questions", type=Path, metavar="FILE.csv", help="your own questions")
    parser.add_argument("--column", help='the column that holds them (default: "text" or "question")')
    parser.add_argument("--limit", type=int, metavar="N", help="number of questions (default: all of FILE.csv, or 200)")
    parser.add_argument("--concurrency", type=int, default=16, metavar="N", help="parallel calls (default: 16)")
    parser.add_argument("--model", help='a real model, such as "openai/gpt-4.1-mini" or "ollama/llama3.2"')
    parser.add_argument("--store", type=Path, help="the store's folder (default: .llmops-demo)")
    parser.add_argument("--drift", action="store_true", help="find drift in five simulated weeks instead")
    args = parser.parse_args(arguments)
    if args.drift:
        from support_drift import main as find_drift

        return find_drift(args.store or Path(".llmops-drift"))
    args.store = args.store or Path(".llmops-demo")
    limit = args.limit if args.limit is not None else None if args.questions else 200
    if args.concurrency < 1 or (limit is not None and limit < 0):
        parser.error("--concurrency is at least 1, --limit at least 0")

    def questions() -> Iterator[str]:
        return read_questions(args.questions, args.column, limit) if args.questions else made_questions(limit or 0)

    try:
        total = sum(1 for _ in questions())  # read the whole file once, to report a bad one before any call
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    if args.questions and not total and limit != 0:
        parser.exit(2, f"{parser.prog}: {args.questions} has no questions\n")
    store = args.store.resolve()
    model = {"model": args.model} if args.model else {}
    llmops.configure(HERE / "support_assistant.toml", store={"path": store}, cache={"namespace": RUN}, **model)

    console = Console()
    with Progress(console=console) as progress:
        bar = progress.add_task(f"Asking {llmops.settings().model}", total=total)
        started = time.perf_counter()
        counts = asyncio.run(ask_all(questions(), args.concurrency, lambda: progress.advance(bar)))
        flushed = llmops.flush(timeout=60)
        wall = time.perf_counter() - started
    report(console, counts, wall, store)
    sql = "SELECT user_id, status, attempts, cost FROM llm_calls LIMIT 9"
    console.print(f'Query it yourself: llmops sql --store {shlex.quote(str(args.store))} "{sql}"', soft_wrap=True)
    return 0 if counts["calls"] == total and not flushed.pending else 1


if __name__ == "__main__":
    sys.exit(main())

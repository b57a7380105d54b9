"""An open-loop load against a provider that turns slow, then dead, then well: ours and litellm's Router.

Calls begin at fixed times, whether earlier ones have ended or not, as users do. Each may take 2 seconds. The provider
`east` is well for a while, then answers in 3 s, then closes every connection, then is well again. `west` is always
well. Both libraries get the same two deployments, the same time-out, two retries, and their own limits: ours a
breaker, 200 calls at the same time and the least busy deployment; litellm's Router its cooldown, its limit of 200 calls
and its least-busy strategy. In the scenario `alone` there is only `east`.

The rate is bounded by what a library's own code costs on a core. So there are two rows: both libraries through litellm
at a rate that either could serve, and ours at 500 calls a second through a plain HTTP provider.

`make bench-traffic` runs it, and writes `benchmarks/traffic.md` with the simulations. Each client is a process of
its own, and so is the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PHASES = [("well", 5.0), ("slow", 8.0), ("dead", 8.0), ("well", 9.0)]
"""What `east` does, and for how many seconds."""
TIMEOUT = 2.0
SLOW_RATE, FAST_RATE = 40.0, 500.0
Call = Callable[[], Awaitable[None]]


# --- the clients ------------------------------------------------------------------------------------------------------


def ours(east: str, west: str | None, *, direct: bool) -> contextlib.AbstractAsyncContextManager[Call]:
    """Return what opens our client."""

    @contextlib.asynccontextmanager
    async def opened() -> Any:
        import llmops_sdk as llmops
        from llmops_sdk.testing import use_provider

        names = ["east"] if west is None else ["east", "west"]
        urls = {"east": east, "west": west}
        models: dict[str, Any] = {name: {"model": f"{urls[name]}/v1#gpt-x"} for name in names}
        models["shop"] = {"deployments": names, "balance": "least_busy"}
        llmops.configure(
            models=models,
            model="shop",
            breaker={"failures": 5, "open_seconds": 1.0},
            limits={"concurrency": 200, "queue": 1_000, "queue_timeout": 1.0},
            retry={"attempts": 3, "base": 0.05, "max_wait": 0.2},
            timeout={"total": TIMEOUT, "attempt": 1.0},
        )

        async def call() -> None:
            await llmops.achat("How are you?")

        with contextlib.ExitStack() as stack:
            if direct:
                from traffic_direct import DirectProvider

                for name in names:
                    stack.enter_context(use_provider(DirectProvider(str(urls[name])), model=name))
            yield call

    return opened()


def router(east: str, west: str | None) -> contextlib.AbstractAsyncContextManager[Call]:
    """Return what opens litellm's Router."""

    @contextlib.asynccontextmanager
    async def opened() -> Any:
        os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
        from litellm import Router

        key = secrets.token_hex(8)
        urls = [east] if west is None else [east, west]
        shared = {"model": "openai/gpt-x", "api_key": key, "max_parallel_requests": 200, "timeout": 1.0}
        made = Router(
            model_list=[{"model_name": "shop", "litellm_params": {**shared, "api_base": f"{url}/v1"}} for url in urls],
            routing_strategy="least-busy",
            num_retries=2,
            retry_after=0,
            timeout=TIMEOUT,
            allowed_fails=5,
            cooldown_time=1.0,
        )

        async def call() -> None:
            await made.acompletion(model="shop", messages=[{"role": "user", "content": "How are you?"}])

        yield call

    return opened()


CLIENTS: dict[str, Callable[[str, str | None], contextlib.AbstractAsyncContextManager[Call]]] = {
    "llmops-sdk": lambda east, west: ours(east, west, direct=False),
    "llmops-sdk, plain HTTP": lambda east, west: ours(east, west, direct=True),
    "litellm Router": router,
}


# --- one run, in a process of its own ---------------------------------------------------------------------------------


async def run(client: str, east: str, west: str | None, rate: float) -> list[list[Any]]:
    """Call at fixed times through all phases. Return for each call its phase, its latency in seconds and its end."""
    rows: list[list[Any]] = []
    async with CLIENTS[client](east, west) as call:
        for _ in range(20):
            with contextlib.suppress(Exception):
                await call()  # imports and connections are no part of the load
        began = time.monotonic()
        tasks: set[asyncio.Task[None]] = set()

        async def one(phase: int, planned: float) -> None:
            end = "ok"
            try:
                await asyncio.wait_for(call(), TIMEOUT + 1.0)
            except Exception as error:  # noqa: BLE001 - every end is counted by its name
                end = type(error).__name__
            rows.append([phase, time.monotonic() - planned, end])

        number, start = 0, 0.0
        for phase, (mode, seconds) in enumerate(PHASES):
            await asyncio.to_thread(tell, east, mode)
            while (at := number / rate) < start + seconds:
                planned = began + at
                if (wait := planned - time.monotonic()) > 0:
                    await asyncio.sleep(wait)
                task = asyncio.create_task(one(phase, planned))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number += 1
            start += seconds
        await asyncio.gather(*tasks)
    return rows


def tell(url: str, mode: str) -> dict[str, int]:
    """Set the mode of a server. Return how many requests it got in each."""
    with urllib.request.urlopen(f"{url}/mode/{mode}", timeout=30) as answer:
        counts: dict[str, int] = json.load(answer)
        return counts


# --- all runs ---------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def server() -> Iterator[str]:
    """Run a provider, and yield its URL."""
    process = subprocess.Popen([sys.executable, HERE / "traffic_server.py"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.kill()
        process.wait(60)
        process.stdout.close()


def measured(client: str, *, alone: bool, rate: float) -> dict[str, Any]:
    """Run one client against fresh servers. Return its rows, and how many requests the servers got."""
    with server() as east, server() as west, tempfile.TemporaryDirectory() as folder:
        command = [_python(client), __file__, "--run", client, east, "" if alone else west, str(rate)]
        environ = {**os.environ, "OPENAI_API_KEY": secrets.token_hex(8), "LLMOPS_STORE__PATH": f"{folder}/store"}
        said = subprocess.run(
            command, cwd=folder, env=environ, check=True, timeout=300, stdout=subprocess.PIPE, text=True
        )
        rows = json.loads(said.stdout.splitlines()[-1])
        requests = tell(east, "well")
    return {"client": client, "alone": alone, "rate": rate, "rows": rows, "requests": requests}


def _python(client: str) -> str:
    """Return the interpreter: litellm's Router has an environment of its own, as in `bench_faults.py`."""
    if client != "litellm Router":
        return sys.executable
    from environments import environment

    pins = HERE / "requirements-faults" / "litellm-router.txt"
    return str(environment(pins, HERE.parent / ".venv" / "faults" / "litellm-router"))


def quantile(values: list[float], q: float) -> float:
    """Return a quantile, NaN of nothing."""
    ordered = sorted(values)
    return ordered[min(int(q * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


def table(results: list[dict[str, Any]]) -> str:
    """Return the Markdown table of all runs: a row for each phase."""
    head = (
        "client", "deployments", "calls a second", "east is", "answered", "goodput a second",
        "p50 ms", "p95 ms", "p99 ms", "failed: median ms", "requests to east a call",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for one in results:
        for phase, (mode, seconds) in enumerate(PHASES):
            rows = [row for row in one["rows"] if row[0] == phase]
            good = [row[1] for row in rows if row[2] == "ok" and row[1] <= TIMEOUT]
            bad = [row[1] for row in rows if row[2] != "ok"]
            again = " again" if mode == "well" and phase else ""
            # Both phases in which it is well count together.
            calls = sum(1 for row in one["rows"] if PHASES[row[0]][0] == mode)
            cells = [
                one["client"], "east" if one["alone"] else "east, west", f"{one['rate']:g}", f"{mode}{again}",
                f"{len(good) / max(len(rows), 1):.3f}", f"{len(good) / seconds:.1f}",
                *(f"{quantile(good, q) * 1e3:.0f}" if good else "" for q in (0.5, 0.95, 0.99)),
                f"{quantile(bad, 0.5) * 1e3:.0f}" if bad else "",
                f"{one['requests'].get(mode, 0) / max(calls, 1):.2f}",
            ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def results() -> list[dict[str, Any]]:
    """Run every client in both scenarios."""
    plan = [(client, alone, SLOW_RATE) for alone in (True, False) for client in ("llmops-sdk", "litellm Router")] + [
        ("llmops-sdk, plain HTTP", alone, FAST_RATE) for alone in (True, False)
    ]
    done: list[dict[str, Any]] = []
    for client, alone, rate in plan:
        print(f"{client}, {'east' if alone else 'east and west'}, {rate:g} a second", file=sys.stderr, flush=True)
        done.append(measured(client, alone=alone, rate=rate))
    return done


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        client, east, west, rate = sys.argv[2:]
        print(json.dumps(asyncio.run(run(client, east, west or None, float(rate)))))
    else:
        print(table(results()))

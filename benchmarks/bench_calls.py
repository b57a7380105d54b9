"""What a call to a model costs beside the model: ours, litellm's `completion`, and an agent of pydantic-ai.

Each asks a model in its own process that answers at once: ours `offline/echo` with everything on as an application has
it (span, store on disk, redaction, retries, deadline, budget), litellm a custom provider, pydantic-ai its TestModel.
Ours and litellm take turns in one process, in bursts; pydantic-ai runs in one of its own after that, in an environment
made at first use under `.venv/calls`. The figures are medians over the bursts; spans are flushed between them and
counted in the end.

Run it with `make bench-calls`.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
BURST = 200
ROUNDS = 15
PROMPT = "Where is my card? I ordered it a week ago, and it has not come."


def burst(call: Callable[[], object]) -> float:
    """Seconds of one call of a burst."""
    begin = time.perf_counter()
    for _ in range(BURST):
        call()
    return (time.perf_counter() - begin) / BURST


def ours_and_litellm(folder: str) -> dict[str, list[float]]:
    """Return the seconds per call of each variant, one figure per round, in turns."""
    import litellm

    import llmops_sdk as llmops

    llmops.configure(store={"path": f"{folder}/store"})
    litellm.suppress_debug_info = True

    class Bare(litellm.CustomLLM):
        def completion(self, *args: Any, **kwargs: Any) -> Any:
            del args
            response = kwargs["model_response"]
            response.choices[0].message.content = PROMPT
            response.choices[0].finish_reason = "stop"
            return response

    litellm.custom_provider_map = [{"provider": "bench", "custom_handler": Bare()}]
    messages = [{"role": "user", "content": PROMPT}]
    loop = asyncio.new_event_loop()
    ways: dict[str, Callable[[], object]] = {
        "llmops.chat": lambda: llmops.chat(PROMPT),
        "llmops.achat": lambda: loop.run_until_complete(llmops.achat(PROMPT)),
        "llmops.stream": lambda: list(llmops.stream(PROMPT)),
        "litellm.completion": lambda: litellm.completion(model="bench/x", messages=messages),
    }
    assert llmops.chat(PROMPT).text == PROMPT
    assert litellm.completion(model="bench/x", messages=messages).choices[0].message.content == PROMPT
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(ROUNDS + 1):
        for name, call in ways.items():
            took = burst(call)
            assert llmops.flush(60).pending == 0
            if number:
                found[name].append(took)
    loop.run_until_complete(llmops.aflush())
    loop.close()
    made = llmops.query("SELECT count(*) FROM llm_calls").scalar()
    assert made == 3 * (ROUNDS + 1) * BURST + 1, made
    assert llmops.flush().dropped == 0
    return found


def pydantic_ai(folder: str) -> dict[str, list[float]]:
    """Measure calls of the agent."""
    del folder
    from pydantic_ai import Agent
    from pydantic_ai.models.test import TestModel

    agent = Agent(TestModel(custom_output_text=PROMPT))
    assert agent.run_sync(PROMPT).output == PROMPT
    return {"pydantic-ai, Agent.run_sync": [burst(lambda: agent.run_sync(PROMPT)) for _ in range(ROUNDS)]}


PARTS = {"ours": ours_and_litellm, "pydantic-ai": pydantic_ai}


def measured(part: str, python: Path) -> dict[str, list[float]]:
    """Run a part in its own process and folder and return its result."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [str(python), str(Path(__file__).resolve()), part, folder, str(answer)]
        # litellm asks the network for its prices else.
        environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        subprocess.run(command, check=True, timeout=900, cwd=folder, stdin=subprocess.DEVNULL, env=environ)
        return json.loads(answer.read_text())


def main() -> None:
    """Measure everything and print the table."""
    from environments import environment

    found = measured("ours", Path(sys.executable))
    other = environment(
        HERE / "requirements-calls" / "pydantic-ai.txt", HERE.parent / ".venv" / "calls" / "pydantic-ai"
    )
    found |= measured("pydantic-ai", other)
    litellm = found["litellm.completion"]
    print("| a call to a model that answers at once | µs | share of litellm's |\n|---|---|---|")
    for name, rounds in found.items():
        here = statistics.median(rounds)
        # In turns with litellm's, round by round, but for the one in a process of its own.
        ratio = statistics.median(one / two for one, two in zip(rounds, litellm, strict=True))
        print(f"| {name} | {here * 1e6:.0f} | {ratio:.3f} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[3]).write_text(json.dumps(PARTS[sys.argv[1]](sys.argv[2])))
    else:
        main()

"""Evaluate, and die by SIGKILL at a given call of the task: `killed_program.py ITEMS CONCURRENCY DIE_AT`.

Each call of the model appends a line to `calls.txt`, which outlives the process. The judge gives no verdict the first
time that it is asked about an item whose number is divisible by 20.
"""

import json
import os
import signal
import sys
from pathlib import Path

import llmops_sdk as llmops
from llmops_sdk.evals import Judge, evaluate
from llmops_sdk.testing import ScriptedProvider, use_provider

ITEMS, CONCURRENCY, DIE_AT = (int(one) for one in sys.argv[1:4])
CALLS = Path("calls.txt")
seen = CALLS.read_text("utf-8").splitlines() if CALLS.exists() else []
tasks = 0


def note(line):
    descriptor = os.open(CALLS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def reply(request):
    global tasks
    prompt = "\n".join(str(message["content"]) for message in request.messages)
    number = int(prompt.split("item ")[1].split(".")[0])
    if "Verdict" not in prompt:
        tasks += 1
        if tasks == DIE_AT:
            os.kill(os.getpid(), signal.SIGKILL)
        note(f"task {number}")
        return f"item {number}."
    note(f"judge {number}")
    return "Hm." if number % 20 == 0 and f"judge {number}" not in seen else "Verdict: correct"


def ask(text):
    return llmops.chat(f"Say: {text}").text


if __name__ == "__main__":
    llmops.configure(store={"path": "store", "compaction": "manual"}, model="offline/echo", cache={"exact": False})
    rows = [{"id": f"q{number}", "input": f"item {number}.", "expected": "?"} for number in range(ITEMS)]
    with use_provider(ScriptedProvider([reply], repeat=True)):
        run = evaluate(ask, rows, Judge(reasks=0), name="killed", concurrency=CONCURRENCY, progress=False)
    (row,) = run.summary()
    print(json.dumps({**row, "status": run.status, "counts": run.counts}, default=list))

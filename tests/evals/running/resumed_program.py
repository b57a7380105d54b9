"""A run of `evaluate` that a test kills: `resumed_program.py ITEMS LOG FAILS`.

Each call of the provider appends its prompt to the file LOG before it answers. With FAILS=1 the judge fails on 5 % of
the outputs.
"""

from __future__ import annotations

import json
import os
import sys

import llmops_sdk as llmops
from llmops_sdk.evals import evaluate, scorer
from llmops_sdk.testing import ScriptedProvider, use_provider

ITEMS, LOG, FAILS = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "1"
DESCRIPTOR = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def answer(request):
    text = str(request.messages[-1]["content"])
    os.write(DESCRIPTOR, f"{text}\n".encode())
    if FAILS and text.startswith("judge") and int(text.split()[-1]) % 20 == 0:
        raise llmops.BadRequestError("the judge fails")
    return f"answer {text.split()[-1]}"


def task(text):
    return llmops.chat(text, model="openai/m").text


@scorer
async def judge(output):
    await llmops.achat(f"judge {output}", model="openai/m")
    return 1.0


with use_provider(ScriptedProvider([answer], repeat=True)):
    experiment = evaluate(task, [{"input": f"ask {number}"} for number in range(ITEMS)], judge, name="killed")
print(json.dumps({**experiment.counts, **experiment.summary()[0], "id": experiment.id, "status": experiment.status}))

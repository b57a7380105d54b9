"""A hard budget over four processes that share a server: never exceeded, and what was spent outlives them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest
from shared_servers import PostgresServer, RedisServer, Server, library_path, serve, with_libraries

from llmops_sdk import BudgetExceededError
from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.config import BudgetSettings, SharedSettings
from llmops_sdk.resilience.budgets._budgets import Budgets
from llmops_sdk.resilience.budgets._call import BudgetCall
from llmops_sdk.shared._open import forget_states, open_state

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

_namespaces = count()

LIMIT = 20_000
"""Tokens of all users together."""
EACH = 8_000
"""Tokens of each of three users."""

PROGRAM = """
import asyncio, json, random, sys
from concurrent.futures import ThreadPoolExecutor
from llmops_sdk import BudgetExceededError
from llmops_sdk._util._clock import SYSTEM_CLOCK
from llmops_sdk.config import BudgetSettings, SharedSettings
from llmops_sdk.resilience.budgets._budgets import Budgets
from llmops_sdk.resilience.budgets._call import BudgetCall
from llmops_sdk.shared._open import open_state

from llmops_sdk.shared import _postgres_server, _redis_server

# The machine may be slow, and a server that seems to be away is another test's subject.
_redis_server._TIMEOUT = _postgres_server._STATEMENT_SECONDS = _postgres_server._SILENT_SECONDS = 90.0
url, namespace, number, limit, each = sys.argv[1:]
settings = (
    BudgetSettings(name="all", limit_tokens=float(limit), window="total"),
    BudgetSettings(name="each", limit_tokens=float(each), per="user", window="total"),
)
budgets = Budgets(settings, open_state(SharedSettings(url=url, namespace=namespace)), SYSTEM_CLOCK)
chance = random.Random(int(number))
spent = {}

def plan():
    amount = chance.randint(1, 400)
    used = chance.choice([amount, chance.randint(0, amount), 0])
    return chance.choice(["ada", "bob", "cat"]), amount, used

def work(_):
    refused = 0
    while refused < 30:
        user, amount, used = plan()
        try:
            one = budgets.reserve(BudgetCall(user_id=user, input_tokens=amount))
        except BudgetExceededError as error:
            assert 0 <= error.left < amount, (error.left, amount)
            refused += 1
            continue
        one.settle(tokens=used)
        one.settle(tokens=10**9)
        yield user, used

async def awork():
    refused, done = 0, []
    while refused < 30:
        user, amount, used = plan()
        try:
            one = await budgets.areserve(BudgetCall(user_id=user, input_tokens=amount))
        except BudgetExceededError:
            refused += 1
            continue
        await one.asettle(tokens=used)
        done.append((user, used))
    return done

async def tasks():
    return [one for done in await asyncio.gather(*(awork() for _ in range(3))) for one in done]

print("ready", flush=True)
sys.stdin.readline()
if int(number) % 2:
    done = asyncio.run(tasks())
else:
    with ThreadPoolExecutor(3) as pool:
        done = [one for part in pool.map(lambda n: list(work(n)), range(3)) for one in part]
for user, used in done:
    spent[user] = spent.get(user, 0) + used
print(json.dumps(spent), flush=True)
"""


@pytest.fixture(scope="module", autouse=True)
def libraries() -> Iterator[None]:
    with with_libraries():
        yield


@pytest.fixture(scope="module", params=[RedisServer, PostgresServer])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param) as running:
        yield running


def test_four_processes_never_exceed_a_hard_budget(server):
    namespace = f"budgets{next(_namespaces)}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([library_path(), *filter(None, sys.path)])}
    command = [sys.executable, "-c", PROGRAM, server.url, namespace]
    spent: dict[str, int] = {}
    with ExitStack() as undo:
        programs = [
            undo.enter_context(
                subprocess.Popen(
                    [*command, str(number), str(LIMIT), str(EACH)],
                    env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            for number in range(4)
        ]  # fmt: skip
        for one in programs:
            undo.callback(one.kill)
        assert [one.stdout.readline() for one in programs] == ["ready\n"] * 4
        for one in programs:
            one.stdin.write("go\n")
            one.stdin.flush()
        for one in programs:
            out, _ = one.communicate(timeout=300)
            assert one.returncode == 0
            for user, used in json.loads(out).items():
                spent[user] = spent.get(user, 0) + used
    assert sum(spent.values()) <= LIMIT
    assert all(used <= EACH for used in spent.values())
    assert sum(spent.values()) > LIMIT * 0.9  # they did spend it
    # What the server has is what they used: nothing leaked, nothing was settled twice, and it outlives them.
    budget = BudgetSettings(name="all", limit_tokens=LIMIT, window="total")
    state = open_state(SharedSettings(url=server.url, namespace=namespace))
    try:
        budgets = Budgets((budget,), state, SYSTEM_CLOCK)
        left = LIMIT - sum(spent.values())
        with pytest.raises(BudgetExceededError) as caught:
            budgets.reserve(BudgetCall(input_tokens=left + 1))
        assert caught.value.left == left
        assert budgets.reserve(BudgetCall(input_tokens=left)).is_open
    finally:
        state.close()
        forget_states()

"""Identical calls in several processes make one call to the provider, whatever becomes of the process that makes it."""

from __future__ import annotations

import json
import selectors
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

# Each child makes calls; its provider says "asked" and waits for a line on stdin. Its clock says "waits" at the first
# wait for another process.
PROGRAM = """
import asyncio, json, os, pathlib, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from llmops_sdk._util._clock import SystemClock
from llmops_sdk.caching import CacheProvider
from llmops_sdk.config import CacheSettings, Timeout
from llmops_sdk.errors import BadRequestError, LLMOpsError, ServerError
from llmops_sdk.providers import Chunk, Request, Response, WrapperProvider

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

lock = threading.Lock()

def answer():
    say("asked")
    with lock:
        line = sys.stdin.readline().split()
    if line[0] == "error":
        raise ServerError("down")
    if line[0] == "bad":
        raise BadRequestError("no such parameter", status_code=400)
    return Response(text=line[0], finish_reason=(line[1:] or ["stop"])[0])

class Inner(WrapperProvider):
    name = "script"
    def __init__(self): pass
    def complete(self, request): return answer()
    async def acomplete(self, request): return await asyncio.to_thread(answer)
    def stream(self, request):
        for piece in ("one ", "two"):
            say("asked")
            with lock:
                sys.stdin.readline()
            yield Chunk(text=piece)
        yield Chunk(finish_reason="stop")
    def close(self): pass

class Clock(SystemClock):
    said = False
    def note(self):
        if not self.said:
            self.said = True
            say("waits")
    def sleep(self, seconds):
        self.note()
        super().sleep(seconds)
    async def asleep(self, seconds):
        self.note()
        await super().asleep(seconds)

options = json.loads(sys.argv[2])
total, first_token = options.pop("total", 60), options.pop("first_token", 60)
provider = CacheProvider(Inner(), CacheSettings(exact=True, **options), path=pathlib.Path(sys.argv[1]), clock=Clock())
request = Request(model="m", messages=[{"role": "user", "content": "?"}],
    timeout=Timeout(total=total, first_token=first_token))

def told(call):
    try:
        response = call()
        return f"{response.text} {response.cache}"
    except LLMOpsError as error:
        return type(error).__name__

def threads(count):
    with ThreadPoolExecutor(count) as pool:
        for one in [pool.submit(told, lambda: provider.complete(request)) for _ in range(count)]:
            say("got", one.result())

def tasks(count):
    async def main():
        return await asyncio.gather(*(provider.acomplete(request) for _ in range(count)))
    for response in asyncio.run(main()):
        say("got", response.text, response.cache)

def stream():
    say("got", "|".join(chunk.text for chunk in provider.stream(request)))
"""


class Child:
    def __init__(self, folder, text, **options):
        command = [sys.executable, "-W", "error", "-c", PROGRAM + text, str(folder), json.dumps(options)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.said: list[str] = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            pipe.close()
        self.process.wait()

    def line(self):
        line = self.process.stdout.readline().strip()
        assert line, self.process.stderr.read()
        self.said.append(line)
        return line

    def tell(self, words):
        self.process.stdin.write(f"{words}\n")
        self.process.stdin.flush()

    def rest(self):
        out, err = self.process.communicate(timeout=60)
        assert (self.process.returncode, err) == (0, ""), err
        return self.said + out.split("\n")[:-1]


@pytest.fixture
def start(tmp_path):
    with ExitStack() as children:
        yield lambda text, **options: children.enter_context(Child(tmp_path, text, **options))


@pytest.mark.slow
def test_50_calls_of_threads_tasks_and_processes_are_one_call(start):
    children = [start("threads(14)"), start("threads(12)"), start("tasks(12)"), start("tasks(12)")]
    first = [child.line() for child in children]
    assert sorted(first) == ["asked", "waits", "waits", "waits"]
    children[first.index("asked")].tell("yes")
    said = [child.rest() for child in children]
    assert sum(lines.count("asked") for lines in said) == 1
    answers = [line for lines in said for line in lines if line.startswith("got")]
    assert sorted(answers) == ["got yes None", *["got yes exact"] * 49]


def test_threads_and_tasks_of_one_process_are_one_call(start):
    child = start("""
worker = threading.Thread(target=threads, args=(5,))
worker.start()
tasks(5)
worker.join()
""")
    assert sorted([child.line(), child.line()]) == ["asked", "waits"]
    child.tell("yes")
    said = child.rest()
    assert said.count("asked") == 1
    assert sorted(line for line in said if "got" in line) == ["got yes None", *["got yes exact"] * 9]


def test_a_killed_leader_is_replaced(start):
    leader = start("threads(2)")
    assert leader.line() == "asked"
    followers = [start("threads(2)"), start("tasks(2)")]
    assert [child.line() for child in followers] == ["waits"] * 2
    leader.process.send_signal(signal.SIGKILL)
    # One of them asks; which one cannot be known.
    lines = _until_asked(followers)
    followers[lines].tell("yes")
    said = [child.rest() for child in followers]
    assert sum(line == "asked" for one in said for line in one) == 1
    assert sum(line.startswith("got yes") for one in said for line in one) == 4


def _until_asked(children):
    with selectors.DefaultSelector() as selector:
        for index, child in enumerate(children):
            selector.register(child.process.stdout, selectors.EVENT_READ, index)
        ready, _ = selector.select(timeout=60)[0]
        assert children[ready.data].line() == "asked"
        return ready.data


def test_a_forked_child_of_a_killed_leader_does_not_keep_the_lead(start):
    leader = start("""
def fork_and_wait(self, request):
    if os.fork() == 0:
        os.close(1)
        os.close(2)
        os.read(0, 1)  # until the test closes it
        os._exit(0)
    return answer()
Inner.complete = fork_and_wait
threads(1)
""")
    assert leader.line() == "asked"
    follower = start("threads(1)")
    assert follower.line() == "waits"
    leader.process.send_signal(signal.SIGKILL)
    assert follower.line() == "asked"
    follower.tell("yes")
    assert follower.rest()[-1] == "got yes None"


def test_after_an_error_the_next_process_leads(start):
    leader = start("threads(1)")
    assert leader.line() == "asked"
    follower = start("threads(3)")
    assert follower.line() == "waits"
    leader.tell("error")
    assert leader.rest()[-1] == "got ServerError"
    assert follower.line() == "asked"
    follower.tell("yes")
    said = follower.rest()
    assert said.count("asked") == 1
    assert sorted(said[2:]) == ["got yes None", "got yes exact", "got yes exact"]


def test_after_an_unshared_answer_all_processes_ask_at_once(start):
    leader = start("threads(1)")
    assert leader.line() == "asked"
    followers = [start("threads(1)"), start("tasks(1)"), start("threads(1)")]
    assert [child.line() for child in followers] == ["waits"] * 3
    leader.tell("cut length")
    # All of them ask before any has its answer: they do not go one after the other.
    assert [child.line() for child in followers] == ["asked"] * 3
    for child in followers:
        child.tell("cut length")
    assert [child.rest()[-1] for child in (leader, *followers)] == ["got cut None"] * 4


def test_an_error_that_would_come_again_is_shared(start):
    leader = start("threads(2)", negative_ttl=60)
    assert leader.line() == "asked"
    follower = start("threads(2)", negative_ttl=60)
    assert follower.line() == "waits"
    leader.tell("bad")
    said = leader.rest() + follower.rest()
    assert said.count("asked") == 1
    assert said.count("got BadRequestError") == 4


def test_a_wait_ends_with_the_callers_own_deadline(start):
    leader = start("threads(1)")
    assert leader.line() == "asked"
    follower = start("threads(1)", total=0.2)
    assert follower.rest() == ["waits", "got ProviderTimeoutError"]
    leader.tell("yes")
    assert leader.rest()[-1] == "got yes None"


def test_a_stream_waits_for_that_of_another_process_and_replays_it(start):
    leader = start("stream()")
    assert leader.line() == "asked"
    follower = start("stream()")
    assert follower.line() == "waits"
    leader.tell("go")
    leader.tell("go")
    assert leader.rest()[-1] == follower.rest()[-1] == "got one |two|"
    assert follower.said == ["waits"]


def test_a_stream_waits_for_another_process_no_longer_than_for_a_first_token(start):
    leader = start("stream()")
    assert leader.line() == "asked"
    follower = start("stream()", first_token=0.2)
    assert [follower.line(), follower.line()] == ["waits", "asked"]
    leader.tell("go")
    leader.tell("go")
    assert leader.rest()[-1] == "got one |two|"

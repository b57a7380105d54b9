"""A program that asks through a shared cache, as its lines of input say; one of several that a test starts.

`ask COUNT QUESTION` asks from as many threads; `loop` asks until the file `stop` is there; `chat QUESTION` and
`function ARGUMENT` use the configured cache; `fork QUESTION` asks in a child, too. Each answer is a line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import llmops_sdk as llmops
from llmops_sdk.caching import CacheProvider
from llmops_sdk.caching.backends import _postgres, _redis, _store, _worker
from llmops_sdk.config import CacheSettings, Timeout
from llmops_sdk.providers import Provider, Request, Response, WrapperProvider
from llmops_sdk.shared import _postgres_server, _redis_server

FOLDER = Path(os.environ["SHARED_TEST_FOLDER"])

if "SHARED_TEST_PATIENT" in os.environ:  # the machine may be slow, and a time-out would make a second call
    _store._WAIT = _worker._WAIT = 100.0
    _redis_server._TIMEOUT = _postgres_server._STATEMENT_SECONDS = _postgres_server._SILENT_SECONDS = 90.0
    for kind in (_postgres.PostgresBackend, _redis.RedisBackend):
        kind.__init__.__kwdefaults__["lease"] = 90.0


class Upstream(WrapperProvider):
    """Notes each call, and answers once the file `go` is there."""

    name = "script"

    def __init__(self) -> None:
        pass

    def complete(self, request: Request) -> Response:
        with (FOLDER / "calls").open("a") as file:
            file.write(f"{os.getpid()}\n")
        while not (FOLDER / "go").exists():
            threading.Event().wait(0.01)
        return Response(text=f"from {os.getpid()}", finish_reason="stop", model="m", provider="script")

    def close(self) -> None:
        pass


def say(**said: object) -> None:
    sys.stdout.write(json.dumps({"pid": os.getpid(), **said}) + "\n")
    sys.stdout.flush()


def ask(provider: Provider, question: str) -> None:
    request = Request(
        model="m", messages=[{"role": "user", "content": question}], timeout=Timeout(total=600.0, first_token=None)
    )
    answer = provider.complete(request)
    say(cache=answer.cache, text=answer.text)


def ask_in_threads(provider: Provider, count: int, question: str) -> None:
    threads = [threading.Thread(target=ask, args=(provider, question)) for _ in range(count)]
    for thread in threads:
        thread.start()
    say(asking=count)
    for thread in threads:
        thread.join()


def loop(provider: Provider) -> None:
    number = 0
    while not (FOLDER / "stop").exists():
        ask(provider, f"{os.getpid()} {number // 3}")
        number += 1
        threading.Event().wait(0.005)
    say(ended=number)


@llmops.cache(ttl=600)
def double(text: str) -> str:
    with (FOLDER / "calls").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return text * 2


def main() -> None:
    settings = llmops.settings()
    provider = CacheProvider(
        Upstream(), CacheSettings(exact=True, tags=("t",)), path=FOLDER / "cache", shared=settings.shared
    )
    for line in sys.stdin:
        command, _, rest = line.strip().partition(" ")
        if command == "ask":
            count, _, question = rest.partition(" ")
            ask_in_threads(provider, int(count), question)
        elif command == "loop":
            loop(provider)
        elif command == "chat":
            answer = llmops.chat(rest, model="offline/echo", cache={"exact": True, "semantic": {"mode": "serve"}})
            say(cache=answer.cache, text=answer.text)
        elif command == "function":
            say(text=double(rest))
        elif command == "fork":
            child = os.fork()
            ask(provider, rest)
            if not child:
                provider.close()
                os._exit(0)
            say(child=os.waitpid(child, 0)[1])
    provider.close()


main()

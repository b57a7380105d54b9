"""What an answer from the cache costs: ours, litellm's caches on disk and in memory, and LangChain's on SQLite.

Each asks a model in its own process that answers with the prompt at once, first once for each prompt, then again and
again: every measured call is a hit, and the model's calls are counted. Ours is `llmops.chat` with everything on as an
application has it: span, store on disk, redaction. "first in a process" are the hits of a process that finds the
answers on disk and reads each for the first time. litellm is an older version: newer ones have no cache on disk, and
their cache in memory fails without an audio library. The others run in environments made at first use under
`.venv/cache`. The parts take turns, each in a process of its own; the figures are medians over the rounds.

Run it with `make bench-cache`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PROMPTS = [f"Where is my card? I ordered it {n} days ago, and it has not come." for n in range(50)]
ROUNDS = 10
TURNS = 3


def timed(call: Callable[[str], object]) -> float:
    """Seconds of one call, over all prompts."""
    begin = time.perf_counter()
    for prompt in PROMPTS:
        call(prompt)
    return (time.perf_counter() - begin) / len(PROMPTS)


def rounds(call: Callable[[str], object]) -> list[float]:
    """Return the seconds of a call, one figure a round, after one round that does not count."""
    timed(call)
    return [timed(call) for _ in range(ROUNDS)]


def ours(folder: str) -> dict[str, list[float]]:
    """Measure `llmops.chat`; the first process of a folder only stores the answers."""
    import llmops_sdk as llmops

    llmops.configure(store={"path": f"{folder}/store"}, cache={"exact": True}, model="offline/echo")
    if not Path(f"{folder}/store/cache").exists():
        timed(llmops.chat)
        llmops.chat("Hello")
        return {}
    llmops.chat("Hello")  # opens everything
    first, found = timed(llmops.chat), []
    for _ in range(ROUNDS):
        found.append(timed(llmops.chat))
        assert llmops.flush(60).pending == 0
    assert llmops.query("SELECT count(*) FROM llm_calls WHERE cache IS NULL").scalar() == len(PROMPTS) + 1
    return {"llmops.chat": found, "llmops.chat, first in a process": [first]}


def litellm_cache(kind: str, folder: str) -> dict[str, list[float]]:
    """Measure `litellm.completion` with one kind of cache: "disk" or "local", which is in memory."""
    import litellm
    from litellm.caching.caching import Cache

    litellm.suppress_debug_info = True
    calls = 0

    class Model(litellm.CustomLLM):
        def completion(self, *args: Any, **kwargs: Any) -> Any:
            del args
            nonlocal calls
            calls += 1
            response = kwargs["model_response"]
            response.choices[0].message.content = kwargs["messages"][-1]["content"]
            response.choices[0].finish_reason = "stop"
            return response

    litellm.custom_provider_map = [{"provider": "bench", "custom_handler": Model()}]

    def ask(prompt: str) -> object:
        answer = litellm.completion(model="bench/x", messages=[{"role": "user", "content": prompt}], caching=True)
        assert answer.choices[0].message.content == prompt
        return answer

    litellm.cache = Cache(type=kind, **({"disk_cache_dir": f"{folder}/litellm"} if kind == "disk" else {}))
    found = rounds(ask)
    assert calls == len(PROMPTS), calls
    return {f"litellm, {'disk' if kind == 'disk' else 'memory'}": found}


def langchain(folder: str) -> dict[str, list[float]]:
    """Measure `invoke` of a chat model."""
    from langchain_community.cache import SQLiteCache
    from langchain_core.globals import set_llm_cache
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration, ChatResult

    calls = 0

    class Model(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "bench"

        def _generate(self, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> ChatResult:
            del stop, run_manager, kwargs
            nonlocal calls
            calls += 1
            return ChatResult(generations=[ChatGeneration(message=AIMessage(content=messages[-1].content))])

    set_llm_cache(SQLiteCache(database_path=f"{folder}/langchain.db"))
    model = Model()

    def ask(prompt: str) -> object:
        answer = model.invoke(prompt)
        assert answer.content == prompt
        return answer

    found = rounds(ask)
    assert calls == len(PROMPTS), calls
    return {"LangChain, SQLite": found}


PARTS: dict[str, Callable[[str], dict[str, list[float]]]] = {
    "ours": ours,
    "litellm": partial(litellm_cache, "local"),
    "litellm-disk": partial(litellm_cache, "disk"),
    "langchain": langchain,
}


def measured(part: str, python: Path, folder: str) -> dict[str, list[float]]:
    """Run a part in its own process and return its result."""
    answer = Path(folder) / "answer.json"
    command = [str(python), str(Path(__file__).resolve()), part, folder, str(answer)]
    # litellm asks the network for its prices else.
    environ = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    subprocess.run(command, check=True, timeout=900, cwd=folder, stdin=subprocess.DEVNULL, env=environ)
    return json.loads(answer.read_text())


def main() -> None:
    """Measure everything and print the table."""
    from environments import environment

    venvs = HERE.parent / ".venv" / "cache"
    litellm, langchain = (
        environment(HERE / "requirements-cache" / f"{name}.txt", venvs / name) for name in ("litellm", "langchain")
    )
    pythons = {"ours": Path(sys.executable), "litellm": litellm, "litellm-disk": litellm, "langchain": langchain}
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as kept:
        measured("ours", pythons["ours"], kept)  # stores the answers
        for _ in range(TURNS):
            for name, python in pythons.items():
                with tempfile.TemporaryDirectory() as folder:
                    for way, seconds in measured(name, python, kept if name == "ours" else folder).items():
                        found.setdefault(way, []).extend(seconds)
    fastest = min(statistics.median(found[name]) for name in ("litellm, disk", "LangChain, SQLite"))
    print("| an answer from the cache | µs | share of the fastest other on disk |\n|---|---|---|")
    for name, seconds in found.items():
        here = statistics.median(seconds)
        print(f"| {name} | {here * 1e6:.0f} | {here / fastest:.3f} |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[3]).write_text(json.dumps(PARTS[sys.argv[1]](sys.argv[2])))
    else:
        main()

"""The peers of the caching benchmark: each runs as a process in its own environment, and this file is its program.

The environments are made at first use under `.venv/caching` from the pins in `requirements-caching/`. A peer gets a
task as JSON on standard input and writes its result as JSON. GPTCache runs whole, with SQLite and faiss, its defaults,
and the vectors of the benchmark as its embedder. RedisVL needs a Redis server with search, so only its default
distance is read from the library, and the benchmark applies it. fow-cache judges decisions that were made before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["PEERS", "ask", "version_of"]

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".venv" / "caching"
TIMEOUT = 900  # seconds
PEERS = ("gptcache", "redisvl", "fow-cache")


def ask(peer: str, **task: Any) -> dict[str, Any]:
    """Return what a peer makes of a task.

    Args:
        peer: The name of the distribution.
        task: What its function below reads.
    """
    from environments import environment

    python = environment(HERE / "requirements-caching" / f"{peer}.txt", ENVIRONMENTS / peer)
    print(f"asking {peer}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [str(python), str(HERE / "caching_peers.py"), peer],
            input=json.dumps(task), capture_output=True, text=True, timeout=TIMEOUT, check=False, cwd=folder,
        )  # fmt: skip
    if done.returncode:
        sys.exit(f"{peer} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def version_of(peer: str) -> str:
    """Return the version of a peer that is pinned."""
    text = (HERE / "requirements-caching" / f"{peer}.txt").read_text("utf-8")
    return f"\n{text}".partition(f"\n{peer}==")[2].partition(" ")[0]


def _gptcache(task: dict[str, Any]) -> dict[str, Any]:
    """Serve a stream, and each pair from a cache with one entry, at the defaults of GPTCache."""
    import numpy
    from gptcache import Cache, Config
    from gptcache.adapter.api import get, put
    from gptcache.manager import CacheBase, VectorBase, get_data_manager
    from gptcache.processor.pre import get_prompt
    from gptcache.similarity_evaluation.distance import SearchDistanceEvaluation

    with numpy.load(task["vectors"]) as file:
        vectors = dict(zip(file["texts"].tolist(), file["vectors"], strict=True))

    def opened(folder: Path) -> Any:
        folder.mkdir()
        size = len(next(iter(vectors.values())))
        manager = get_data_manager(
            CacheBase("sqlite", sql_url=f"sqlite:///{folder}/sqlite.db"),
            VectorBase("faiss", dimension=size, index_path=str(folder / "faiss.index")),
        )
        cache = Cache()
        cache.init(
            pre_embedding_func=get_prompt,
            embedding_func=lambda text, **_: vectors[text],
            data_manager=manager,
            similarity_evaluation=SearchDistanceEvaluation(),
            config=Config(),
        )
        return cache

    hits = wrong = 0
    cache = opened(Path("stream"))
    for text, intent in task["stream"]:
        found = get(text, cache_obj=cache)
        if found is None:
            put(text, intent, cache_obj=cache)
        else:
            hits += 1
            wrong += found != intent
    served = []
    for number, (stored, asked) in enumerate(task["pairs"]):
        cache = opened(Path(f"pair{number}"))
        put(stored, "answer", cache_obj=cache)
        served.append(get(asked, cache_obj=cache) is not None)
    return {"hits": hits, "wrong": wrong, "served": served}


def _redisvl(_: dict[str, Any]) -> dict[str, Any]:
    """Return the default distance of RedisVL's cache: a stored question that is nearer is served."""
    import inspect

    from redisvl.extensions.cache.llm import SemanticCache

    return {"distance": inspect.signature(SemanticCache.__init__).parameters["distance_threshold"].default}


def _fow_cache(task: dict[str, Any]) -> dict[str, Any]:
    """Return the report of fow-cache on decisions, a list for each policy in the order of its pairs."""
    from fow_cache import evaluate

    reports = {}
    for name, decisions in task["decisions"].items():
        known = {(stored, asked): bool(served) for stored, asked, served in decisions}
        reports[name] = evaluate(lambda stored, asked, known=known: known[stored, asked]).to_dict()
    return reports


PROGRAMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "gptcache": _gptcache,
    "redisvl": _redisvl,
    "fow-cache": _fow_cache,
}


def _refuse(*_: object) -> None:
    raise OSError("a peer opens no connection")


def main() -> None:
    """Do the task on standard input, as the peer that the command line names."""
    import socket

    socket.socket.connect = _refuse  # pyright: ignore[reportAttributeAccessIssue]
    output, sys.stdout = sys.stdout, sys.stderr  # a library may print
    json.dump(PROGRAMS[sys.argv[1]](json.load(sys.stdin)), output)


if __name__ == "__main__":
    main()

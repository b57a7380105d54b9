"""The peers of the routing benchmark: each runs as a process in its own environment, and this file is its program.

The environments are made at first use under `.venv/routing`, or the folder in LLMOPS_BENCH_PEERS, from the pins in
`requirements-routing/`. A peer gets a task as JSON on standard input, with arrays in a file, and writes its result as
JSON. Both get the vectors of the benchmark, since their own encoders need a download or an account.

ParetoBandit learns online from the score of the model that it chose: cold, as its documentation says for models of
one's own. semantic-router sends prompts to routes by their utterances. A route is a kind of prompts here, with all
scored prompts of the kind as its utterances; what the kind is worth comes from their scores.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["ask", "version_of"]

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = Path(os.environ.get("LLMOPS_BENCH_PEERS") or HERE.parent / ".venv" / "routing")
TIMEOUT = 3_600  # seconds


def ask(peer: str, **task: Any) -> dict[str, Any]:
    """Return what a peer makes of a task.

    Args:
        peer: The name of the distribution.
        task: What its function below reads.
    """
    from environments import environment

    python = environment(HERE / "requirements-routing" / f"{peer}.txt", ENVIRONMENTS / peer)
    print(f"asking {peer}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [str(python), str(HERE / "routing_peers.py"), peer],
        input=json.dumps(task), capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{peer} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def version_of(peer: str) -> str:
    """Return the version of a peer that is pinned."""
    text = (HERE / "requirements-routing" / f"{peer}.txt").read_text("utf-8")
    return f"\n{text}".partition(f"\n{peer}==")[2].partition(" ")[0]


def _paretobandit(task: dict[str, Any]) -> dict[str, Any]:
    """Serve each order of the prompts with each ceiling of cost; return the chosen models' numbers."""
    import numpy as np
    from pareto_bandit import BanditRouter, FeatureService

    with np.load(task["arrays"]) as file:
        features, scores, prices = file["features"], file["scores"], file["prices"]
    models = [f"model{at}" for at in range(scores.shape[-1])]
    # A call is taken to have 1,000 tokens, so that the price of a thousand tokens is the mean cost of a call.
    registry = {
        model: {"input_cost_per_m": float(price) * 1_000, "output_cost_per_m": float(price) * 1_000}
        for model, price in zip(models, prices, strict=True)
    }
    chosen: dict[str, list[list[int]]] = {}
    for name, ceiling in task["ceilings"].items():
        chosen[name] = []
        for order, seen in zip(task["orders"], scores, strict=True):
            router = BanditRouter.create(
                model_registry=registry,
                priors="none",
                feature_service=FeatureService.for_precomputed(features.shape[1]),
                bandit_seed=0,
            )
            picks: list[int] = []
            for place, row in enumerate(order):
                model, log = router.route(features[row], max_cost=ceiling)
                picks.append(models.index(model))
                router.process_feedback(log.request_id, float(seen[place, picks[-1]]))
            chosen[name].append(picks)
    return {"chosen": chosen}


def _semantic_router(task: dict[str, Any]) -> dict[str, Any]:
    """Return the route of each prompt of each fold, by the utterances of the other folds."""
    import numpy as np
    from semantic_router import IndexedRouter, Route
    from semantic_router.encoders import DenseEncoder

    with np.load(task["arrays"]) as file:
        vectors = file["vectors"]

    class Vectors(DenseEncoder):
        """Texts are the numbers of the prompts."""

        name: str = "vectors"

        def __call__(self, docs: list[Any]) -> list[list[float]]:
            return [vectors[int(doc)].tolist() for doc in docs]

    routes: list[str | None] = [None] * len(vectors)
    for fold in sorted(set(task["fold"])):
        utterances: dict[str, list[str]] = {}
        for row, kind in enumerate(task["kinds"]):
            if task["fold"][row] != fold:
                utterances.setdefault(kind, []).append(str(row))
        router = IndexedRouter(
            routes=[Route(name=kind, utterances=rows) for kind, rows in utterances.items()], encoder=Vectors()
        )
        for row, own in enumerate(task["fold"]):
            if own == fold:
                found = router(str(row))
                routes[row] = None if found is None else found.name
    return {"routes": routes}


PROGRAMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "paretobandit": _paretobandit,
    "semantic-router": _semantic_router,
}

if __name__ == "__main__":
    print(json.dumps(PROGRAMS[sys.argv[1]](json.load(sys.stdin))))

"""Peers beside the semantic tier in one run: the same stream, pairs and traps, with the same MiniLM vectors."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from caching_data import Pair, Sets, every_pair
from caching_peers import ask
from caching_quality import judged
from caching_streams import cosine
from guardrails_tables import Results, Share, table

from llmops_sdk.embeddings import Embedder

__all__ = ["peers"]


def peers(results: Results, sets: Sets, embedders: dict[str, Embedder]) -> None:
    """Measure GPTCache, RedisVL's distance and the defaults of the tier; let fow-cache judge the tier."""
    embedder = embedders["MiniLM"]
    pairs = [*sets.pairs, *sets.swaps[:200]]
    texts = sorted({text for text, _ in sets.test} | {text for pair in pairs for text in pair[:2]})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vectors.npz"
        np.savez(path, texts=np.array(texts), vectors=embedder.embed(texts))
        stream = sets.test[:2_000]
        gptcache = ask("gptcache", vectors=str(path), stream=stream, pairs=[pair[:2] for pair in pairs])
    distance = float(ask("redisvl")["distance"])
    fixed = cosine(embedder, stream, 1 - distance)
    found = judged(pairs, embedder)
    served = {
        "GPTCache, its defaults": gptcache["served"],
        f"RedisVL's default distance {distance:g}": [one.neighbour.similarity >= 1 - distance for one in found],
        "llmops-sdk, the defaults": [one.comparison.decision == "same" for one in found],
    }
    streams = {
        "GPTCache, its defaults": (gptcache["hits"], gptcache["wrong"]),
        f"RedisVL's default distance {distance:g}": (fixed.hits, fixed.wrong),
    }
    rows = []
    for name, decisions in served.items():
        hits, wrong = streams.get(name, (None, 0))
        rows.append(
            (
                name,
                *(_share(pairs, decisions, same, kind="") for same in (True, False)),
                _share(pairs, decisions, False, kind="swap"),
                "" if hits is None else f"{hits / len(stream):.3f}",
                "" if hits is None else f"{wrong / max(1, hits):.4f}",
            )
        )
        results.peer("fow hidden, MiniLM, traps served at the defaults", name, _share(pairs, decisions, False, kind=""))
    head = ("cache", "fow hidden, same served", "traps served", "swaps served", "BANKING77 served", "errors among hits")
    results.table("Peers at their defaults, MiniLM vectors", table(head, rows))
    _outside_judge(results, embedders)


def _share(pairs: list[Pair], decisions: list[bool], same: bool, *, kind: str) -> Share:
    chosen = [
        served
        for pair, served in zip(pairs, decisions, strict=True)
        if pair.same is same and (pair.category == "swap") is bool(kind)
    ]
    return Share(sum(chosen), len(chosen))


def _outside_judge(results: Results, embedders: dict[str, Embedder]) -> None:
    """Let the package fow-cache score the defaults on all of its pairs, of which the rules know half."""
    pairs = every_pair()
    decisions = {
        name: [
            (*pair[:2], one.comparison.decision == "same")
            for pair, one in zip(pairs, judged(pairs, embedder), strict=True)
        ]
        for name, embedder in embedders.items()
    }
    reports = ask("fow-cache", decisions=decisions)
    rows = [
        (name, f"{report['hit_rate']:.3f}", f"{report['wrong_rate']:.3f}", report["n"])
        for name, report in reports.items()
    ]
    head = ("embedder", "should-hit served", "traps given a wrong answer", "pairs")
    results.table(
        "fow-cache's own report at the defaults (the rules were written with half in view)", table(head, rows)
    )

"""What the semantic tier serves, and how much of that is wrong: streams, pairs, traps, conversations."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench_embeddings import area_under_curve
from caching_data import Pair, Sets
from caching_streams import Served, Shadows, choose_threshold, cosine, frozen, online, opened
from guardrails_tables import Results, Share, table

from llmops_sdk.caching import SemanticCache
from llmops_sdk.caching.semantic._decide import Judged, decide
from llmops_sdk.caching.semantic._neighbours import Neighbour
from llmops_sdk.caching.semantic._scope import Question
from llmops_sdk.caching.semantic.lexical import (
    analyse,
    analyse_conversation,
    compare_analysed,
    compare_conversations,
)
from llmops_sdk.embeddings import Embedder, vocabulary

__all__ = ["MOST", "conversations", "outside", "pairs", "predictions", "rankings", "streams", "swaps"]

Embedders = dict[str, Embedder]
MOST = 0.02
"""The share of wrong answers among hits that the streams aim at."""
_WINDOW = 2_000
_ASKED_FOR_RANKING = 1_500


def _row(name: str, embedder: str, served: Served) -> tuple[object, ...]:
    threshold = "" if served.threshold is None else f"{served.threshold:.3f}"
    return name, embedder, f"{served.rate:.3f}", f"{served.error:.4f}", f"{served.entries:,}", threshold


def streams(results: Results, sets: Sets, embedders: Embedders, shadows: Shadows) -> None:
    """Measure BANKING77's test half as a stream: a frozen threshold, the bound from a cold start, a fixed cosine."""
    rows: list[tuple[object, ...]] = []
    for name, embedder in embedders.items():
        threshold = choose_threshold(embedder, sets.design, shadows.of(name, embedder).looks, MOST)
        with opened(embedder, serve=False) as store:
            served = frozen(store, sets.test, threshold)
        rows.append(_row("score from the design half", name, served))
        results.share(f"stream {name}, frozen score, served", Share(served.hits, served.questions))
        results.share(f"stream {name}, frozen score, errors among hits", Share(served.wrong, served.hits))
        for most in (0.02, 0.05):
            whole, late, certified = online(embedder, sets.test, most)
            rows.append(_row(f"max_error={most:g}, cold start", name, whole))
            rows.append(_row("the second half of it", name, late))
            rows.append(_row("all of it, by score", name, certified))
            stream = f"stream {name}, max_error={most:g}"
            results.share(f"{stream}, errors among hits", Share(whole.wrong, whole.hits))
            if certified.hits:
                results.share(f"{stream}, errors among hits by score", Share(certified.wrong, certified.hits))
        for fixed in (0.90, 0.95):
            served = cosine(embedder, sets.test, fixed)
            rows.append(_row(f"fixed cosine {fixed:.2f}", name, served))
            results.peer(f"stream {name}, frozen score, served", f"cosine {fixed:.2f}", f"{served.rate:.3f}")
            errors = f"stream {name}, frozen score, errors among hits"
            results.peer(errors, f"cosine {fixed:.2f}", f"{served.error:.4f}")
    head = ("policy", "embedder", "served", "errors among hits", "entries", "lowest score served")
    results.table(f"BANKING77, {len(sets.test):,} questions as a stream", table(head, rows))


def predictions(results: Results, sets: Sets, embedders: Embedders, shadows: Shadows) -> None:
    """Compare what shadow mode predicts with what serving then gives, with the same store."""
    rows: list[tuple[object, ...]] = []
    for name, embedder in embedders.items():
        folder, looks = shadows.of(name, embedder)
        with tempfile.TemporaryDirectory() as made:
            copy = shutil.copytree(folder, Path(made) / "copy")
            with SemanticCache(embedder, max_error=MOST, path=copy) as cache:
                threshold = _certified(cache)
                served = _serve(cache, sets.test[:_WINDOW])
        last = looks[-_WINDOW:]
        # By the score that is certified now: at the time of most of these questions, none or a higher one was.
        lowest = 1.0 if threshold is None else threshold
        would = [look for look in last if look is not None and look.score >= lowest]
        predicted = Served(len(last), len(would), sum(not look.right for look in would), len(looks))
        for what, one in (("predicted", predicted), ("served", served)):
            rows.append((name, what, f"{one.rate:.3f}", f"{one.error:.4f}", f"{one.questions:,}"))
        gap = abs(predicted.error - served.error)
        results.value(f"shadow {name}, gap of the errors among hits", gap, served.hits)
        results.value(f"shadow {name}, gap of the hit rate", abs(predicted.rate - served.rate), served.questions)
    head = ("embedder", "", "hit rate", "errors among hits", "questions")
    results.table("Shadow mode on the design half, then serving on the test half", table(head, rows))


def _certified(cache: SemanticCache) -> float | None:
    """Return the lowest score that the labels certify, also while serving rests for a change that seems likely."""
    bound = cache._store._worker.run("benchmark", None, lambda tier: tier.bound())
    return None if bound is None else bound.certified


def _serve(cache: SemanticCache, rows: Sequence[tuple[str, str]]) -> Served:
    hits = wrong = 0
    for text, intent in rows:
        hit = cache.get(text)
        if hit is None:
            cache.put(text, intent)
        else:
            hits += 1
            wrong += hit.value != intent
    return Served(len(rows), hits, wrong, cache.stats().entries)


def judged(found: Sequence[Pair], embedder: Embedder) -> list[Judged]:
    """Return what `decide` says of each pair, where the stored text is the only one."""
    words = vocabulary()
    stored, asked = (embedder.embed([pair[place] for pair in found]) for place in (0, 1))
    similarities = np.vecdot(stored, asked).tolist()
    out: list[Judged] = []
    for pair, similarity in zip(found, similarities, strict=True):
        one = Neighbour(id=0, group=0, text=pair.stored, earlier="", similarity=similarity, stored_at=0.0)
        said = compare_analysed(
            analyse(pair.asked, vocabulary=words),
            analyse(pair.stored, vocabulary=words),
            similarity=similarity,
            vocabulary=words,
        )
        out += decide([one], lambda _, said=said: said).all
    return out


def _order(one: Judged) -> float:
    return one.score + (one.comparison.decision == "same")


def served_at(scores: Any, same: Any, share: float) -> tuple[float, Any]:
    """Return the threshold at which at most a share of the traps is served, and who is served above it."""
    traps = np.sort(scores[~same])[::-1]
    threshold = traps[min(int(share * len(traps)), len(traps) - 1)]
    return threshold, scores > threshold


def _of(served: Any, those: Any) -> Share:
    return Share(int((served & those).sum()), int(those.sum()))


def pairs(results: Results, sets: Sets, embedders: Embedders) -> None:
    """Measure the hidden half of fow: served at some share of traps, by kind, and at the defaults."""
    same = np.array([pair.same for pair in sets.pairs])
    kinds = sorted({pair.category for pair in sets.pairs})
    rows: list[tuple[object, ...]] = []
    by_kind: list[tuple[object, ...]] = []
    for name, embedder in embedders.items():
        found = judged(sets.pairs, embedder)
        scores = np.array([_order(one) for one in found])
        similarities = np.array([one.neighbour.similarity for one in found])
        for what, values in (("score", scores), ("cosine", similarities)):
            chosen = [served_at(values, same, share)[1] for share in (0.01, 0.02, 0.05)]
            auc = area_under_curve(values.tolist(), same.tolist())
            rows.append((name, what, f"{auc:.3f}", *(_of(one, same) for one in chosen)))
            for share, one in zip((1, 2, 5), chosen, strict=True):
                figure = f"fow hidden, {name}, served at {share} % of traps"
                if what == "score":
                    results.share(figure, _of(one, same))
                else:
                    results.peer(figure, "cosine", f"{one[same].mean():.3f}")
        default = np.array([one.comparison.decision == "same" for one in found])
        one = served_at(scores, same, 0.01)[1]
        for kind in kinds:
            of = np.array([pair.category == kind for pair in sets.pairs])
            counts = (_of(chosen, of) for chosen in (one, default))
            by_kind.append((name, kind, "same" if same[of].all() else "traps", *counts))
            if kind == "near_repeat":
                results.share(f"fow hidden, {name}, near repeats at 1 % of traps", _of(one, of))
        results.share(f"fow hidden, {name}, served at the defaults", _of(default, same))
        results.share(f"fow hidden, {name}, traps served at the defaults", _of(default, ~same))
    head = ("embedder", "ordered by", "AUC", "served at ≤ 1 % traps", "≤ 2 %", "≤ 5 %")
    results.table(f"fow, hidden half: {len(sets.pairs)} pairs", table(head, rows))
    results.table("By kind", table(("embedder", "kind", "", "served at ≤ 1 % traps", "at the defaults"), by_kind))


def conversations(results: Results, sets: Sets) -> None:
    """Measure the hidden half of fow's conversations, at the defaults with `history = "facts"`."""
    words = vocabulary()
    rows: dict[tuple[bool, str], list[bool]] = {}
    for talk in sets.conversations:
        one, other = (analyse_conversation(talk[side], vocabulary=words) for side in ("b", "a"))
        served = compare_conversations(one, other, similarity=0.95, vocabulary=words).decision == "same"
        rows.setdefault((bool(talk["same_answer"]), talk["subtype"]), []).append(served)
    for same, name in ((True, "repeats served"), (False, "traps served")):
        every = [served for (label, _), found in rows.items() for served in found if label is same]
        results.share(f"fow hidden, conversations, {name}", Share(sum(every), len(every)))
    body = [
        (kind, "same" if same else "traps", Share(sum(found), len(found)))
        for (same, kind), found in sorted(rows.items(), reverse=True)
    ]
    results.table("Conversations of fow, hidden half", table(("kind", "", "served"), body))


def outside(results: Results, sets: Sets, embedders: Embedders) -> None:
    """Measure how many questions of no intent are served, by wording alone and by what labels certify."""
    rows: list[tuple[object, ...]] = []
    for name, embedder in embedders.items():
        with tempfile.TemporaryDirectory() as folder, SemanticCache(embedder, max_error=MOST, path=folder) as cache:
            known = _serve(cache, sets.clinc)
            hits = [cache.get(text) for text in sets.outside]
            stats = cache.stats()
        reasons = [hit.reason for hit in hits if hit is not None]
        by_wording = Share(sum(reason in {"equal", "wording"} for reason in reasons), len(hits))
        certified = Share(len(reasons), len(hits))
        results.share(f"CLINC150 out of scope, {name}, served at the defaults", by_wording)
        results.share(f"CLINC150 out of scope, {name}, served after certification", certified)
        rows.append(
            (name, by_wording, certified, stats.threshold, Share(known.hits, known.questions), f"{known.error:.4f}")
        )
    head = ("embedder", "without labels", f"max_error={MOST:g}", "lowest score", "in scope served", "errors")
    results.table(f"CLINC150: out of scope after {len(sets.clinc):,} questions in scope", table(head, rows))


def swaps(results: Results, sets: Sets, embedders: Embedders) -> None:
    """Measure the traps of exchanged words."""
    rows: list[tuple[object, ...]] = []
    for name, embedder in embedders.items():
        found = judged(sets.swaps, embedder)
        served = Share(sum(one.comparison.decision == "same" for one in found), len(found))
        refused = Share(sum(one.is_refused for one in found), len(found))
        near = Share(sum(one.neighbour.similarity >= 0.95 for one in found), len(found))
        results.share(f"word swaps, {name}, served at the defaults", served)
        results.peer(f"word swaps, {name}, served at the defaults", "cosine 0.95", f"{near.value:.3f}")
        rows.append((name, served, refused, near))
    head = ("embedder", "served at the defaults", "never served", "cosine .95 serves")
    results.table("Two nouns exchanged", table(head, rows))


def rankings(results: Results, sets: Sets, embedders: Embedders, shadows: Shadows) -> None:
    """Measure how well scores tell stored questions of the same intent from others, among the nearest five.

    An intent is wider than an answer: "my card is lost" and "my card is not lost" have the same one. So the words
    refuse pairs that count as right here, and the score of these is 0.
    """
    rows: list[tuple[object, ...]] = []
    intents = dict(sets.design)
    for name, embedder in embedders.items():
        found: list[tuple[float, float, float, bool, bool]] = []
        with opened(embedder, shadows.of(name, embedder).folder, serve=False) as store:
            for text, intent in sets.test[:_ASKED_FOR_RANKING]:
                for one in store.verdict(Question("", text), 5)[0].all:
                    same = intents[one.neighbour.text] == intent
                    scores = one.score, one.comparison.score, one.neighbour.similarity
                    found.append((*scores, same, one.is_refused))
        able = [one for one in found if not one[4]]
        whole, alone = (_areas(chosen) for chosen in (found, able))
        results.value(f"AUC of the nearest five, {name}, by score", whole[0], len(found))
        results.value(f"AUC of the nearest five, {name}, by words", whole[1], len(found))
        results.value(f"AUC of the nearest five that words do not refuse, {name}", alone[0], len(able))
        for figure in ("AUC of the nearest five, {}, by score", "AUC of the nearest five, {}, by words"):
            results.peer(figure.format(name), "cosine", f"{whole[2]:.3f}")
        results.peer(f"AUC of the nearest five that words do not refuse, {name}", "cosine", f"{alone[2]:.3f}")
        share = 1 - len(able) / len(found)
        areas = (f"{area:.3f}" for area in (*whole, *alone))
        rows.append((name, *areas, f"{len(found):,}", f"{share:.3f}"))
    columns = ("score", "words", "cosine")
    head = ("embedder", *columns, *(f"{one}, not refused" for one in columns), "pairs", "refused by words")
    results.table("AUC: same intent or another, the five nearest on BANKING77", table(head, rows))


def _areas(found: Sequence[tuple[float, float, float, bool, bool]]) -> list[float]:
    return [area_under_curve([one[place] for one in found], [one[3] for one in found]) for place in range(3)]

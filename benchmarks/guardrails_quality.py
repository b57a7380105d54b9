"""What the guards and their peers find, and what they find where nothing is: injections, personal data, secrets."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from guardrails_peers import ask
from guardrails_sets import (
    POOL,
    Planted,
    TextSet,
    clean_lines,
    disguised,
    embedded_spans,
    injection_sets,
    known_secrets,
    other_secrets,
    pii_rows,
    pinned_lines,
)
from guardrails_tables import Demand, Results, Share, table

from llmops_sdk.guardrails import Detector, GuardContext
from llmops_sdk.guardrails.detectors import InjectionDetector, PiiDetector, SecretsDetector
from llmops_sdk.guardrails.detectors.pii._pii import KINDS

__all__ = ["disguises", "injection", "pii", "secrets"]

CONTEXT = GuardContext(rail="input")
SAMPLES = {True: 120, False: 200}
"""The most texts of a set that slow peers read: attacks, and harmless texts."""
FPR = 0.01
ENTITIES = {
    "CREDIT_CARD": "CARD", "PHONE_NUMBER": "PHONE", "EMAIL_ADDRESS": "EMAIL", "DOMAIN_NAME": "URL", "IBAN_CODE": "IBAN",
    "US_SSN": "US_SSN", "IP_ADDRESS": "IP", "STREET_ADDRESS": "ADDRESS", "EMAIL": "EMAIL", "PHONE": "PHONE",
    "SSN": "US_SSN", "IPV4": "IP", "IPV6": "IP", "URL": "URL",
}  # fmt: skip
"""The kinds of the labels and of the peers, as the detector names them."""
LEAST_F1 = {"PHONE": 0.80, "CARD": 0.95}
"""What is demanded whatever Presidio reaches; otherwise as much as Presidio."""

Spans = Sequence[tuple[str, int, int]]


class Scorer(NamedTuple):
    """A detector's scores of each set, and the score from which it acts."""

    name: str
    scores: Mapping[str, Sequence[float]]
    threshold: float


def share(scores: Iterable[float], threshold: float) -> Share:
    """Return the share of scores that reach a threshold."""
    found = [score >= threshold for score in scores]
    return Share(sum(found), len(found))


def pool_threshold(scores: Mapping[str, Sequence[float]]) -> float:
    """Return the lowest threshold at which 1 % of the harmless pool is flagged, read off the pool itself."""
    pool = sorted((score for name in POOL for score in scores[name]), reverse=True)
    return pool[int(len(pool) * FPR)] + 1e-9


def injection(results: Results, data: Path, outside: Path, *, peers: bool) -> None:
    """Measure recall and false positives of injections."""
    detector = InjectionDetector()
    sets = injection_sets(data, outside)
    scores = {name: [detector.score(text, one.rail) for text in one.texts] for name, one in sets.items()}
    results.note(f"Injection model {detector.version}, threshold {detector.threshold:.4f}, the one that ships with it.")
    limit = pool_threshold(scores)
    rows = []
    for name, one in [*sets.items(), ("pool", TextSet("pool", False, []))]:
        found = scores.get(name) or [score for part in POOL for score in scores[part]]
        rate = share(found, detector.threshold)
        results.share(("recall " if one.is_attack else "flagged ") + name, rate)
        rows.append(("recall" if one.is_attack else "flagged", name, rate, share(found, limit), one.goals))
    both = [score for kind in ("direct", "indirect") for score in scores[f"PurpleLlama {kind}"]]
    results.share("recall PurpleLlama", share(both, detector.threshold))
    rows.append(("recall", "PurpleLlama, both", share(both, detector.threshold), share(both, limit), ".08, .20"))
    results.table(
        "Injection, whole sets",
        table(
            ("", "set", "at the shipped threshold", f"at 1 % of the pool ({limit:.4f})", "at least, ambitious"),
            sorted(rows, key=lambda row: row[0]),
        ),
    )
    hijacks = sets["Tensor Trust hijacking"].texts
    alone = [
        text
        for text, score in zip(hijacks, scores["Tensor Trust hijacking"], strict=True)
        if score >= detector.threshold
    ]
    _offsets(results, detector, embedded_spans(sets, alone[:300]))
    if peers:
        _injection_peers(results, sets, scores, detector.threshold)


def _offsets(results: Results, detector: InjectionDetector, spans: Sequence[tuple[str, int, int]]) -> None:
    """Measure whether attacks that are found alone are also found in a mail, and how well the findings fit them."""
    hits = inside = length = found_in = 0
    for text, start, end in spans:
        detection = detector.detect(text, CONTEXT)
        found_in += detection.found
        shared = [max(0, min(one.end, end) - max(one.start, start)) for one in detection.findings]
        hits += any(shared)
        inside += sum(shared)
        length += sum(one.end - one.start for one in detection.findings)
    results.table(
        "Attacks of Tensor Trust that are found alone, in mails",
        table(
            (
                "mails flagged",
                "with a finding on the attack",
                "characters of findings on it",
            ),
            [(Share(found_in, len(spans)), Share(hits, found_in), Share(inside, length))],
        ),
    )


def _injection_peers(
    results: Results, sets: Mapping[str, TextSet], scores: Mapping[str, Sequence[float]], threshold: float
) -> None:
    draw = random.Random(0)
    sets = {name: one for name, one in sets.items() if not name.startswith("held rows")}
    sizes = {name: min(len(one.texts), SAMPLES[one.is_attack]) for name, one in sets.items()}
    chosen = {name: sorted(draw.sample(range(len(one.texts)), sizes[name])) for name, one in sets.items()}
    order = [(name, place) for name, places in chosen.items() for place in places]
    texts = [sets[name].texts[place] for name, place in order]
    scorers = [Scorer("ours", {name: [scores[name][place] for place in chosen[name]] for name in sets}, threshold)]
    for peer in ("stackone-defender", "turbocloak"):
        found = ask(peer, ways=["injection"], texts=texts)["injection"]["texts"]
        by_set: dict[str, list[tuple[bool, float]]] = {name: [] for name in sets}
        for (name, _), (flagged, score, _) in zip(order, found, strict=True):
            by_set[name].append((flagged, score))
        verdicts = {name: [float(flagged) for flagged, _ in ones] for name, ones in by_set.items()}
        scorers.append(Scorer(f"{peer}, its default", verdicts, 0.5))
        if len({score for ones in by_set.values() for _, score in ones}) > len(texts) // 4:
            ranked = {name: [score for _, score in ones] for name, ones in by_set.items()}
            scorers.append(Scorer(f"{peer}, 1 % of the pool", ranked, pool_threshold(ranked)))
    scorers.insert(1, Scorer("ours, 1 % of the pool", scorers[0].scores, pool_threshold(scorers[0].scores)))
    rows = []
    for name, one in sets.items():
        shares = (share(scorer.scores[name], scorer.threshold) for scorer in scorers)
        rows.append(("recall" if one.is_attack else "flagged", name, *shares))
    pools = [[score for name in POOL for score in scorer.scores[name]] for scorer in scorers]
    shares = (share(pool, scorer.threshold) for pool, scorer in zip(pools, scorers, strict=True))
    rows.append(("flagged", "pool", *shares))
    results.table(
        "Injection, the same samples for all",
        table(("", "set", *(scorer.name for scorer in scorers)), sorted(rows, key=lambda row: row[0])),
    )
    by_name = {name: rates for _, name, *rates in rows}
    parts = (by_name["PurpleLlama direct"], by_name["PurpleLlama indirect"])
    both = [Share(one.count + other.count, one.total + other.total) for one, other in zip(*parts, strict=True)]
    for kind, name, *rates in [*rows, ("recall", "PurpleLlama", *both)]:
        for scorer, rate in zip(scorers, rates, strict=True):
            if not scorer.name.startswith("ours"):
                results.peer(f"{kind} {name}", scorer.name, f"{rate.value:.3f}")


class Tally(NamedTuple):
    """Right, missed and false findings by kind."""

    right: Counter[str]
    missed: Counter[str]
    false: Counter[str]

    def f1(self, kind: str) -> float:
        """Return the F1 of a kind."""
        right = 2 * self.right[kind]
        return right / max(1, right + self.missed[kind] + self.false[kind])

    def cells(self, kind: str) -> tuple[str, ...]:
        """Return F1, recall and precision."""
        right = self.right[kind]
        recall, precision = Share(right, right + self.missed[kind]), Share(right, right + self.false[kind])
        return f"{self.f1(kind):.2f}", str(recall), str(precision)


def _overlap(one: tuple[str, int, int], other: tuple[str, int, int]) -> bool:
    return one[0] == other[0] and one[1] < other[2] and other[1] < one[2]


def tally(rows: Sequence[Spans], found: Sequence[Spans]) -> Tally:
    """Return how the findings compare with the labels; a finding counts if it overlaps a label of its kind."""
    result = Tally(Counter(), Counter(), Counter())
    for gold, places in zip(rows, found, strict=True):
        for label in gold:
            kept = result.right if any(_overlap(label, one) for one in places) else result.missed
            kept[label[0]] += 1
        result.false.update(one[0] for one in places if not any(_overlap(label, one) for label in gold))
    return result


def _renamed(places: Iterable[tuple[str, int, int]]) -> Spans:
    return [(ENTITIES.get(kind, kind), start, end) for kind, start, end in places]


def pii(results: Results, data: Path, *, peers: bool) -> None:
    """Measure precision and recall of personal data."""
    rows = pii_rows(data)
    texts = [row["full_text"] for row in rows]
    labels = [
        [
            (ENTITIES[one["entity_type"]], one["start_position"], one["end_position"])
            for one in row["spans"]
            if one["entity_type"] in ENTITIES
        ]
        for row in rows
    ]
    detector = PiiDetector(kinds=tuple(KINDS))
    found = [[(one.kind, one.start, one.end) for one in detector.detect(text, CONTEXT).findings] for text in texts]
    tallies = {"ours": tally(labels, found)}
    for peer in ("presidio-analyzer", "turbocloak") if peers else ():
        answers = ask(peer, ways=["pii"], texts=texts)["pii"]["texts"]
        tallies[peer] = tally(labels, [_renamed(places) for _, _, places in answers])
    counts = Counter(label[0] for gold in labels for label in gold)
    head = [f"{name}: {what}" for name in tallies for what in ("F1", "recall", "precision")]
    body = [
        (kind, str(count), *(cell for one in tallies.values() for cell in one.cells(kind)))
        for kind, count in sorted(counts.items())
    ]
    results.table(f"Personal data, {len(rows)} texts", table(("kind", "labels", *head), body))
    for kind, count in sorted(counts.items()):
        results.value(f"F1 {kind}", tallies["ours"].f1(kind), count)
        theirs = tallies["presidio-analyzer"].f1(kind) if peers else 0.0
        results.demands.append(Demand(f"F1 {kind}", max(theirs, LEAST_F1.get(kind, 0.0))))
        if peers:
            results.peer(f"F1 {kind}", "presidio-analyzer", f"{theirs:.3g}")


def secrets(results: Results, *, peers: bool) -> None:
    """Measure recall of secrets, and what is flagged in lines that have none."""
    detector = SecretsDetector()
    sets: dict[str, list[Planted]] = {
        "formats of the table": known_secrets(),
        "other formats": other_secrets(),
        "clean lines": [Planted("", line) for line in clean_lines()],
        "lines with digests": [Planted("", line) for line in pinned_lines()],
    }
    texts = [one.text for ones in sets.values() for one in ones]
    verdicts: dict[str, list[bool]] = {"ours": [detector.detect(text, CONTEXT).found for text in texts]}
    for peer in ("detect-secrets", "turbocloak") if peers else ():
        ways = ["secrets"] if peer == "turbocloak" else ["patterns", "all plugins"]
        for way, answer in ask(peer, ways=ways, texts=texts).items():
            verdicts[f"{peer}, {way}"] = [flagged for flagged, _, _ in answer["texts"]]
    rows, at = [], 0
    for name, ones in sets.items():
        flagged = {who: found[at : at + len(ones)] for who, found in verdicts.items()}
        at += len(ones)
        formats = len({one.name for one in ones if one.name})
        shares = {who: Share(sum(found), len(found)) for who, found in flagged.items()}
        rows.append((name, str(formats or ""), *shares.values()))
        results.share(f"secrets {name}", shares["ours"])
        if peers:
            results.peer(f"secrets {name}", "detect-secrets, patterns", shares["detect-secrets, patterns"])
        if formats:
            whole = (_whole(ones, found) for found in flagged.values())
            rows.append(("… formats of which all are found", str(formats), *(Share(one, formats) for one in whole)))
    results.table("Secrets", table(("set", "formats", *verdicts), rows))


def disguises(results: Results, *, peers: bool) -> None:
    """Measure what is found of values in disguise."""
    ours: dict[str, tuple[Detector, str]] = {
        "email": (PiiDetector(), "EMAIL"), "card": (PiiDetector(), "CARD"), "key": (SecretsDetector(), "SECRET"),
    }  # fmt: skip
    asked = {
        "presidio-analyzer": {"email": "pii", "card": "pii"},
        "detect-secrets": {"key": "patterns"},
        "turbocloak": {"email": "pii", "card": "pii", "key": "secrets"},
    }
    rows = []
    pairs = disguised(1, pairs=True)
    for kind, ones in disguised().items():
        found, of_pairs = ([_finds(*ours[kind], one.text) for one in some] for some in (ones, pairs[kind]))
        row: list[object] = [_whole(ones, found), Share(sum(found), len(found)), Share(sum(of_pairs), len(of_pairs))]
        results.value(f"disguises {kind}", _whole(ones, found), len({one.name for one in ones}))
        for peer, ways in asked.items() if peers else ():
            if kind not in ways:
                row += ["", ""]
                continue
            answers = ask(peer, ways=[ways[kind]], texts=[one.text for one in ones])[ways[kind]]["texts"]
            hits = [flagged if kind == "key" else _has(places, ours[kind][1]) for flagged, _, places in answers]
            row += [_whole(ones, hits), Share(sum(hits), len(hits))]
            results.peer(f"disguises {kind}", peer, str(row[-2]))
        rows.append((kind, *row))
    head = ["ours: disguises of 20", "ours: values", "ours: pairs of disguises"]
    head += [f"{peer}: {what}" for peer in asked if peers for what in ("disguises of 20", "values")]
    results.table("Disguises, five values each", table(("value", *head), rows))


def _finds(detector: Detector, label: str, text: str) -> bool:
    return any(one.kind.startswith(label) for one in detector.detect(text, CONTEXT).findings)


def _has(places: Iterable[tuple[str, int, int]], label: str) -> bool:
    return any(kind == label for kind, _, _ in _renamed(places))


def _whole(ones: Sequence[Planted], found: Sequence[bool]) -> int:
    """Return the number of disguises or formats of which all values are found."""
    missed = {one.name for one, hit in zip(ones, found, strict=True) if not hit}
    return len({one.name for one in ones} - missed)

"""Windows of texts for the benchmark of drift, from BANKING77 and CLINC150 in the folder `semantic_cache`.

The rules were designed on half of the intents of BANKING77 and on the out-of-scope questions of CLINC150's training and
validation parts. The windows here are of the other half of the intents, and of the questions of its test part.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Scenario", "Windows", "scenarios"]

_SPLIT_SEED = 42
_DESIGN_INTENTS = 38


class Windows:
    """Draws a reference and a current window.

    Args:
        folder: The folder `semantic_cache`.
    """

    def __init__(self, folder: Path) -> None:
        with (folder / "banking77_train.csv").open(encoding="utf-8", newline="") as file:
            rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
        clinc = json.loads((folder / "clinc150_data_full.json").read_text(encoding="utf-8"))
        intents = sorted({intent for _, intent in rows})
        random.Random(_SPLIT_SEED).shuffle(intents)
        self._scored = set(intents[_DESIGN_INTENTS:])
        self._texts = [(text, intent) for text, intent in rows if intent in self._scored]
        self._foreign = [text for text, _ in clinc["oos_test"]]

    def draw(self, seed: int, *, reference: int, current: int, foreign: int = 0, new: int = 0) -> tuple[list[str], ...]:
        """Return the texts of the reference and of the current window, none of which is in both.

        Args:
            seed: Other seeds, other texts.
            reference: The texts of the reference.
            current: The texts of the current window.
            foreign: Of these, the questions that have nothing to do with a bank.
            new: Of these, the questions of six intents that the reference lacks.
        """
        chance = random.Random(seed)
        held_out = set(chance.sample(sorted(self._scored), 6)) if new else set[str]()
        known = [text for text, intent in self._texts if intent not in held_out]
        unseen = [text for text, intent in self._texts if intent in held_out]
        chosen = chance.sample(known, reference + current - foreign - new)
        now = chosen[reference:] + chance.sample(self._foreign, foreign) + chance.sample(unseen, new)
        chance.shuffle(now)
        return chosen[:reference], now


@dataclass(frozen=True)
class Scenario:
    """A kind of windows."""

    name: str
    draw: Callable[[int], tuple[list[str], ...]]
    changes: bool
    asked: float | None = None
    """The power asked for, or the largest share of false alarms."""


def scenarios(windows: Windows) -> list[Scenario]:
    """Return the kinds of windows that the benchmark measures."""

    def kind(name: str, asked: float | None = None, **sizes: int) -> Scenario:
        changes = bool(sizes.get("foreign", 0) or sizes.get("new", 0))
        return Scenario(name, lambda seed: windows.draw(seed, **sizes), changes, asked)

    return [
        kind("nothing; 1,000 and 200", 0.05, reference=1_000, current=200),
        kind("nothing; 200 and 200", 0.05, reference=200, current=200),
        kind("nothing; 1,000 and 500", 0.05, reference=1_000, current=500),
        kind("5 % foreign; 1,000 and 200", 0.80, reference=1_000, current=200, foreign=10),
        kind("5 % foreign; 200 and 200", None, reference=200, current=200, foreign=10),
        kind("10 % foreign; 200 and 200", None, reference=200, current=200, foreign=20),
        kind("20 % of new intents; 1,000 and 500", 0.90, reference=1_000, current=500, new=100),
        kind("20 % of new intents; 500 and 500", 0.90, reference=500, current=500, new=100),
    ]

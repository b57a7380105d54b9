"""`PairJudge`: ask a model which of two outputs is better, in both orders or in a random one."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError, VerdictError
from llmops_sdk.evals._types import Case
from llmops_sdk.evals.judges._ask import JudgeModel
from llmops_sdk.evals.judges._judge import checked_name
from llmops_sdk.evals.judges._prompt import TEMPLATE_VERSION, pair_messages

__all__ = ["PairJudge", "Preference", "Winner"]

Winner: TypeAlias = Literal["a", "b", "tie"]

_LABELS = ("1", "2", "tie")
_VALUES: Mapping[Winner, float] = {"a": 0.0, "tie": 0.5, "b": 1.0}
_CRITERIA = "The better response answers the input more correctly and more helpfully."


@public("llmops_sdk.evals")
@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """Which of two outputs a judge prefers.

    Attributes:
        item_id: The item.
        repeat: Which run of the item, from 0.
        winner: `a`, `b` or `tie`; None where the judge gave no verdict.
        value: 1 if b wins, 0 if a wins, 0.5 for a tie, or None.
        first: The output that stood first in the first question, `a` or `b`.
        verdicts: The winner by each question, in their order; None for an answer without a verdict.
        consistent: Whether both orders gave the same winner; None where only one was asked or has a verdict.
        comment: The reason of the first verdict.
        error_type: The class of the error, where the judge failed.
        error: Its message.
    """

    item_id: str
    repeat: int = 0
    winner: Winner | None
    value: float | None
    first: Literal["a", "b"]
    verdicts: tuple[Winner | None, ...]
    consistent: bool | None
    comment: str | None = None
    error_type: str | None = None
    error: str | None = None


@public("llmops_sdk.evals")
class PairJudge:
    """Asks a model which of two outputs for the same input is better.

    Judges favour a position. With `order="both"` the judge sees each pair in both orders, and two verdicts that
    disagree are a tie; the share that agrees is its order consistency. With `order="random"` it sees one order, drawn
    from the seed and the item, so that a rerun draws the same: half the cost, and no consistency.

    Args:
        criteria: What makes a response better, in plain words.
        name: The judge's name.
        model: The model; the configured one by default.
        order: "both" or "random".
        seed: Of the random order, and of which order comes first.
        reasks: How often to ask again after an answer without a verdict.
        version: A text that you change when something else that the verdicts depend on has changed.
        options: Further options of `llmops.LLM`.

    Raises:
        ConfigError: An argument is not valid; the message says what to give.

    Example:
        >>> import asyncio
        >>> from llmops_sdk.evals import Case, PairJudge
        >>> from llmops_sdk.testing import ScriptedProvider, use_provider
        >>> judge = PairJudge(order="random", options={"cache": False})
        >>> old, new = (Case(item_id="1", input="2 + 2?", output=text) for text in ("4", "four"))
        >>> with use_provider(ScriptedProvider(["Both are right. Verdict: tie"])):
        ...     asyncio.run(judge.prefer(old, new)).value
        0.5
    """

    def __init__(
        self,
        criteria: str = _CRITERIA,
        *,
        name: str = "preference",
        model: str | None = None,
        order: Literal["both", "random"] = "both",
        seed: int = 0,
        reasks: int = 1,
        version: str = "1",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = checked_name(name)
        if order not in ("both", "random"):
            raise ConfigError(f"order is {order!r}: give 'both' or 'random'", key="order", value=order)
        self._criteria = criteria
        self._order = order
        self._seed = seed
        self._version = version
        self._model = JudgeModel(name, model, options or {}, labels=_LABELS, reasks=reasks)

    @property
    def identity(self) -> dict[str, Any]:
        """Return what the preferences depend on, as JSON."""
        return {
            "kind": "pair_judge",
            "version": self._version,
            "template": TEMPLATE_VERSION,
            "criteria": self._criteria,
            "order": self._order,
            "seed": self._seed,
            **self._model.identity,
        }

    def first_of(self, item_id: str, repeat: int = 0) -> Literal["a", "b"]:
        """Return which output stands first in the first question about an item."""
        digest = hashlib.sha256(f"{self._seed}\0{item_id}\0{repeat}".encode("utf-8", "surrogatepass")).digest()
        return "b" if digest[0] & 1 else "a"

    async def prefer(self, a: Case, b: Case) -> Preference:
        """Ask which of two outputs for one input is better.

        Args:
            a: The one, such as that of the old version.
            b: The other, such as that of the new version.

        Returns:
            The preference. Where no answer had a verdict, its winner is None and its error says so.

        Raises:
            ProviderError: The model cannot be called.
        """
        first = self.first_of(a.item_id, a.repeat)
        orders = [first] if self._order == "random" else [first, "a" if first == "b" else "b"]
        found = await asyncio.gather(*(self._verdict(a, b, first=order) for order in orders))
        return _preference(a, first, found)

    async def _verdict(self, a: Case, b: Case, *, first: str) -> tuple[Winner | None, str]:
        one, two = (a, b) if first == "a" else (b, a)
        parts: dict[str, Any] = {"input": a.input}
        if a.expected is not None:
            parts["expected"] = a.expected
        parts |= {"response 1": one.output, "response 2": two.output}
        attributes = {"llmops.judge.name": self.name, "llmops.eval.item_id": a.item_id, "llmops.judge.first": first}
        try:
            answer = await self._model.ask(pair_messages(self._criteria, parts), vote=a.repeat, attributes=attributes)
        except VerdictError as error:
            return None, str(error)
        if answer.label == "tie":
            return "tie", answer.text
        return ("a" if (answer.label == "1") == (first == "a") else "b"), answer.text


def _preference(a: Case, first: Literal["a", "b"], found: Sequence[tuple[Winner | None, str]]) -> Preference:
    verdicts: tuple[Winner | None, ...] = tuple(verdict for verdict, _ in found)
    given: list[tuple[Winner, str]] = [(verdict, text) for verdict, text in found if verdict is not None]
    if len(given) < len(found):
        # One order alone favours a position, so it is no preference.
        return Preference(
            item_id=a.item_id, repeat=a.repeat, winner=None, value=None, first=first, verdicts=verdicts,
            consistent=None, error_type="VerdictError", error=next(text for verdict, text in found if verdict is None),
        )  # fmt: skip
    agree = len({verdict for verdict, _ in given}) == 1
    winner: Winner = given[0][0] if agree else "tie"
    return Preference(
        item_id=a.item_id, repeat=a.repeat, winner=winner, value=_VALUES[winner], first=first, verdicts=verdicts,
        consistent=agree if len(given) > 1 else None, comment=given[0][1],
    )  # fmt: skip

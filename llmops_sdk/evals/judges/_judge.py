"""`Judge`: a scorer that asks a model about one output."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError, VerdictError
from llmops_sdk.evals._types import Case, Score
from llmops_sdk.evals.judges._ask import Answered, JudgeModel
from llmops_sdk.evals.judges._prompt import TEMPLATE_VERSION, single_messages
from llmops_sdk.evals.judges._verdict import plain_label

__all__ = ["Judge", "checked_name"]

_MOST_VOTES = 25
_LONGEST_NAME = 100  # characters
_PARTS = ("input", "expected", "output", "metadata")
_CORRECT: Mapping[str, float] = {"correct": 1.0, "incorrect": 0.0}
_CRITERIA = "The output is correct if it says the same as the expected answer, in whatever words."


@public("llmops_sdk.evals")
class Judge:
    """Asks a model for a label of one output, and gives it as a score. Use it as a scorer of `evaluate`.

    A verdict that cannot be read is asked for again, and then a failure of this score: it never counts as a number.
    Each call is traced as a span of kind `evaluator`, answered from the cache when it is equal to an earlier one that
    gave a verdict, and counts in budgets. When `evaluate` sees that a model has moved, judges ask without the cache.
    Measure what the verdicts are worth with `calibrate` before you gate on them.

    Args:
        criteria: What makes an output good, in plain words.
        name: The scorer's name.
        model: The model; the configured one by default.
        labels: The labels from which the judge chooses, with their values.
        include: What the judge sees of a case: some of input, expected, output, metadata.
        examples: Cases with their right labels, each a mapping of parts and a label, shown before the question.
        votes: How often to ask about one output; the label of the majority counts, and a draw is a failure.
        reasks: How often to ask again after an answer without a verdict.
        threshold: The value from which on an output passes, or None.
        version: A text that you change when something else that the verdicts depend on has changed.
        options: Further options of `llmops.LLM`, such as `temperature` (0 by default), `cache`, `max_tokens`, `retry`.

    Raises:
        ConfigError: An argument is not valid; the message says what to give.

    Example:
        >>> import asyncio
        >>> from llmops_sdk.evals import Case, Judge
        >>> from llmops_sdk.testing import ScriptedProvider, use_provider
        >>> judge = Judge("The output names the capital.", name="capital", options={"cache": False})
        >>> with use_provider(ScriptedProvider(["Paris is the capital. Verdict: correct"])):
        ...     asyncio.run(judge.score(Case(item_id="1", input="Capital of France?", output="Paris"))).value
        1.0
    """

    def __init__(
        self,
        criteria: str = _CRITERIA,
        *,
        name: str = "correctness",
        model: str | None = None,
        labels: Mapping[str, float] = _CORRECT,
        include: Sequence[str] = ("input", "expected", "output"),
        examples: Sequence[tuple[Mapping[str, Any], str]] = (),
        votes: int = 1,
        reasks: int = 1,
        threshold: float | None = None,
        version: str = "1",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = checked_name(name)
        self.higher_is_better = True
        self._criteria = criteria
        self._labels = _checked_labels(labels)
        self._include = _checked_parts(include)
        self._examples = [(dict(parts), _checked_label(label, self._labels)) for parts, label in examples]
        if not 1 <= votes <= _MOST_VOTES:
            raise ConfigError(f"votes is {votes!r}: give a number from 1 to {_MOST_VOTES}", key="votes", value=votes)
        self._votes = votes
        self._threshold = threshold
        self._version = version
        self._model = JudgeModel(name, model, options or {}, labels=list(self._labels), reasks=reasks)

    @property
    def identity(self) -> dict[str, Any]:
        """Return what the scores depend on, as JSON."""
        return {
            "kind": "judge",
            "version": self._version,
            "template": TEMPLATE_VERSION,
            "criteria": self._criteria,
            "labels": dict(self._labels),
            "include": list(self._include),
            "examples": [[parts, label] for parts, label in self._examples],
            "votes": self._votes,
            "threshold": self._threshold,
            **self._model.identity,
        }

    async def score(self, case: Case) -> Score:
        """Ask the model about a case.

        Args:
            case: The output, with what belongs to it.

        Returns:
            The label, its value, the judge's reason as the comment, and the counts of all labels in `metadata`.

        Raises:
            VerdictError: The judge gave no verdict that can be read, or its votes are a draw.
            ProviderError: The model cannot be called.
        """
        parts = {name: getattr(case, name) for name in self._include if name == "output" or getattr(case, name)}
        messages = single_messages(self._criteria, list(self._labels), parts, self._examples)
        attributes = {"llmops.judge.name": self.name, "llmops.eval.item_id": case.item_id}
        asked = [
            self._model.ask(messages, vote=case.repeat * self._votes + vote, attributes=attributes)
            for vote in range(self._votes)
        ]
        answers = await asyncio.gather(*asked)
        label = self._majority(answers)
        value = self._labels[label]
        return Score(
            value=value,
            label=label,
            comment=next(answer.text for answer in answers if answer.label == label),
            passed=None if self._threshold is None else value >= self._threshold,
            metadata={
                "votes": dict(Counter(answer.label for answer in answers)),
                "garbage": sum(answer.garbage for answer in answers),
            },
        )

    def _majority(self, answers: Sequence[Answered]) -> str:
        ranked = Counter(answer.label for answer in answers).most_common()
        if len(ranked) > 1 and ranked[0][1] == ranked[1][1]:
            counts = ", ".join(f"{label}: {count}" for label, count in ranked)
            raise VerdictError(
                f"the votes of the judge {self.name} are a draw ({counts}): give an odd number of votes",
                judge=self.name,
                answer=answers[-1].text,
            )
        return ranked[0][0]


def checked_name(name: str) -> str:
    """Return the name of a judge.

    Raises:
        ConfigError: It is empty or too long.
    """
    if not 0 < len(name.strip()) <= _LONGEST_NAME:
        raise ConfigError(f"the name of a judge has 1 to {_LONGEST_NAME} characters", key="name", value=name)
    return name


def _checked_labels(labels: Mapping[str, float]) -> dict[str, float]:
    plain = {plain_label(label) for label in labels}
    finite = all(math.isfinite(value) for value in labels.values())
    if len(plain) < 2 or len(plain) != len(labels) or "" in plain or not finite:
        raise ConfigError(
            f"labels is {dict(labels)!r}: give two or more labels with finite values, which differ in more than letter "
            "case and punctuation",
            key="labels",
            value=dict(labels),
        )
    return {label: float(value) for label, value in labels.items()}


def _checked_label(label: str, labels: Mapping[str, float]) -> str:
    if label not in labels:
        raise ConfigError(f"an example has the label {label!r}: give one of {', '.join(labels)}", key="examples")
    return label


def _checked_parts(include: Sequence[str]) -> tuple[str, ...]:
    unknown = [name for name in include if name not in _PARTS]
    if isinstance(include, str) or unknown or "output" not in include:
        raise ConfigError(
            f"include is {include!r}: give a list with 'output' and any of {', '.join(_PARTS)}",
            key="include",
            value=include,
        )
    return tuple(name for name in _PARTS if name in include)

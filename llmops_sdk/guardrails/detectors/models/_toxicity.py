"""Find toxic texts with a classifier of the application, or with a judge."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace

from llmops_sdk._util._callables import call_style_of
from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, GuardContext
from llmops_sdk.guardrails.detectors._mapped import digest
from llmops_sdk.guardrails.detectors.models._ask import Judge
from llmops_sdk.guardrails.detectors.models._bounds import bounded, checked_max_chars, checked_threshold
from llmops_sdk.guardrails.detectors.models._judge import JudgeDetector

__all__ = ["ToxicityDetector"]

_POLICY = """\
The text must not be toxic. It is toxic if it insults, threatens, harasses, humiliates or sexually degrades a person or
a group, spreads hatred of people for what they are (such as their origin, religion, sex, sexual orientation, illness or
disability), or calls for harm to them; also in hints, irony or disguised spelling, and in any language. These alone are
not toxic: swear words that are aimed at nobody, sharp criticism of an opinion or a product, a neutral mention of a
group, and toxic words that somebody quotes to report or to condemn them."""
_REASON = "toxic"


class _ToxicityJudge(JudgeDetector):
    name = "toxicity"


@public("llmops_sdk.guardrails.detectors")
class ToxicityDetector:
    """Finds texts that insult, threaten or hate, by a classifier that you give, or by a model as a judge.

    No word list stands in for one: on HateCheck a list flags more of the harmless texts than of the hateful ones.

    Args:
        classifier: A function from a text to a score from 0 to 1.
        provider: Who judges if there is no classifier, as for `JudgeDetector`.
        model: The model to ask; in the configuration it is enough.
        threshold: The score from which a text counts as found, above 0 and at most 1.
        max_chars: The most characters to read. Of a longer text the first and the last half of this many count, the
            higher score of a classifier, and the detection has `truncated` set.

    Raises:
        ConfigError: There is neither a classifier nor a judge, or there are both, or a value is out of its range.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors.models._toxicity import ToxicityDetector
        >>> detector = ToxicityDetector(lambda text: 0.97 if "idiot" in text else 0.01)  # your model
        >>> detector.detect("You idiot!", GuardContext(rail="input")).reason
        'toxic'
    """

    name = "toxicity"
    whole_text = True

    def __init__(
        self,
        classifier: Callable[[str], float] | None = None,
        *,
        provider: Judge | None = None,
        model: str = "",
        threshold: float = 0.5,
        max_chars: int = 20_000,
    ) -> None:
        judged = provider is not None or bool(model)
        if classifier is None and not judged:
            raise ConfigError(
                "the guard `toxicity` needs a model: set model in [guardrails.options.toxicity] for a judge, or give "
                "ToxicityDetector a classifier or a provider. A list of words cannot replace one: it finds profanity, "
                "not toxicity"
            )
        if classifier is not None and judged:
            raise ConfigError("the guard `toxicity` takes a classifier or a judge, not both")
        if classifier is not None and (not callable(classifier) or call_style_of(classifier) != "function"):
            raise ConfigError("the classifier of the guard `toxicity` must be a plain function from a text to a score")
        self.threshold = checked_threshold(threshold)
        self._max_chars = checked_max_chars(max_chars, 100)
        self._classifier = classifier
        self._judge: JudgeDetector | None = None
        self.version = f"1:{digest(threshold, max_chars, getattr(classifier, '__qualname__', type(classifier)))}"
        if classifier is None:
            self._judge = _ToxicityJudge(_POLICY, provider, model=model, threshold=threshold, max_chars=max_chars)
            self.version = self._judge.version

    def detect(self, text: str, context: GuardContext) -> Detection:
        """Return whether a text is toxic.

        Raises:
            ValueError: The classifier's score is not a number from 0 to 1, or the judge's answer is not valid.
            LLMOpsError: The call to the judge failed.
        """
        if self._judge is not None:
            return _named(self._judge.detect(text, context))
        score = max(map(self._score, bounded(text, self._max_chars)))
        is_found = score >= self.threshold
        return Detection(
            found=is_found,
            score=score,
            threshold=self.threshold,
            reason=_REASON if is_found else "",
            truncated=len(text) > self._max_chars,
        )

    async def adetect(self, text: str, context: GuardContext) -> Detection:
        """Return whether a text is toxic, async; a classifier runs in a thread.

        Raises:
            ValueError: The classifier's score is not a number from 0 to 1, or the judge's answer is not valid.
            LLMOpsError: The call to the judge failed.
        """
        if self._judge is not None:
            return _named(await self._judge.adetect(text, context))
        return await asyncio.to_thread(self.detect, text, context)

    def _score(self, text: str) -> float:
        assert self._classifier is not None
        # A number of numpy becomes one of Python.
        score = float(self._classifier(text))
        if not math.isfinite(score) or not 0 <= score <= 1:
            raise ValueError(f"the classifier must return a score from 0 to 1, not {score}")
        return score


def _named(found: Detection) -> Detection:
    return replace(found, reason=_REASON) if found.found else found

"""Find sentences of an answer that its documents do not contain, by words, names, numbers, word pairs and triples."""

from __future__ import annotations

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.grounding import GROUNDED_THRESHOLD, Evidence, assess
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext

__all__ = ["GroundedDetector"]


@public("llmops_sdk.guardrails.detectors")
class GroundedDetector:
    """Finds sentences of an answer that the documents of the call do not contain.

    It compares words, pairs and triples of words, names, numbers and negations; it knows no meaning. It finds invented
    names and numbers, and misses a sentence that says something else with the words of the documents; a paraphrase may
    be found although it is right. An answer without documents passes.

    The score is that of the least grounded sentence, from 0 to 1, by the model that the metric `groundedness` uses too.
    No part of HaluEval trained it. On 250 questions of HaluEval, the default finds 92 % of the invented answers and
    none of the right ones (AUC .99). Those right answers are literal. Of answers in free words, the default takes most
    for not grounded: calibrate the threshold on your own answers.

    Args:
        threshold: The score from which a sentence counts as not grounded.

    Raises:
        ConfigError: The threshold is not above 0 and at most 1.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors._grounded import GroundedDetector
        >>> context = GuardContext(rail="output", documents=("Ada Lovelace wrote her notes in 1843.",))
        >>> answer = "Lovelace wrote notes in 1843. She moved to Paris in 1850."
        >>> GroundedDetector().detect(answer, context).findings
        (Finding(kind='UNGROUNDED', start=30, end=57, score=0.977),)
    """

    name = "grounded"
    whole_text = True

    def __init__(self, threshold: float = GROUNDED_THRESHOLD) -> None:
        if not 0 < threshold <= 1:
            raise ConfigError(f"threshold must be above 0 and at most 1, not {threshold!r}", key="threshold")
        self._threshold = threshold
        self.version = f"3:{threshold:g}"

    def detect(self, text: str, context: GuardContext) -> Detection:
        """Return the sentences that the documents do not contain."""
        if not any(context.documents):
            return Detection(threshold=self._threshold)
        found = assess(text, Evidence(context.documents))
        findings = tuple(
            Finding("UNGROUNDED", one.start, one.end, round(one.score, 3))
            for one in found.sentences
            if one.score >= self._threshold
        )
        return Detection(
            found=bool(findings),
            findings=findings,
            score=round(max((one.score for one in found.sentences), default=0.0), 3),
            threshold=self._threshold,
            reason="not in the documents" if findings else "",
            truncated=found.truncated,
        )

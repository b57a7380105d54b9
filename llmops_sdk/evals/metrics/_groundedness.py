"""Whether documents contain what an answer says, without a model to ask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from llmops_sdk._util._public import public
from llmops_sdk.evals.metrics._pairs import checked_texts
from llmops_sdk.grounding import GROUNDED_THRESHOLD, Evidence, assess

__all__ = ["Groundedness", "Unsupported", "groundedness"]


@public("llmops_sdk.evals.metrics")
@dataclass(frozen=True, kw_only=True)
class Unsupported:
    """A sentence of the answer that the documents do not contain.

    Attributes:
        text: The sentence.
        start: Where it begins in the answer, in characters.
        end: Where it ends.
        score: How well grounded it is, from 0 to 1.
    """

    text: str
    start: int
    end: int
    score: float


@public("llmops_sdk.evals.metrics")
@dataclass(frozen=True, kw_only=True)
class Groundedness:
    """How well documents cover an answer.

    Attributes:
        score: From 0 to 1; 1 if the documents have all words, near pairs and triples of the answer, or if it has no
            content words.
        unsupported: The sentences whose score is at most 0.5 (or what `threshold` said), in their order.
        truncated: Whether the text was longer than what is read: a million characters of the answer and of all
            documents, and 50,000 sentences.
    """

    score: float
    unsupported: tuple[Unsupported, ...]
    truncated: bool


def groundedness(
    answer: str,
    documents: str | Iterable[str],
    question: str | None = None,
    *,
    threshold: float = 1 - GROUNDED_THRESHOLD,
) -> Groundedness:
    """Return how well documents cover an answer, and the sentences that they do not.

    A fixed logistic model weighs which words (names and numbers more), word triples and near word pairs the documents
    do not have, pairs of known words that stand near each other nowhere, and negations that are not in the three
    sentences nearest in words. Its weights come from SummEval and BEGIN. The guard `grounded` uses the same model.

    Limits: AUC .82 for summaries of news that mostly copy (QAGS-CNN), .67 for one free sentence (QAGS-XSum), .66 for
    summaries by large models (FaithBench, whose easy cases were taken out). The model was trained on none of these
    sets, but its features were chosen with their results in view, so expect less on others.
    It knows no meaning: it misses a sentence that puts the words of one passage together in another way, or a small
    change of a long copied text, and takes a good paraphrase or a translation for unsupported. So compare means of many
    answers, or set `threshold` on your own; for single answers in free words ask a judge.

    Args:
        answer: The text to check.
        documents: What it should say nothing beyond; one text or several. Without any, every sentence is unsupported.
        question: A question whose words count as known, since an answer may repeat them.
        threshold: A sentence with at most this score is unsupported, from 0 to 1.

    Raises:
        TypeError: A text is no string.
        ValueError: The threshold is not from 0 to 1.

    Example:
        >>> from llmops_sdk.evals.metrics import groundedness
        >>> found = groundedness("Ada wrote notes. She moved to Paris in 1850.", ["Ada wrote notes in 1843."])
        >>> [one.text for one in found.unsupported]
        ['She moved to Paris in 1850.']
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold is {threshold}: give a number from 0 to 1")
    [text] = checked_texts([answer], "answer")
    asked = "" if question is None else checked_texts([question], "question")[0]
    texts = [documents] if isinstance(documents, str) else list(documents)
    found = assess(text, Evidence(checked_texts(texts or [""], "documents"), asked))
    return Groundedness(
        score=1 - found.score,
        unsupported=tuple(
            Unsupported(text=text[one.start : one.end], start=one.start, end=one.end, score=1 - one.score)
            for one in found.sentences
            if 1 - one.score <= threshold
        ),
        truncated=found.truncated,
    )

"""Find profane words by a list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext
from llmops_sdk.guardrails.detectors._mapped import digest
from llmops_sdk.guardrails.detectors.words._phrases import Phrases, given_words

__all__ = ["ProfanityDetector"]

_LEET = str.maketrans("0134578", "oieastb")
_REPEATED = re.compile(r"(.)\1{2,}")


@public("llmops_sdk.guardrails.detectors")
class ProfanityDetector:
    """Finds the words of a list, as whole words, also with accents, digits for letters, and repeated letters.

    A list finds profanity and not toxicity: hateful text often has no rude word, and much rude text is not hateful. On
    HateCheck, a list of 1,598 words flags 14 % of the hateful texts and 25 % of the others (AUC .444).

    Args:
        words: The words and phrases, or a mapping from each to its severity from 0 to 1. The package has no list of
            its own.

    Raises:
        ConfigError: There are no words, or one has neither letters nor digits, or a severity is not from 0 to 1.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors.words._profanity import ProfanityDetector
        >>> found = ProfanityDetector({"darn": 0.2}).detect("D4rn, darning!", GuardContext(rail="output"))
        >>> found.score, found.findings
        (0.2, (Finding(kind='PROFANITY', start=0, end=4, score=0.2),))
    """

    name = "profanity"

    def __init__(self, words: Iterable[str] | Mapping[str, float] | None = None) -> None:
        if words is None:
            raise ConfigError("the guard `profanity` needs `words`: the package has no list of its own", key="words")
        listed = given_words(words, "words")
        if not listed:
            raise ConfigError("the guard `profanity` needs `words`, and got none", key="words")
        severities = dict.fromkeys(listed, 1.0)
        if isinstance(words, Mapping):
            severities = dict(cast("Mapping[str, float]", words))
        for word, severity in severities.items():
            if isinstance(severity, bool) or not isinstance(severity, (int, float)) or not 0 <= severity <= 1:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"words: the severity of {word!r} must be from 0 to 1, not {severity!r}", key="words")
        self._phrases = Phrases(severities.items(), _spellings, _LEET)
        self.version = f"2:{digest(sorted(severities.items()))}"

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return the words of the list, with the severity of the worst one as the score."""
        findings = tuple(Finding("PROFANITY", *one) for one in self._phrases.find(text))
        score = max((one.score or 0.0 for one in findings), default=0.0)
        return Detection(found=bool(findings), findings=findings, score=score, reason="listed word" if findings else "")

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text without a phrase that may go on."""
        return self._phrases.settled(text)


def _spellings(word: str) -> Iterator[str]:
    """Yield the words that a word may stand for."""
    yield word
    if not word.isdecimal():
        plain = word.translate(_LEET)
        if plain != word:
            yield plain
        if _REPEATED.search(plain):
            yield _REPEATED.sub(r"\1\1", plain)
            yield _REPEATED.sub(r"\1", plain)

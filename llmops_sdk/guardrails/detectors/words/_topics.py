"""Find topics that an application does not talk about, and names of competitors, by words and phrases."""

from __future__ import annotations

from collections.abc import Iterable

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext
from llmops_sdk.guardrails.detectors._mapped import digest
from llmops_sdk.guardrails.detectors.words._phrases import Phrases, given_words

__all__ = ["TopicsDetector"]


@public("llmops_sdk.guardrails.detectors")
class TopicsDetector:
    """Finds words and phrases, as whole words, without regard to case, accents and invisible characters.

    A space in a phrase stands for at most three characters that are neither letters nor digits nor end a sentence. In
    scripts without spaces, such as Chinese, a phrase is found inside longer text.

    Args:
        deny: The words and phrases to find: topics, competitors, products. The time does not grow with their number.
        allow: Phrases that pass although a denied word is in them, as "apple pie" for "apple".

    Raises:
        ConfigError: `deny` is empty, or an item has neither letters nor digits.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors.words._topics import TopicsDetector
        >>> detector = TopicsDetector(deny=["apple"], allow=["apple pie"])
        >>> detector.detect("Apple pie, or an Apple?", GuardContext(rail="output")).findings
        (Finding(kind='TOPIC', start=17, end=22, score=None),)
    """

    name = "topics"

    def __init__(self, deny: Iterable[str] = (), allow: Iterable[str] = ()) -> None:
        denied, allowed = given_words(deny, "deny"), given_words(allow, "allow")
        if not denied:
            raise ConfigError("the guard `topics` needs `deny`, a list of words and phrases", key="deny")
        self._phrases = Phrases([*((one, 1.0) for one in denied), *((one, 0.0) for one in allowed)])
        self.version = f"1:{digest(sorted(denied), sorted(allowed))}"

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return the denied words and phrases."""
        findings = tuple(Finding("TOPIC", start, end) for start, end, denied in self._phrases.find(text) if denied)
        return Detection(found=True, findings=findings, reason="denied topic") if findings else Detection()

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text without a phrase that may go on."""
        return self._phrases.settled(text)

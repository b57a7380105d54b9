"""Find texts in a language that is not allowed. The one module that imports py3langid."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, cast

from llmops_sdk._util._optional import require
from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, GuardContext

__all__ = ["LanguageDetector"]

_FEWEST_LETTERS = 20
_MOST_READ = 20_000
_LETTER = re.compile(r"[^\W\d_]")
# Code, addresses and names of files are in no language.
_NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|\bhttps?://\S++|(?<!\S)[^\s@]*+@\S*+", re.DOTALL)
_SURROGATES = re.compile(r"[\ud800-\udfff]")


@public("llmops_sdk.guardrails.detectors")
class LanguageDetector:
    """Finds texts that are in a language that is not allowed.

    The score is the probability that a text is in none of the allowed languages, as py3langid estimates it. Texts with
    fewer than 20 letters outside of code blocks pass, since their language cannot be told. Of a longer text, the first
    20,000 characters are read. A text in two languages counts as the one that it has more of.

    Args:
        allow: The languages, as ISO 639-1 codes, as in "en".
        threshold: The score from which a text is found.

    Raises:
        ConfigError: A code is unknown, or the threshold is not from 0 to 1.
        MissingDependencyError: py3langid is not installed.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors._language import LanguageDetector
        >>> LanguageDetector(("en",)).detect("Das ist ein Satz in deutscher Sprache.", GuardContext(rail="input")).found
        True
    """

    name = "language"
    whole_text = True

    def __init__(self, allow: Iterable[str] = ("en",), threshold: float = 0.5) -> None:
        if isinstance(allow, str):
            raise ConfigError(f"allow must be a list, as in [{allow!r}], not a bare string", key="allow", value=allow)
        if not 0 < threshold <= 1:
            raise ConfigError(f"threshold must be above 0 and at most 1, not {threshold!r}", key="threshold")
        self._identifier = _identifier()
        self._allowed = frozenset(allow)
        known = frozenset(cast("Iterable[str]", self._identifier.labels))
        unknown = sorted(self._allowed - known, key=str)
        if unknown or not self._allowed:
            raise ConfigError(
                f"allow: {unknown} are no languages that the guard knows: use {', '.join(sorted(known))}", key="allow"
            )
        self._threshold = threshold
        self.version = f"1:{','.join(sorted(self._allowed))}:{threshold:g}"

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return whether the text is in another language, with the probability as the score."""
        is_cut = len(text) > _MOST_READ
        prose = _SURROGATES.sub(" ", _NOT_PROSE.sub(" ", text[:_MOST_READ]))
        letters = _LETTER.findall(prose)
        if len(letters) < _FEWEST_LETTERS:
            return Detection(threshold=self._threshold, truncated=is_cut)
        ranked = cast("Iterable[tuple[str, float]]", self._identifier.rank(prose))
        allowed = sum(float(probability) for language, probability in ranked if language in self._allowed)
        score = min(1.0, max(0.0, 1 - allowed))
        found = score >= self._threshold
        return Detection(
            found=found,
            score=score,
            threshold=self._threshold,
            reason="language that is not allowed" if found else "",
            truncated=is_cut,
        )


@cache
def _identifier() -> Any:
    langid = require("py3langid.langid", extra="guards", purpose="the guard `language`")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)

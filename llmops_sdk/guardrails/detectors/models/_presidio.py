"""Find personal data with Presidio's recognisers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version as installed_version
from typing import Any

from llmops_sdk._util._optional import require
from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext
from llmops_sdk.guardrails.detectors._mapped import digest, merged
from llmops_sdk.guardrails.detectors.models._bounds import checked_max_chars, checked_threshold

__all__ = ["PresidioDetector"]

_QUADRATIC = "URL"
_SLOW = "PHONE_NUMBER"
_PIECE = 2_000
"""Characters that Presidio gets at once; several of its patterns take more than linear time."""
_OVERLAP = 200
"""Characters that pieces share, so that a value at the end of one is whole in the next."""


@public("llmops_sdk.guardrails.detectors")
class PresidioDetector:
    """Finds personal data with the recognisers of Microsoft's Presidio, of a language and its countries.

    The guard `pii` is faster and sees through disguises; take this one beside it for kinds that `pii` does not know, or
    with an analyzer of your own for the names of people.

    Without an analyzer it uses Presidio's patterns and no language model. The recogniser of URLs is always off, because
    it takes quadratic time. That of telephone numbers is off unless `kinds` names it: it takes a second for 4,000
    crafted characters. Presidio downloads a list of domains for e-mail addresses; this detector does not.

    Args:
        kinds: What to find by Presidio's names, as in ["US_SSN", "UK_NHS"]; None for all that the analyzer knows but
            URLs and telephone numbers.
        language: The language of the recognisers, as in "en".
        threshold: The score from which a place counts, above 0 and at most 1.
        analyzer: A `presidio_analyzer.AnalyzerEngine` of your own, or None. Make sure that its recognisers take linear
            time and download nothing.
        max_chars: The most characters to read; the detection of a longer text has `truncated` set.

    Raises:
        ConfigError: A kind is unknown or "URL", or a value is out of its range.
        MissingDependencyError: Presidio is not installed.
    """

    name = "presidio"

    def __init__(
        self,
        kinds: Sequence[str] | None = None,
        *,
        language: str = "en",
        threshold: float = 0.4,
        analyzer: Any = None,
        max_chars: int = 100_000,
    ) -> None:
        self.threshold = checked_threshold(threshold)
        self._max_chars = checked_max_chars(max_chars, _PIECE)
        self._language = language
        self._analyzer = _analyzer(language) if analyzer is None else analyzer
        known: list[str] = sorted(self._analyzer.get_supported_entities(language=language))
        self.kinds = _checked_kinds(kinds, known)
        options = digest(self.kinds, language, threshold, max_chars)
        own = "" if analyzer is None else ":own"
        self.version = f"1:{installed_version('presidio-analyzer')}:{options}{own}"

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return the places of personal data."""
        read = text[: self._max_chars]
        findings = merged(one for piece in _pieces(read) for one in self._found(read, *piece))
        return Detection(
            found=bool(findings),
            findings=findings,
            score=max((one.score or 0.0 for one in findings), default=0.0),
            threshold=self.threshold,
            reason=", ".join(sorted({one.kind for one in findings})),
            truncated=len(text) > self._max_chars,
        )

    def _found(self, text: str, start: int, end: int, following: int) -> Iterator[Finding]:
        results: list[Any] = self._analyzer.analyze(
            text[start:end], language=self._language, entities=list(self.kinds), score_threshold=self.threshold
        )
        for one in results:
            place = Finding(one.entity_type, start + one.start, start + one.end, round(float(one.score), 4))
            # The next piece has it whole.
            if not (place.end == end < len(text) and place.start >= following):
                yield place


def _pieces(text: str) -> Iterator[tuple[int, int, int]]:
    """Yield where each piece starts and ends, and where the next one starts."""
    start, following = 0, 0
    while following < len(text):
        start, end = following, min(following + _PIECE, len(text))
        following = end if end == len(text) else end - _OVERLAP
        if following < end:  # between words
            space = text.find(" ", following, following + _OVERLAP // 2)
            following = following if space < 0 else space + 1
        yield start, end, following


def _checked_kinds(kinds: Sequence[str] | None, known: list[str]) -> tuple[str, ...]:
    if kinds is None:
        return tuple(kind for kind in known if kind not in {_QUADRATIC, _SLOW})
    if isinstance(kinds, str):
        raise ConfigError(f"kinds must be a list, as in [{kinds!r}], not a bare string", key="kinds", value=kinds)
    if _QUADRATIC in kinds:
        raise ConfigError(
            "Presidio's recogniser of URLs takes quadratic time, so it cannot be used: the guards `pii` and "
            "`exfiltration` find URLs",
            key="kinds",
            value=_QUADRATIC,
        )
    if unknown := [kind for kind in kinds if kind not in known]:
        raise ConfigError(
            f"Presidio has no recogniser for {unknown[0]!r}; it knows {', '.join(known)}",
            key="kinds",
            value=unknown[0],
        )
    if not kinds:
        raise ConfigError("kinds is empty: name what to find, or leave it out for all", key="kinds", value=kinds)
    return tuple(sorted(set(kinds)))


def _analyzer(language: str) -> Any:
    presidio: Any = require("presidio_analyzer", extra="presidio", purpose="the guard `presidio`")
    engines: Any = require("presidio_analyzer.nlp_engine", extra="presidio", purpose="the guard `presidio`")
    recognisers: Any = require(
        "presidio_analyzer.predefined_recognizers", extra="presidio", purpose="the guard `presidio`"
    )
    tldextract: Any = require("tldextract", extra="presidio", purpose="the guard `presidio`")
    # Without URLs of lists it takes the list that comes with the package.
    domains = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)

    class OfflineEmailRecognizer(recognisers.EmailRecognizer):
        """Takes the domains from the list that is installed, instead of a downloaded one."""

        def validate_result(self, pattern_text: str) -> bool:
            return domains(pattern_text).fqdn != ""

    models = [{"lang_code": language, "model_name": "no_op"}]
    engine = engines.NlpEngineProvider(nlp_configuration={"nlp_engine_name": "no_op", "models": models}).create_engine()
    registry = presidio.RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=engine)
    for replaced in ("UrlRecognizer", "EmailRecognizer"):
        registry.remove_recognizer(replaced)
    registry.add_recognizer(OfflineEmailRecognizer(supported_language=language))
    return presidio.AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])

"""Find secrets in texts, also behind disguises: keys and tokens of vendors, private keys, passwords beside their name.

The formats are those of the redaction of telemetry: one table serves both.
"""

from __future__ import annotations

import re
from collections import Counter

from llmops_sdk._util._public import public
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext
from llmops_sdk.guardrails.detectors._stretches import Stretches
from llmops_sdk.guardrails.normalise import Decoding, Read, View, reading, views
from llmops_sdk.tracing.privacy._secrets import NAMED_LABEL
from llmops_sdk.tracing.privacy._sieves import may_hold_secret, patterns_for

__all__ = ["SecretsDetector"]

# Words before a value, and names in quotes.
_STRETCHES = Stretches(
    context=(
        r"(?i:authoriz|bearer|\bbasic\b|twilio|\baws|secret|api-?key)|--BEGIN|--END"
        r"|(?i:pass|token|key|cred|cookie|string|pwd)[A-Za-z]*[\"']"
    ),
    far=r"(?i:authoriz|bearer|basic|twilio|aws|secret|api.?key|(?:pass|token|key|cred|cookie|string|pwd)[\w.-]{0,16}[\"'])",
    reach=8,
    opens="-----BEGIN",
    closes="-----END",
)
# The name of a module or an attribute, as in "cookies": "http.cookies".
_MODULE = re.compile(r"[a-z_]{2,24}(?:\.[a-z_]{2,24}){1,4}")
_SHORTEST = 8
"""A stretch that is shorter holds no secret; in characters."""


@public("llmops_sdk.guardrails.detectors")
class SecretsDetector:
    """Finds secrets by their format, or by their name as in `password=…`.

    It reads the text as it is, and behind disguises, as `PiiDetector` does. A finding's kind is `SECRET`; the
    reason of the detection counts the formats, as in "1 github_token".

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors._secrets_detector import SecretsDetector
        >>> found = SecretsDetector().detect("My key: ghp_" + "a1B2" * 9, GuardContext(rail="input"))
        >>> [(one.kind, one.start, one.end) for one in found.findings], found.reason
        ([('SECRET', 8, 48)], '1 github_token')
    """

    name = "secrets"
    version = "4"

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - it treats all rails alike
        """Return the secrets in a text."""
        decoding = Decoding()
        found = [
            (start + first, start + last, label)
            for start, end, read in _STRETCHES.find(text, self._spans, _reading, decoding)
            for first, last, label in self._in_stretch(text[start:end], read)
        ]
        if not found:
            return Detection(truncated=decoding.is_cut)
        counts = Counter(label for _, _, label in found)
        reason = ", ".join(f"{number} {label}" for label, number in sorted(counts.items()))
        findings = tuple(Finding("SECRET", start, end, 1.0) for start, end, _ in found)
        return Detection(found=True, findings=findings, score=1.0, reason=reason, truncated=decoding.is_cut)

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text that the rest cannot affect."""
        return _STRETCHES.settled(text, self._spans)

    def _spans(self, text: str, read: Read = views) -> list[tuple[int, int]]:
        return [(start, end) for start, end, _ in self._in_stretch(text, read)]

    def _in_stretch(self, text: str, read: Read = views) -> list[tuple[int, int, str]]:
        if len(text) < _SHORTEST:
            return []
        found = [one for view in read(text) for one in _in_view(view)]
        return _united(found) if found else []


def _reading(text: str, decoding: Decoding) -> Read | None:
    return reading(text, lambda one, _: may_hold_secret(one), decoding)


def _in_view(view: View) -> list[tuple[int, int, str]]:
    if len(view.text) < _SHORTEST or not may_hold_secret(view.text):
        return []
    return [
        (*view.original(start, end), pattern.label)
        for pattern in patterns_for(view.text)
        for start, end in pattern.spans(view.text)
        if not _is_false(pattern.label, view.text[start:end])
    ]


def _is_false(label: str, value: str) -> bool:
    if label == NAMED_LABEL:
        return _MODULE.fullmatch(value) is not None
    # In "Bearer%20TOKEN" only the escape looks like a secret; a real one is also found without the escape.
    return label == "authorization" and "%20" in value


def _united(found: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Return the secrets in order, overlaps united; the first format names them."""
    united: list[tuple[int, int, str]] = []
    for start, end, label in sorted(found, key=lambda one: one[0]):
        if united and start < united[-1][1]:
            first, last, earlier = united[-1]
            united[-1] = (first, max(last, end), earlier)
        else:
            united.append((start, end, label))
    return united

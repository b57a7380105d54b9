"""Detectors: each finds one family of things in texts, and is loaded when it is first used."""

from __future__ import annotations

from llmops_sdk._lazy import lazy_names

TYPE_CHECKING = False  # as in `_lazy`
if TYPE_CHECKING:
    from llmops_sdk.guardrails.detectors._canary import CanaryDetector, new_canary
    from llmops_sdk.guardrails.detectors._cards import CardDetector
    from llmops_sdk.guardrails.detectors._grounded import GroundedDetector
    from llmops_sdk.guardrails.detectors._json import JsonDetector
    from llmops_sdk.guardrails.detectors._language import LanguageDetector
    from llmops_sdk.guardrails.detectors._length import LengthDetector
    from llmops_sdk.guardrails.detectors._secrets_detector import SecretsDetector
    from llmops_sdk.guardrails.detectors.injection._injection import InjectionDetector
    from llmops_sdk.guardrails.detectors.links._exfiltration import ExfiltrationDetector
    from llmops_sdk.guardrails.detectors.models._classifier import ClassifierDetector
    from llmops_sdk.guardrails.detectors.models._judge import JudgeDetector
    from llmops_sdk.guardrails.detectors.models._presidio import PresidioDetector
    from llmops_sdk.guardrails.detectors.models._toxicity import ToxicityDetector
    from llmops_sdk.guardrails.detectors.pii._pii import PiiDetector
    from llmops_sdk.guardrails.detectors.words._profanity import ProfanityDetector
    from llmops_sdk.guardrails.detectors.words._topics import TopicsDetector

__all__ = [
    "CanaryDetector",
    "CardDetector",
    "ClassifierDetector",
    "ExfiltrationDetector",
    "GroundedDetector",
    "InjectionDetector",
    "JsonDetector",
    "JudgeDetector",
    "LanguageDetector",
    "LengthDetector",
    "PiiDetector",
    "PresidioDetector",
    "ProfanityDetector",
    "SecretsDetector",
    "TopicsDetector",
    "ToxicityDetector",
    "new_canary",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_canary": "CanaryDetector new_canary",
        "_cards": "CardDetector",
        "_grounded": "GroundedDetector",
        "_json": "JsonDetector",
        "_language": "LanguageDetector",
        "_length": "LengthDetector",
        "_secrets_detector": "SecretsDetector",
        "injection._injection": "InjectionDetector",
        "links._exfiltration": "ExfiltrationDetector",
        "models._classifier": "ClassifierDetector",
        "models._judge": "JudgeDetector",
        "models._presidio": "PresidioDetector",
        "models._toxicity": "ToxicityDetector",
        "pii._pii": "PiiDetector",
        "words._profanity": "ProfanityDetector",
        "words._topics": "TopicsDetector",
    },
)

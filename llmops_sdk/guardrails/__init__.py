"""Check what goes to a model and what comes back: pass, redact or block, and record every verdict.

Doors for other packages: `_protocol`.
"""

from llmops_sdk.guardrails._decorator import guard
from llmops_sdk.guardrails._protocol import Guard, GuardContext, Verdict
from llmops_sdk.guardrails._provider import InputGuardProvider, OutputGuardProvider
from llmops_sdk.guardrails._registry import policy_version, resolve
from llmops_sdk.guardrails.detectors._cards import CardGuard

__all__ = [
    "CardGuard",
    "Guard",
    "GuardContext",
    "InputGuardProvider",
    "OutputGuardProvider",
    "Verdict",
    "guard",
    "policy_version",
    "resolve",
]

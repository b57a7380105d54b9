"""Check what goes to a model and what comes back: pass, redact or block, and record every verdict.

Doors for other packages: `_calibrate`, `_protocol`, `_registry`.
"""

from llmops_sdk.guardrails._calibrate import Calibration, CalibrationRow, calibrate
from llmops_sdk.guardrails._check import Checked, check
from llmops_sdk.guardrails._decorator import guard
from llmops_sdk.guardrails._detector_guard import DetectorGuard
from llmops_sdk.guardrails._protocol import Detection, Detector, Finding, Guard, GuardContext, Verdict
from llmops_sdk.guardrails._provider import InputGuardProvider, OutputGuardProvider
from llmops_sdk.guardrails._registry import policy_version, resolve
from llmops_sdk.guardrails.detectors._cards import CardGuard

__all__ = [
    "Calibration",
    "CalibrationRow",
    "CardGuard",
    "Checked",
    "Detection",
    "Detector",
    "DetectorGuard",
    "Finding",
    "Guard",
    "GuardContext",
    "InputGuardProvider",
    "OutputGuardProvider",
    "Verdict",
    "calibrate",
    "check",
    "guard",
    "policy_version",
    "resolve",
]

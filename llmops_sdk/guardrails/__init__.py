"""Check what goes to a model and what comes back: pass, redact or block, and record every verdict.

Doors for other packages: `_calibrate`, `_protocol`, `_registry`.
"""

from llmops_sdk.guardrails._calibrate import Calibration, CalibrationRow, calibrate
from llmops_sdk.guardrails._check import Checked, check
from llmops_sdk.guardrails._decorator import guard
from llmops_sdk.guardrails._detector_guard import DetectorGuard
from llmops_sdk.guardrails._protocol import Detection, Detector, Finding, Guard, GuardContext, Verdict
from llmops_sdk.guardrails._registry import policy_version, resolve
from llmops_sdk.guardrails.detectors._cards import CardGuard
from llmops_sdk.guardrails.masking._masks import Masks, mask_scope
from llmops_sdk.guardrails.running._options import ConfiguredGuard, GuardOptions, configure
from llmops_sdk.guardrails.stages._input import InputGuardProvider
from llmops_sdk.guardrails.stages._output import OutputGuardProvider

__all__ = [
    "Calibration",
    "CalibrationRow",
    "CardGuard",
    "Checked",
    "ConfiguredGuard",
    "Detection",
    "Detector",
    "DetectorGuard",
    "Finding",
    "Guard",
    "GuardContext",
    "GuardOptions",
    "InputGuardProvider",
    "Masks",
    "OutputGuardProvider",
    "Verdict",
    "calibrate",
    "check",
    "configure",
    "guard",
    "mask_scope",
    "policy_version",
    "resolve",
]

"""Check what goes to a model and what comes back: pass, redact or block, and record every verdict.

Doors for other packages: `_calibrate`, `_protocol`, `_registry`.
"""

from llmops_sdk.config import ArgumentRule, ToolRule
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
from llmops_sdk.guardrails.taint._approvals import ApprovalRequest, Approvals
from llmops_sdk.guardrails.taint._policy import ToolPolicy
from llmops_sdk.guardrails.taint._provider import ToolPolicyProvider
from llmops_sdk.guardrails.taint._spotlight import Spotlighted, spotlight

__all__ = [
    "ApprovalRequest",
    "Approvals",
    "ArgumentRule",
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
    "Spotlighted",
    "ToolPolicy",
    "ToolPolicyProvider",
    "ToolRule",
    "Verdict",
    "calibrate",
    "check",
    "configure",
    "guard",
    "mask_scope",
    "policy_version",
    "resolve",
    "spotlight",
]

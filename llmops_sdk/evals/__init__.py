"""Evaluate: run a task over a data set, score what it returns, and say whether a change made it better.

Importing this package imports neither numpy nor the client: each name loads its own module.

Doors for other packages: `_experiment_files`.
"""

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names

if TYPE_CHECKING:
    from llmops_sdk.evals import metrics, stats
    from llmops_sdk.evals._experiment import Experiment
    from llmops_sdk.evals._types import Case, ItemResult, Score, Scorer, ScoreResult
    from llmops_sdk.evals.cases._repeats import CaseRun, CaseVerdict
    from llmops_sdk.evals.comparing._comparison import Comparison, ComparisonRow, compare
    from llmops_sdk.evals.comparing._gate import GateResult, GateRow, gate
    from llmops_sdk.evals.judges._calibration import (
        CorrectedMean,
        JudgeReport,
        calibrate,
        calibrate_by_scores,
        corrected_mean,
        human_scores,
    )
    from llmops_sdk.evals.judges._judge import Judge
    from llmops_sdk.evals.judges._pairs import PairJudge, Preference
    from llmops_sdk.evals.judges._pairwise import PairwiseResult, apairwise, pairwise
    from llmops_sdk.evals.judges._verdict import parse_verdict
    from llmops_sdk.evals.online._online import OnlineResult, aevaluate_online, evaluate_online
    from llmops_sdk.evals.reports._write import write_report
    from llmops_sdk.evals.running._evaluate import aevaluate, evaluate
    from llmops_sdk.evals.scorers._decorator import FunctionScorer, scorer

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "_experiment": "Experiment",
        "_types": "Case ItemResult Score ScoreResult Scorer",
        "cases._repeats": "CaseRun CaseVerdict",
        "comparing._comparison": "Comparison ComparisonRow compare",
        "comparing._gate": "GateResult GateRow gate",
        "judges._calibration": "CorrectedMean JudgeReport calibrate calibrate_by_scores corrected_mean human_scores",
        "judges._judge": "Judge",
        "judges._pairs": "PairJudge Preference",
        "judges._pairwise": "PairwiseResult apairwise pairwise",
        "judges._verdict": "parse_verdict",
        "online._online": "OnlineResult aevaluate_online evaluate_online",
        "reports._write": "write_report",
        "running._evaluate": "aevaluate evaluate",
        "scorers._decorator": "FunctionScorer scorer",
    },
    modules="metrics stats",
)

__all__ = [
    "Case",
    "CaseRun",
    "CaseVerdict",
    "Comparison",
    "ComparisonRow",
    "CorrectedMean",
    "Experiment",
    "FunctionScorer",
    "GateResult",
    "GateRow",
    "ItemResult",
    "Judge",
    "JudgeReport",
    "OnlineResult",
    "PairJudge",
    "PairwiseResult",
    "Preference",
    "Score",
    "ScoreResult",
    "Scorer",
    "aevaluate",
    "aevaluate_online",
    "apairwise",
    "calibrate",
    "calibrate_by_scores",
    "compare",
    "corrected_mean",
    "evaluate",
    "evaluate_online",
    "gate",
    "human_scores",
    "metrics",
    "pairwise",
    "parse_verdict",
    "scorer",
    "stats",
    "write_report",
]

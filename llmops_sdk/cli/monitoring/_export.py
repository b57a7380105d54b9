"""`llmops alerts export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["export_"]


def export_(
    what: Annotated[
        Literal["prometheus", "promtool", "grafana"],
        typer.Argument(help="Rules, tests of the rules for promtool, or a dashboard."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The file. Default: standard output.")
    ] = None,
    rules: Annotated[
        str, typer.Option("--rules", metavar="FILE", help="For promtool: the rules, as seen from the tests.")
    ] = "llmops-rules.yml",
) -> None:
    """Export the rules for Prometheus, or a dashboard for Grafana.

    Both use the metrics of `llmops watch --listen`. A comment names each rule that they cannot express.
    """
    from llmops_sdk.config import current
    from llmops_sdk.evals._experiment_files import write_text
    from llmops_sdk.monitoring.prometheus._dashboard import grafana_dashboard
    from llmops_sdk.monitoring.prometheus._rules_file import prometheus_rules, promtool_tests

    if what == "grafana":
        text = grafana_dashboard()
    elif what == "prometheus":
        text = prometheus_rules(current())
    else:
        text = promtool_tests(current(), rules)
    if output is None:
        sys.stdout.write(text)
    else:
        write_text(output, text)

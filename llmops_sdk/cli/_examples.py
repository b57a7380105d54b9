"""The examples in the help texts. The tests run them."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["COMMANDS", "EXAMPLES"]

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "sql": (
        "llmops sql 'SELECT model, count(*), sum(cost) FROM llm_calls GROUP BY ALL'",
        "llmops sql 'SELECT * FROM losses' --format json",
    ),
    "traces": (
        "llmops traces --since 2h --status error",
        "llmops traces --user ada --tag shop --search refund --format json",
        "llmops traces --score 'helpful<0.5' --limit 0 --format csv",
    ),
    "schema": ("llmops schema", "llmops schema llm_calls"),
    "show": (
        "llmops show 019ab3",
        "llmops show 019ab3 --full --format json",
        "llmops show 019ab3 --depth 3",
        "llmops show 019ab3 --html -o trace.html",
    ),
    "stats": (
        "llmops stats --since 7d --by day",
        "llmops stats --by user --model gpt-4.1-mini --format csv",
        "llmops stats --by prompt --score helpful=true",
        "llmops stats --budgets",
    ),
    "tail": (
        "llmops tail",
        "llmops tail --status error --format json",
        "llmops tail --spans --kind tool --user ada",
        "llmops tail --no-follow -n 50 --since 1h",
    ),
    "ui": ("llmops ui", "llmops ui --port 7771 --open", "llmops ui --read-only --token-file ~/.config/llmops-token"),
    "report": (
        "llmops report -o report.html",
        "llmops report --since 1d --compare none --format json",
        "llmops report --since 30d --where \"prompt_name = 'support'\" --content",
    ),
    "export": (
        "llmops export week.parquet --since 7d",
        "llmops export calls.jsonl --where \"kind = 'llm'\"",
        "llmops export --clickhouse-views",
    ),
    "drift data": ("llmops drift data --window 7d --reference 28d --by model --by prompt_name",),
    "compact": ("llmops compact",),
    "prune": (
        "llmops prune --user ada --dry-run",
        "llmops prune --session s1 --yes",
        "llmops prune --older-than 90d --yes",
        "llmops prune --max-bytes 2GB --yes",
    ),
    "replay": (
        "llmops replay",
        "llmops replay --to http://127.0.0.1:6006 --since 7d",
        "llmops replay --discard old-backend",
    ),
    "reprice": ("llmops reprice --dry-run", "llmops reprice --since 30d"),
    "snapshot": ("llmops snapshot traces.duckdb --force",),
    "import": ("llmops import week.parquet", "llmops import spans.jsonl traces.json.gz --dry-run"),
    "trust": ("llmops trust", "llmops trust --list", "llmops trust --revoke llmops.toml"),
    "cache stats": ("llmops cache stats", "llmops cache stats --format json"),
    "cache clear": ("llmops cache clear",),
    "cache invalidate": ("llmops cache invalidate --tag prices",),
    "cache inspect": ("llmops cache inspect", "llmops cache inspect --limit 5 --format json"),
    "cache shadow": ("llmops cache shadow", "llmops cache shadow --since 7d --format csv"),
    "dataset create": (
        "llmops dataset create support --file support.jsonl",
        "llmops dataset create calls --sql 'SELECT trace_id, input, output AS expected FROM llm_calls'",
    ),
    "dataset list": ("llmops dataset list", "llmops dataset list support --format json"),
    "dataset show": ("llmops dataset show support --limit 5",),
    "dataset diff": ("llmops dataset diff support",),
    "dataset split": ("llmops dataset split support --share train=0.8 --share test=0.2 --seed 7",),
    "dataset export": (
        "llmops dataset export support support.parquet --omit user_id",
        "llmops dataset export support support-folder --file-format huggingface",
    ),
    "dataset delete": ("llmops dataset delete support --yes",),
    "eval run": (
        "llmops eval run support.eval.yaml",
        "llmops eval run app:answer --dataset support.jsonl --scorers equals --save baseline.json",
        "llmops eval run support.eval.yaml --gate baseline.json --junit eval.xml --markdown eval.md",
    ),
    "eval compare": (
        "llmops eval compare baseline.json shouting",
        "llmops eval compare before.json after.json --slice topic",
    ),
    "eval gate": ("llmops eval gate baseline.json shouting --rule non_inferiority --margin 0.02",),
    "eval report": (
        "llmops eval report shouting --html report.html",
        "llmops eval report shouting --baseline baseline.json",
    ),
    "eval list": ("llmops eval list", "llmops eval list shouting --format json"),
    "eval online": ("llmops eval online --since 1d",),
    "route train": ("llmops route train auto --score helpful", "llmops route train auto --score helpful --since 30d"),
    "route report": ("llmops route report auto", "llmops route report auto --quality 0.98 -o curve.svg"),
    "route simulate": ("llmops route simulate auto --since 7d",),
    "route explain": ("llmops route explain 019ab3", "llmops route explain 019ab3 --format json"),
    "guard check": (
        'llmops guard check "good day to you" --guards cards',
        "llmops guard check README.md --guards cards --rail documents --format json",
    ),
    "guard list": ("llmops guard list", "llmops guard list injection --format json"),
    "guard approvals list": ("llmops guard approvals list --file state/approvals.json",),
    "guard approvals approve": ("llmops guard approvals approve 3f9a01c2d4e5 --file state/approvals.json --ttl 600",),
    "guard approvals deny": ("llmops guard approvals deny 3f9a01c2d4e5 --file state/approvals.json",),
    "guard calibrate": ("llmops guard calibrate texts.jsonl --fpr 0.01",),
    "watch": ("llmops watch --once", "llmops watch --interval 30"),
    "alerts list": ("llmops alerts list", "llmops alerts list --history --format json"),
    "alerts test": ("llmops alerts test --since 7d", "llmops alerts test --fix"),
    "alerts silence": ("llmops alerts silence '*' --for 2h", "llmops alerts silence '*' --end"),
    "alerts export": (
        "llmops alerts export prometheus -o llmops-rules.yml",
        "llmops alerts export promtool -o tests.yml",
        "llmops alerts export grafana -o dashboard.json",
    ),
    "collect": (
        "llmops collect",
        "llmops collect --port 0 --store other_store",
        "llmops collect --host 0.0.0.0 --allow-remote --token-env COLLECT_TOKEN",
    ),
}

EXAMPLES: Mapping[str, str] = {
    command: "Examples:\n\n" + "\n\n".join(f"  {line}" for line in lines) for command, lines in COMMANDS.items()
}

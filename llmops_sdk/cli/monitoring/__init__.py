"""`llmops watch` and `llmops alerts`: evaluate rules, show alerts, and export rules and dashboards."""

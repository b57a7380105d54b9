"""Serve `/metrics` and `/healthz`, and export rules and dashboards for Prometheus and Grafana.

Doors for other packages: `_dashboard`, `_rules_file`.
"""

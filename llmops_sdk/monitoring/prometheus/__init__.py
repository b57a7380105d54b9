"""Serve `/metrics` and `/healthz`, and export rules and dashboards for Prometheus and Grafana."""

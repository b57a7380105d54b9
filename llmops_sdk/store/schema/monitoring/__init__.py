"""The streams and views of monitoring: alerts, checks for drift, and the answers of canaries."""

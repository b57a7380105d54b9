"""Rules of `[[alerts]]`: metrics, thresholds, anomalies and the configuration's own SQL."""

"""Hold small parts that every layer may use: clock, ids, optional imports, the telemetry guard."""

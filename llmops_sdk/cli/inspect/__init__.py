"""Commands that only look: SQL, traces, statistics, live tail and diagnosis."""

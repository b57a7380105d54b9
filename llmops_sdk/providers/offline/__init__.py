"""Answer without a network: `offline/echo` and its relatives, for demos and tests."""

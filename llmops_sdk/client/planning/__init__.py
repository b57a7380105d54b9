"""Plan a call from its options: its model, its policies and its stages, made once for calls with the same options."""

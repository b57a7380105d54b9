"""Let a model judge outputs, one by one or in pairs, and measure how far its verdicts can be trusted."""

"""Learn from scored prompts how good each model is on a prompt."""

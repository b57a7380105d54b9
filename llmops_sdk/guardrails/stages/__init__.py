"""The stages of a call that check what goes to a model and what comes back.

Doors for the rest of `guardrails`: `_input`, `_output`.
"""

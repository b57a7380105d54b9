"""The policy for tools: where values come from, what tools may get, and who approved a call."""

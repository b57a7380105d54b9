"""The states of alerts: what an evaluation found, how a state follows from it, and what is silenced."""

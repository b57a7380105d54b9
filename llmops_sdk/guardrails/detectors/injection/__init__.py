"""Score texts for prompt injections and jailbreaks with a small linear model.

Doors for other packages: `_injection`.
"""

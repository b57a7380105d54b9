"""The semantic tier: serve the answer of another question that asks for the same, with a bound on wrong answers."""

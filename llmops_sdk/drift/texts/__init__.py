"""Data drift of texts: length, language, unknown words, novelty and the shift of the whole distribution.

Everything is calibrated on the two windows themselves, by permutation or by a robust standard error; no threshold of a
distance is fixed. numpy is needed for the parts with vectors alone.
"""

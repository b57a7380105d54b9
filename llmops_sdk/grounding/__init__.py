"""Compare the sentences of an answer with documents, by words, word pairs, word triples, numbers and negations.

The guard `grounded` and the metric `groundedness` use this one model. Pure functions and plain Python: no I/O.
"""

from llmops_sdk.grounding._assess import GROUNDED_THRESHOLD, Assessment, Sentence, assess
from llmops_sdk.grounding._evidence import Evidence
from llmops_sdk.grounding._features import FEATURES, Counts, count_sentences, features_of

__all__ = [
    "FEATURES",
    "GROUNDED_THRESHOLD",
    "Assessment",
    "Counts",
    "Evidence",
    "Sentence",
    "assess",
    "count_sentences",
    "features_of",
]

"""Compare questions by their words: pure rules that say whether, and why, two of them ask for different things."""

from llmops_sdk.caching.semantic.lexical._analyse import Analysed, Term, analyse
from llmops_sdk.caching.semantic.lexical._checks import Finding
from llmops_sdk.caching.semantic.lexical._compare import Comparison, compare, compare_analysed
from llmops_sdk.caching.semantic.lexical._conversation import (
    AnalysedConversation,
    analyse_conversation,
    compare_conversations,
)

__all__ = [
    "Analysed",
    "AnalysedConversation",
    "Comparison",
    "Finding",
    "Term",
    "analyse",
    "analyse_conversation",
    "compare",
    "compare_analysed",
    "compare_conversations",
]

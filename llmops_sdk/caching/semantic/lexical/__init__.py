from llmops_sdk.caching.semantic.lexical._analyse import Analysed, Term, analyse
from llmops_sdk.caching.semantic.lexical._checks import Finding
from llmops_sdk.caching.semantic.lexical._compare import Comparison, compare, compare_analysed

__all__ = ["Analysed", "Comparison", "Finding", "Term", "analyse", "compare", "compare_analysed"]

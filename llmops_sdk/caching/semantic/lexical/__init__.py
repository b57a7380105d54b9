"""tmp"""
from llmops_sdk.caching.semantic.lexical._analyse import Analysed, analyse
from llmops_sdk.caching.semantic.lexical._compare import Comparison, compare, compare_analysed
__all__ = ["Analysed","Comparison", "analyse", "compare", "compare_analysed"]

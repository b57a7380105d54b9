"""Compare conversations: the last messages as any two texts, and what was said before by what it may change."""

from llmops_sdk.caching.semantic.lexical.conversations._compare import (
    AnalysedConversation,
    analyse_conversation,
    compare_conversations,
    is_standalone,
)

__all__ = ["AnalysedConversation", "analyse_conversation", "compare_conversations", "is_standalone"]

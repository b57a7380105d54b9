"""Serve stored answers again: an exact tier with one call at a time for each question, and a semantic tier.

Doors for other packages: `_listing`, `_shared_tiers`.
"""

from typing import TYPE_CHECKING

from llmops_sdk._lazy import lazy_names
from llmops_sdk.caching._decorator import cache
from llmops_sdk.caching._invalidate import invalidate
from llmops_sdk.caching.backends._erase import count_answers, erase
from llmops_sdk.caching.exact._key import request_key
from llmops_sdk.caching.exact._provider import CacheProvider
from llmops_sdk.caching.exact._stats import CacheStats

if TYPE_CHECKING:
    from llmops_sdk.caching.semantic._bound import JudgeError
    from llmops_sdk.caching.semantic._cache import Candidate, Hit, SemanticCache
    from llmops_sdk.caching.semantic._open import open_semantic
    from llmops_sdk.caching.semantic._provider import SemanticProvider
    from llmops_sdk.caching.semantic._store import SemanticStats

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "semantic._bound": "JudgeError",
        "semantic._cache": "Candidate Hit SemanticCache",
        "semantic._open": "open_semantic",
        "semantic._provider": "SemanticProvider",
        "semantic._store": "SemanticStats",
    },
)

__all__ = [
    "CacheProvider",
    "CacheStats",
    "Candidate",
    "Hit",
    "JudgeError",
    "SemanticCache",
    "SemanticProvider",
    "SemanticStats",
    "cache",
    "count_answers",
    "erase",
    "invalidate",
    "open_semantic",
    "request_key",
]

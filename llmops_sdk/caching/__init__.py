"""Serve stored answers again: an exact tier with one call at a time for each question."""

from llmops_sdk.caching._decorator import cache
from llmops_sdk.caching._invalidate import invalidate
from llmops_sdk.caching.backends._erase import count_answers, erase
from llmops_sdk.caching.exact._key import request_key
from llmops_sdk.caching.exact._provider import CacheProvider
from llmops_sdk.caching.exact._stats import CacheStats

__all__ = ["CacheProvider", "CacheStats", "cache", "count_answers", "erase", "invalidate", "request_key"]

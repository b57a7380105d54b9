"""What requests and answers carry for traffic control: the way of a call, and the provider's rate limits."""

from llmops_sdk.providers.traffic._rate_limits import RateLimits
from llmops_sdk.providers.traffic._route import Leg, Route, Target

__all__ = ["Leg", "RateLimits", "Route", "Target"]

"""What requests and answers carry for traffic control: the way of a call, a deployment's health, rate limits."""

from llmops_sdk.providers.traffic._health import Health, health_of
from llmops_sdk.providers.traffic._rate_limits import RateLimits
from llmops_sdk.providers.traffic._route import Leg, Route, Target

__all__ = ["Health", "Leg", "RateLimits", "Route", "Target", "health_of"]

"""Hedge: send a slow call a second time, and take the faster answer."""

from llmops_sdk.resilience.hedging._decorator import hedge
from llmops_sdk.resilience.hedging._policies import HedgePolicies, policies_of
from llmops_sdk.resilience.hedging._policy import HedgePolicy
from llmops_sdk.resilience.hedging._provider import HedgeProvider

__all__ = ["HedgePolicies", "HedgePolicy", "HedgeProvider", "hedge", "policies_of"]

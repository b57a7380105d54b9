"""Balance calls over the deployments of one model."""

from llmops_sdk.resilience.balance._balancer import Balancer, balancer_of
from llmops_sdk.resilience.balance._provider import BalanceProvider, Deployment

__all__ = ["BalanceProvider", "Balancer", "Deployment", "balancer_of"]

"""`flush`, `aflush` and `shutdown` as the application calls them."""

from __future__ import annotations

from llmops_sdk.tracing.records._records import FlushReport
from llmops_sdk.tracing.runtime._start import flush, shutdown

__all__ = ["aflush", "flush", "shutdown"]


async def aflush(timeout: float = 5.0) -> FlushReport:
    """Flush without blocking the event loop; see `flush`.

    Args:
        timeout: Seconds to wait at most.

    Example:
        >>> import asyncio
        >>> import llmops_sdk as llmops
        >>> asyncio.run(llmops.aflush()).pending
        0
    """
    import asyncio

    return await asyncio.to_thread(flush, timeout)

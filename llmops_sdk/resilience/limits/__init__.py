"""Limit concurrency and rates: fair queues, limiters over any shared state, and limits that adapt."""

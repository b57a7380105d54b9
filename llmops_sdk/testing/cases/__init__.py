"""Run `@eval_case` functions and case files under pytest: verdicts, quarantine, gate and summary.

The plugin imports it when it meets the first case, or when an option asks for it.
"""

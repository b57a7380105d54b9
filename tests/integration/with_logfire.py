"""A program with a real Logfire, which sends nothing, and this SDK: argument "logfire" or "llmops" is set up first."""

from __future__ import annotations

import sys

import logfire

import llmops_sdk as llmops


def configure_logfire() -> None:
    logfire.configure(send_to_logfire=False, console=False, inspect_arguments=False)


@llmops.trace
def ours() -> str:
    with logfire.span("logfire inner {n}", n=1):
        logfire.info("a note")
        return llmops.chat("hello").text


if sys.argv[1] == "llmops":
    with llmops.span("before"):
        pass
configure_logfire()
with logfire.span("logfire outer"):
    ours()
with llmops.span("ours outer"), logfire.span("logfire below"):
    pass
logfire.shutdown()
llmops.shutdown()

"""Record calls of Anthropic's client. Needs ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL of another server.

python example.py "Where is my card?"
"""

import os
import sys

import llmops_sdk_anthropic
from anthropic import Anthropic

import llmops_sdk as llmops

llmops_sdk_anthropic.instrument()
client = Anthropic()
MODEL = os.environ.get("ANTHROPIC_MODEL", "claude-opus-4-5")


@llmops.trace(kind="agent")
def answer(question: str) -> str:
    message = client.messages.create(
        model=MODEL,
        max_tokens=500,
        system="You answer customers of a bank.",
        messages=[{"role": "user", "content": question}],
    )
    return "".join(block.text for block in message.content if block.type == "text")


with llmops.context(user_id="ada", session_id="s1"):
    print(answer(" ".join(sys.argv[1:]) or "Where is my card?"))
llmops.flush()
llmops.query("SELECT name, model, input_tokens, output_tokens, user_id FROM llm_calls").show()

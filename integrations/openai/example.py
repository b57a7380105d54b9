"""Record calls of OpenAI's client. Needs OPENAI_API_KEY, or OPENAI_BASE_URL of a compatible server.

python example.py "Where is my card?"
"""

import os
import sys

import llmops_sdk_openai
from openai import OpenAI

import llmops_sdk as llmops

llmops_sdk_openai.instrument()
client = OpenAI()
MODEL = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")


@llmops.trace(kind="agent")
def answer(question: str) -> str | None:
    messages = [
        {"role": "system", "content": "You answer customers of a bank."},
        {"role": "user", "content": question},
    ]
    completion = client.chat.completions.create(model=MODEL, messages=messages)
    return completion.choices[0].message.content


with llmops.context(user_id="ada", session_id="s1"):
    print(answer(" ".join(sys.argv[1:]) or "Where is my card?"))
llmops.flush()
llmops.query("SELECT name, model, input_tokens, output_tokens, user_id FROM llm_calls").show()

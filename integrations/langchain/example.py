"""Record a chain of LangChain. Needs langchain-openai and OPENAI_API_KEY, or OPENAI_BASE_URL.

python example.py "Where is my card?"
"""

import os
import sys

import llmops_sdk_langchain
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI

import llmops_sdk as llmops

llmops_sdk_langchain.instrument()
model = ChatOpenAI(model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini"))
prompt = ChatPromptTemplate.from_messages([("system", "You answer for a bank: {articles}"), ("user", "{question}")])


@llmops.trace(kind="retriever")
def find_articles(question: str) -> list[str]:
    return ["Cards are posted within five days."] if "card" in question else []


def add_articles(inputs: dict[str, str]) -> dict[str, object]:
    return {**inputs, "articles": find_articles(inputs["question"])}


chain = RunnableLambda(add_articles) | prompt | model

with llmops.context(user_id="ada", session_id="s1"):
    print(chain.invoke({"question": " ".join(sys.argv[1:]) or "Where is my card?"}).content)
llmops.flush()
llmops.query("SELECT name, kind, duration_ms, user_id FROM spans ORDER BY start_ns").show()
llmops.query("SELECT name, model, input_tokens, output_tokens FROM llm_calls").show()

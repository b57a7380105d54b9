"""A help desk of a bank: find the article, and let a model answer with it.

The model is the offline one, which repeats its prompt: `contains` then tells whether the right article was found. Set
LLMOPS_MODEL, or `model` in llmops.toml, for a real one. The cases stay as they are.
"""

import re

import llmops_sdk as llmops

ARTICLES = (
    "A new card takes three days.",
    "Blocking a lost card is free, day and night.",
    "A transfer within Europe costs nothing.",
    "An overdraft costs 9 percent a year.",
    "Statements are in the app, below Documents.",
)


def words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]{3,}", text.lower()))


@llmops.trace(kind="retriever")
def search(question: str) -> str:
    return max(ARTICLES, key=lambda article: len(words(article) & words(question)))


@llmops.llm(system="Answer with the article alone.")
def ask(question: str, article: str) -> str:
    return f"{article}\n\n{question}"


@llmops.trace
def answer(question: str) -> str:
    return ask(question, search(question))

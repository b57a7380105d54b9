"""Decide by their words whether the answer to one question answers another one: pure functions, no model, no state.

Vectors of "savings to current" and "current to savings" have a cosine of .998: no threshold tells such pairs apart. The
checks compare what the vectors blur, and name what they find.

`compare` returns a `Comparison`. Its decision is "same" only if every difference is explained: another way of asking
("how do I" and "what is the best way to"), politeness, a contraction, a spelling, a misspelling, a synonym that hardly
changes an answer, or a part of the sentence that moved. It is "different" if a difference changes the answer:

| reason | example |
|---|---|
| `number`, `date`, `time`, `unit`, `code` | 5 and 50, 2023 and 2024, 7am and 7pm, kg and g, order 48213 and 48231 |
| `negation`, `affix`, `antonym` | "not", members and non-members, on and off |
| `entity`, `content`, `modifier` | Paris and Rome, chicken and beef, card and gift card |
| `order`, `role` | savings to current, current to savings; under and over; "call me", "call you" |
| `question` | how and why with the same words |

Case and punctuation count only where they mean something: flags, signs, arithmetic, code, quotations, words like "IT"
(`_marks`).

Everything else is "unsure": `paraphrase` (other words), `order`, `role`, `tense`, `question`, `negation` (small
differences that may matter), `history`, `language` (the rules know English; of other languages only equal texts are the
same, and only values make them different), `length` (more than 4,000 characters or 200 words). Leave these to a judge.

The policy to start with: serve "same", ask a judge about "unsure", refuse "different". The score, from 0 to 1, orders
pairs. For "same" it is .8 and more. It follows the similarity where texts are in other words, because words tell little
there; its value then depends on the embedder, so a threshold on it does too.

`analyse` does what a text needs once (about 0.1 ms). Keep `Analysed` beside a stored entry; `compare_analysed` takes
0.15 ms at most for questions. `compare_conversations` adds what was said before.
"""

from llmops_sdk.caching.semantic.lexical._analyse import Analysed, Term, analyse
from llmops_sdk.caching.semantic.lexical._checks import Finding, Reason
from llmops_sdk.caching.semantic.lexical._compare import Comparison, Decision, compare, compare_analysed
from llmops_sdk.caching.semantic.lexical._values import Value
from llmops_sdk.caching.semantic.lexical.conversations import (
    AnalysedConversation,
    analyse_conversation,
    compare_conversations,
    is_standalone,
)

__all__ = [
    "Analysed", "AnalysedConversation", "Comparison", "Decision", "Finding", "Reason", "Term", "Value", "analyse",
    "analyse_conversation", "compare", "compare_analysed", "compare_conversations", "is_standalone",
]  # fmt: skip

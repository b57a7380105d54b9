"""Test the prompts of the help desk.

    pytest

pytest also runs help_desk.eval.yaml.
"""

from help_desk import answer, search

import llmops_sdk as llmops
from llmops_sdk.evals import scorer


@scorer(threshold=1)
def short(output):
    return len(output) <= 400


# The function returns the output, and scorers judge it. A real model may answer differently each time: a case whose
# runs disagree is reported as flaky, and does not fail.
@llmops.eval_case(cases=["Is a transfer free?", "Who are you?"], scorers=[short, "not_empty"], repeats=3)
def test_answers_are_short(question):
    return answer(question)


# Or it asserts by itself.
@llmops.eval_case(cases=[{"id": "card", "input": "My new card?", "expected": "A new card takes three days."}])
def test_search(question, expected):
    assert search(question) == expected

"""Conversations: the last messages are the same question, what was said before decides."""

from __future__ import annotations

import pytest

from llmops_sdk.caching.semantic.lexical import analyse_conversation, compare_conversations, is_standalone
from llmops_sdk.caching.semantic.lexical._analyse import analyse
from llmops_sdk.errors import ConfigError


def talk(*texts: str) -> list[dict[str, str]]:
    """Return messages whose last one is the user's, the user and the assistant in turns."""
    roles = ("user", "assistant")
    return [{"role": roles[(len(texts) - 1 - at) % 2], "content": text} for at, text in enumerate(texts)]


def decide(one: list[dict[str, str]], other: list[dict[str, str]]) -> str:
    found = [analyse_conversation(messages) for messages in (one, other)]
    there = compare_conversations(*found, similarity=0.98).decision
    assert there == compare_conversations(*reversed(found), similarity=0.98).decision
    return there


@pytest.mark.parametrize(
    ("one", "other", "last"),
    [
        # The same words follow another subject, another detail, another offer.
        (("Cancel my gym", "Shall I?"), ("Cancel my phone plan", "Shall I?"), "Yes, cancel it"),
        (("I fly to Rome", "Lovely."), ("I fly to Oslo", "Lovely."), "do I need a visa?"),
        (("Order 70452 please", "Found it."), ("Order 70425 please", "Found it."), "can I change the address?"),
        (("Book Tuesday at 6pm", "Fine."), ("Book Tuesday at 7pm", "Fine."), "how long does it take?"),
        (("It renews soon", "Shall I cancel it?"), ("It renews soon", "Shall I pause it?"), "yes please"),
        (
            ("My options?", "First, a loan; or second, a card."),
            ("My options?", "First, a card; or second, a loan."),
            "let's do the first one",
        ),
        (("I fly to Rome", "Lovely."), ("I fly to Rome", "Lovely.", "and to Oslo", "Sure."), "do I need a visa?"),
    ],
)
def test_follow_up_after_another_history_is_not_served(one: tuple[str, ...], other: tuple[str, ...], last: str):
    assert decide(talk(*one, last), talk(*other, last)) != "same"


def test_follow_up_after_the_same_history_with_small_talk_is_served():
    plain = talk("I fly to Rome on Monday", "Lovely. Rome is sunny.", "how long is the flight?")
    chatty = talk(
        "Hi! I fly to Rome on Monday, so happy", "Great! Lovely. Rome is sunny.", "How long is the flight? Thanks"
    )

    assert decide(plain, chatty) == "same"


def test_question_that_stands_alone_is_served_after_any_history():
    one = talk("How do I add VAT?", "Choose a rate.", "Do you deliver on Sundays?")
    other = talk("I lost a parcel", "Which one?", "do you deliver on Sundays")

    assert decide(one, other) == "same"


def test_question_that_stands_alone_is_not_served_between_names():
    one = talk("Is the Larkfield nice?", "The Larkfield has a pool.", "Do you deliver on Sundays?")
    other = talk("Is the Brindle nice?", "The Brindle has a bar.", "Do you deliver on Sundays?")

    assert decide(one, other) == "unsure"


def test_other_instructions_are_not_served():
    last = {"role": "user", "content": "Do you deliver on Sundays?"}
    one, other = [[{"role": "system", "content": text}, last] for text in ("Be kind.", "Be brief.")]

    assert decide(one, other) == "different"
    assert decide(one, list(one)) == "same"


def test_other_last_question_is_different_whatever_was_said():
    assert (
        decide(talk("Hi", "Hello", "Are you open at 7am?"), talk("Hi", "Hello", "Are you open at 7pm?")) == "different"
    )


@pytest.mark.parametrize(
    "text", ["how much is it?", "and in Rome?", "yes", "what about my card?", "which one?", "帮我"]
)
def test_text_that_refers_to_what_was_said_does_not_stand_alone(text: str):
    assert not is_standalone(analyse(text))


@pytest.mark.parametrize("messages", [[], [{"role": "user"}], [{"role": "user", "content": 3}], [{"content": "hi"}]])
def test_messages_that_are_no_texts_raise(messages: list[dict[str, str]]):
    with pytest.raises(ConfigError, match="message"):
        analyse_conversation(messages)


def test_conversation_over_the_bound_is_unsure():
    long = talk(*[f"message {at}" for at in range(400)], "how much is it?")

    assert decide(long, [{"role": "user", "content": "other"}, *long]) == "unsure"

"""Pairs of questions: which may have one answer, and why the others may not."""

from __future__ import annotations

import pytest

from llmops_sdk.caching.semantic.lexical import compare

DIFFERENT = [
    # The cases that vectors do not tell apart.
    ("Move £50 from savings to current", "Move £50 from current to savings", "order"),
    ("savings to current", "current to savings", "order"),
    ("Flights from Paris to Rome", "Flights from Rome to Paris", "order"),
    ("How do I convert a PDF to Word?", "How do I convert Word to a PDF?", "order"),
    ("Can a dog eat a cat?", "Can a cat eat a dog?", "order"),
    ("Is Python faster than Java?", "Is Java faster than Python?", "order"),
    ("Remind me at 7am", "Remind me at 7pm", "time"),
    ("Is the meeting at 10:30?", "Is the meeting at 10:45?", "time"),
    ("What was revenue in 2023?", "What was revenue in 2024?", "date"),
    ("What was revenue in Q3 2023?", "What was revenue in Q3 2024?", "date"),
    ("Are you open on Monday?", "Are you open on Tuesday?", "date"),
    ("Where is order 48213?", "Where is order 48231?", "code"),
    ("Refund for order A12-B3", "Refund for order A12-B4", "code"),
    ("Is delivery £50?", "Is delivery £500?", "number"),
    ("Plans for 5 users", "Plans for fifty users", "number"),
    ("Is a bag of 5 kg free?", "Is a bag of 5 lb free?", "unit"),
    ("Is it -5 degrees?", "Is it 5 degrees?", "number"),
    ("Is the deposit refundable?", "Is the deposit non-refundable?", "affix"),
    ("Is the deposit refundable?", "Is the deposit nonrefundable?", "affix"),
    ("How do I archive a chat?", "How do I unarchive a chat?", "affix"),
    ("Can members enter?", "Can non-members enter?", "affix"),
    ("Tax if I am employed", "Tax if I am self-employed", "affix"),
    ("How do I start the service?", "How do I restart the service?", "affix"),
    ("How do I buy a gift?", "How do I buy a gift card?", "modifier"),
    ("Where is my warranty?", "Where is my extended warranty?", "modifier"),
    ("How many people live there, roughly?", "How many people live there, exactly?", "modifier"),
    ("How many people live there?", "Exactly how many people live there?", "modifier"),
    ("Give me approximately 100 words", "Give me exactly 100 words", "modifier"),
    ("What do you usually charge?", "What do you currently charge?", "modifier"),
    ("Is the shop still open?", "Is the shop open yet?", "modifier"),
    ("Is the water too hot?", "Is the water hot?", "modifier"),
    ("What is the sum of the even numbers?", "What is the sum of the numbers?", "modifier"),
    ("Turn on dark mode", "Turn off dark mode", "antonym"),
    ("How do I increase my limit?", "How do I lower my limit?", "antonym"),
    ("Should I commit the file?", "Should I not commit the file?", "negation"),
    ("Why can I log in?", "Why can't I log in?", "negation"),
    ("Should I water it?", "Should I stop watering it?", "negation"),
    ("How do I set up a direct debit?", "How do I set up a direct debt?", "antonym"),
    ("What should an employee sign?", "What should an employer sign?", "antonym"),
    ("Do you ship to Austria?", "Do you ship to Australia?", "entity"),
    ("Can I pay with PayPal?", "Can I pay with Klarna?", "entity"),
    ("Is the beef dish spicy?", "Is the chicken dish spicy?", "content"),
    ("Are you open before 9am?", "Are you open after 9am?", "role"),
    ("How do I opt in to it?", "How do I opt out of it?", "role"),
    ("Can you call me?", "Can I call you?", "order"),
    ("What resets my router?", "Why do I reset my router?", "question"),
    ("How do I reset my router?", "Why do I reset my router?", "question"),
    ("When do I reset my router?", "Where do I reset my router?", "question"),
    ("How do I reset my router?", "When do I reset my router?", "question"),
    # Words that differ in a few letters and name something else.
    ("Is nitrite in water safe?", "Is nitrate in water safe?", "entity"),
    ("What is sulfite for?", "What is sulfate for?", "entity"),
    ("What is chlorate for?", "What is chloride for?", "entity"),
    ("How does an interstate transfer work?", "How does an intrastate transfer work?", "content"),
    ("Where is Kayla's order?", "Where is Kaila's order?", "entity"),
    # Not the same thing, though close.
    ("Do you ship to the EU?", "Do you ship to Europe?", "entity"),
    ("Do you deliver at 9 Orchard Court?", "Do you deliver at 9 o'clock?", "time"),
    ("What is my last payment?", "What is my final payment?", "entity"),
    ("What does the guarantee cover?", "What does the warranty cover?", "content"),
    ("What do 5 pounds of beef cost?", "What does £5 of beef cost?", "number"),
    ("Is it true that if a then b?", "Is it true that if b then a?", "code"),
]  # fmt: skip
SAME = [
    ("Are you open at 11pm?", "Are you open at 11 at night?"),
    ("Roughly how long does delivery take?", "How long does delivery take?"),
    ("What exactly is the deposit?", "What is the deposit?"),
    ("Is the bank open for me, too?", "Is the bank open for me?"),
    ("What is three plus 4?", "what's 3 plus four"),
    ("Cancel my order", "Could you please cancel my order? Thanks!"),
    ("How do I reset my password?", "hi, can you tell me how to reset my password"),
    ("How do I reset my password?", "What's the best way to reset my password?"),
    ("How do I merge cells in a sheet?", "In a sheet, how do I merge cells?"),
    ("Move £50 from savings to current", "Move £50 to current from savings"),
    ("Apply for a primary school place", "Apply for a place at a primary school"),
    ("What's Australia's capital?", "What is the capital of Australia?"),
    ("centre opening hours", "center opening hours"),
    ("invioce histroy", "invoice history"),
    ("I cannot log in", "I can't log in"),
    ("Table for 2 at 7pm", "table for two at seven this evening"),
    ("Can I return it after two weeks?", "Can I return it after 14 days?"),
    ("Is it £1,000?", "is it 1000 pounds"),
    ("Is the non refundable rate cheaper?", "Is the non-refundable rate cheaper?"),
    ("Is it open at 15:00?", "Is it open at 3pm?"),
    ("When does the shop close?", "What time does the store shut?"),
    ("What does it cost for the US?", "what does it cost for the USA"),
]
UNSURE = [
    ("Can you book it?", "Can you book it for me and my cat in Rome tonight?", "paraphrase"),
    ("How do I change my address?", "Can I change my address?", "question"),
    ("Did my payment arrive?", "Does my payment arrive?", "tense"),
    ("How do I pay in euros?", "How do I pay with euros?", "role"),
    ("Comment annuler ma commande ?", "Comment annuler mon abonnement ?", "language"),
    ("如何重置密码", "如何重置我的密码", "language"),
]


@pytest.mark.parametrize(("asked", "stored", "reason"), DIFFERENT)
def test_pair_with_another_answer_is_different_for_its_reason(
    asked: str, stored: str, reason: str, vocabulary: frozenset[str]
):
    for one, other in ((asked, stored), (stored, asked)):
        found = compare(one, other, similarity=0.99, vocabulary=vocabulary)

        assert (found.decision, found.reason) == ("different", reason)
        assert found.checks[0].asked or found.checks[0].stored


@pytest.mark.parametrize(("asked", "stored"), SAME)
def test_pair_that_differs_in_writing_only_is_same(asked: str, stored: str, vocabulary: frozenset[str]):
    for one, other in ((asked, stored), (stored, asked)):
        found = compare(one, other, similarity=0.5, vocabulary=vocabulary)

        assert found.decision == "same", found
        assert found.score >= 0.9


@pytest.mark.parametrize(("asked", "stored", "reason"), UNSURE)
def test_pair_that_words_do_not_decide_is_unsure(asked: str, stored: str, reason: str, vocabulary: frozenset[str]):
    found = compare(asked, stored, similarity=0.99, vocabulary=vocabulary)

    assert (found.decision, found.reason) == ("unsure", reason)
    assert found.score < 0.9


def test_no_misspelling_is_explained_without_a_vocabulary():
    assert compare("order histroy", "order histori", similarity=0.9).decision != "same"


def test_numbers_tell_texts_of_other_languages_apart():
    found = compare("Rechnung 4711 senden", "Rechnung 4712 senden", similarity=0.99)

    assert (found.decision, found.reason) == ("different", "number")


def test_score_follows_the_similarity_where_words_tell_little():
    pair = ("My flight was scrapped, what am I owed?", "How do I get compensation for a cancelled plane?")

    assert compare(*pair, similarity=0.9).score > compare(*pair, similarity=0.6).score


def test_signs_and_symbols_are_words():
    assert compare("is x < 5", "is x > 5", similarity=1.0).decision != "same"
    assert compare("I feel \N{GRINNING FACE} today", "I feel \N{POUTING FACE} today", similarity=1.0).decision != "same"
    assert compare("use C here", "use C++ here", similarity=1.0).decision != "same"


def test_misspelling_of_a_word_that_stands_twice_reads_the_same_both_ways(vocabulary: frozenset[str]):
    pair = ("order history: what is my order history?", "order history: what is my order histroy?")

    for one, other in (pair, pair[::-1]):
        assert compare(one, other, similarity=0.95, vocabulary=vocabulary).decision == "same"


@pytest.mark.parametrize("text", ["Are you open at 7am?", "Zebras: are you open at 7am?"])
def test_findings_say_which_text_has_what(text: str):
    found = compare(text, text.replace("7am", "9pm"), similarity=0.95).checks[0]
    back = compare(text.replace("7am", "9pm"), text, similarity=0.95).checks[0]

    assert (found.asked, found.stored) == ("7am", "9pm") == (back.stored, back.asked)

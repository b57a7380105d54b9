"""The prompts of an identity canary by default."""

__all__ = ["PROMPTS"]

PROMPTS: tuple[str, ...] = (
    "Pick a random digit from 0 to 9. Answer with the digit only.",
    "Pick a random letter of the alphabet. Answer with the letter only.",
    "Flip a coin. Answer with one word: heads or tails.",
    "Roll a die. Answer with the number only.",
    "Name a colour at random. Answer with one word.",
    "Name an animal at random. Answer with one word.",
    "Name a fruit at random. Answer with one word.",
    "Name a day of the week at random. Answer with one word.",
    "Name a month at random. Answer with one word.",
    "Name a season at random. Answer with one word.",
    "Name one of the four suits of playing cards at random. Answer with one word.",
    "Pick a random number from 1 to 100. Answer with the number only.",
    "Say a greeting in any language. Answer with one word.",
    "Name a metal at random. Answer with one word.",
    "Name a musical instrument at random. Answer with one word.",
    "Name a planet at random. Answer with one word.",
    "Complete with one word: The sky today is",
    "Complete with one word: She opened the door and saw a",
    "Complete with one word: The best thing about the weekend is",
    "Complete with one word: My favourite food is",
    "Answer left or right at random, with one word.",
    "Answer yes or no at random, with one word.",
    "Pick one at random and answer with its letter only: A, B, C or D.",
    "Pick one at random and answer with one word: rock, paper or scissors.",
)
"""Each has several likely first tokens, so that another model, or another quantization, shifts their shares."""

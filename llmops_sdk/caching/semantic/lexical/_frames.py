"""How a question is asked: contractions, ways of asking, words that only frame it, and what a request is wrapped in.

A way of asking becomes one token in angle brackets. "What is the best way to", "how do I" and "how can I" are `<how>`.
"""

from __future__ import annotations

from itertools import product

from llmops_sdk.caching.semantic.lexical._words import words

__all__ = ["CONTRACTIONS", "CORRECTIVES", "ENGLISH", "FILLERS", "FRAMES", "LIGHT", "PRONOUNS", "TENSES"]

Rewrite = tuple[tuple[str, ...], tuple[str, ...]]

CONTRACTIONS: dict[str, tuple[str, ...]] = {
    "can't": ("can", "not"), "cannot": ("can", "not"), "cant": ("can", "not"), "won't": ("will", "not"),
    "wont": ("will", "not"), "shan't": ("shall", "not"), "ain't": ("is", "not"), "dont": ("do", "not"),
    "doesnt": ("does", "not"), "didnt": ("did", "not"), "isnt": ("is", "not"), "arent": ("are", "not"),
    "wasnt": ("was", "not"), "werent": ("were", "not"), "hasnt": ("has", "not"), "havent": ("have", "not"),
    "hadnt": ("had", "not"), "couldnt": ("could", "not"), "shouldnt": ("should", "not"),
    "wouldnt": ("would", "not"), "mustnt": ("must", "not"), "neednt": ("need", "not"), "let's": ("let", "us"),
    "whats": ("what", "is"), "whos": ("who", "is"), "wheres": ("where", "is"), "hows": ("how", "is"),
    "whens": ("when", "is"), "whys": ("why", "is"), "thats": ("that", "is"), "theres": ("there", "is"),
    "im": ("i", "am"), "ive": ("i", "have"), "youre": ("you", "are"), "theyre": ("they", "are"),
    "u": ("you",), "ur": ("your",), "pls": ("please",), "plz": ("please",), "thx": ("thanks",),
    "gonna": ("going", "to"), "wanna": ("want", "to"), "gotta": ("have", "to"), "dunno": ("do", "not", "know"),
    "r": ("are",), "abt": ("about",), "w/o": ("without",), "&": ("and",), "centre": ("center",),
    "teh": ("the",), "hte": ("the",), "hwo": ("how",), "waht": ("what",), "hwat": ("what",), "wat": ("what",),
    "wich": ("which",), "whcih": ("which",), "wher": ("where",), "whre": ("where",), "whne": ("when",),
    "cna": ("can",), "adn": ("and",), "nad": ("and",), "yuo": ("you",), "yoru": ("your",), "thier": ("their",),
    "taht": ("that",), "fo": ("of",), "ot": ("to",), "fro": ("for",), "si": ("is",), "od": ("do",), "ym": ("my",),
    "becuase": ("because",), "wiht": ("with",), "woudl": ("would",), "shoud": ("should",), "coud": ("could",),
}  # fmt: skip

# Words after which a text counts as English. Words that other languages share ("a", "me", "an", "in") are not here.
ENGLISH = words("""
    the is are was were do does did how what why when where who which can could should would will shall my your our
    their with from of for and or not it this that these those have has had please i you we they to at by there be
    if about remind send show give tell set turn cancel order transfer what's how's where's who's i'm don't can't
""")

# Said at any place of a question without a change of the answer.
_FILLERS = """
    please, kindly, can you please, could you please, would you please, please can you, please could you, hi,
    hi there, hello, hello there, hey, hey there, good morning, good afternoon, good evening, dear team, dear support,
    morning all, thanks, thank you, thank you very much, thank you so much, thanks a lot, thanks so much, many thanks,
    thanks in advance, thank you in advance, cheers, ta, um, uh, uhm, umm, er, erm, hmm, like i said, ok, okay, ok so,
    quick one, quick question, a quick question, just a quick question, one question, i have a question,
    i have a quick question, i had a question, just wondering, hiya, howdy, greetings, good day, afternoon all,
    you know, i mean, oh, ah, right now, so far, as well, too, already, yet, alright, yeah, obviously, literally,
    any help appreciated, any help would be appreciated, help, help please, please help, please advise,
    much appreciated, appreciate it, thanks for your help, thank you for your help, hope you are well,
    hope you are doing well, i hope you are well, hope you can help, silly question, stupid question, random question,
    quick q, another question, one more question, one more thing, my question is, i was just wondering,
    i was just wondering if, i am just wondering, i need to ask, i would love to know, i need some help, i need help,
    can someone tell me, could someone tell me, can anybody tell me, does anybody know, anyone know,
    would you be able to tell me, are you able to tell me, do you have any idea, have you any idea,
    please can you tell me, please could you tell me, can you confirm, could you confirm, can you advise,
    could you advise, can you clarify, could you clarify, i was wondering, i was wondering if, i am wondering,
    wondering, i wonder, i wonder if, just checking, just curious, out of curiosity, by the way, btw, sorry,
    sorry to bother you, excuse me, can you tell me, could you tell me, can you please tell me,
    could you please tell me, can you help me, can you help me with, could you help me, can anyone tell me,
    can you explain, could you explain, can you explain to me, can you let me know, could you let me know,
    let me know, tell me, please tell me, do you know, would you know, would you mind telling me, any idea,
    any chance you know, i would like to know, i want to know, i need to know, i would like to ask, i want to ask,
    may i ask, can i ask, could i ask, i need help with, i need some help with, help me with, i am trying to find out,
    i am trying to understand, do you happen to know, does anyone know, for me, if possible, if you do not mind,
    at the moment, at all, exactly, precisely, basically, currently, usually, normally, generally, typically, really,
    actually, just, simply, ever, also, still, then, so, anyway, roughly, approximately, approx, specifically, lol,
    mate, guys, folks
"""
FILLERS: tuple[tuple[str, ...], ...] = tuple(tuple(line.split()) for line in _FILLERS.split(","))

# Words that may stand on one side only. "in", "with", "to", "your" are not here: they carry the meaning of a question.
LIGHT = words("""
    a an the my our mine i we me am is are be been do does has have will shall this that it there
""")

# What a pronoun stands for: the speaker, the other side, somebody else.
PRONOUNS = {
    "i": "speaker", "me": "speaker", "my": "speaker", "mine": "speaker", "myself": "speaker", "we": "speaker",
    "our": "speaker", "ours": "speaker", "us": "speaker", "you": "hearer", "your": "hearer", "yours": "hearer",
    "yourself": "hearer", "he": "he", "him": "he", "his": "he", "himself": "he", "she": "she", "her": "she",
    "hers": "she", "herself": "she", "they": "they", "them": "they", "their": "they", "theirs": "they",
    "themselves": "they",
}  # fmt: skip

TENSES = {"did": "past", "was": "past", "were": "past", "had": "past"}

# Words that show that the text takes back or narrows what it said: nothing is explained away around them.
CORRECTIVES = words("""
    but except unless instead rather only if because although though however not no never
""")


def _alternatives(pattern: str) -> list[tuple[str, ...]]:
    """Return the phrases of a pattern, where "a/b" is a choice and a final "?" makes a word optional."""
    choices: list[list[str]] = []
    for word in pattern.split():
        options = word.removesuffix("?").split("/")
        choices.append([*options, ""] if word.endswith("?") else options)
    phrases = [tuple(word for word in picked if word) for picked in product(*choices)]
    return [phrase for phrase in phrases if phrase]


_PATTERNS = """
<how> = how do/can/could/should/would/may/might i/we like?
<how> = how to
<how> = how do/can/could/should/would i/we go about
<how> = how does one
<how> = how am/are i/we able to
<how> = how is it possible to
<how> = what is the best/easiest/quickest/right/correct/proper? way to/of
<how> = what is the process/procedure/method for/of/to
<how> = what are the steps/instructions to/for
<how> = what steps do/should/must i/we take/follow to
<how> = what do/should/must i/we need/have? to? do to
<how> = in what way do/can i/we
<can> = can/could/may/might i/we
<can> = am/are i/we allowed/able/permitted to
<can> = is it possible/ok/okay/allowed/permitted/alright/fine to
<can> = is it possible/ok/okay for me/us to
<can> = would it be possible/ok/okay to
<can> = is there a/any way/possibility to
<can> = can/could/may/might
<offer> = do you offer/have/do/provide/sell/stock
<offer> = have you got
<offer> = is/are there a?/an?/any?
<offer> = do/does they/it offer/have/provide
<accept> = do you accept/take
<accept> = is it possible to pay with/by/using/via
<accept> = can i/we pay with/by/using/via
<howmuch> = how much is/are/does/do/would/will/did
<howmuch> = how much
<howmuch> = how much do/will you charge to/for
<howmuch> = what do/will you charge to/for
<howmuch> = what is/are the price/cost/fee/charge of/for/to
<howlong> = how long
<howlong> = how much time
<howmany> = how many
<howoften> = how often
<howfar> = how far
<howold> = how old
<howsoon> = how soon/quickly/fast
<when> = when
<when> = at? what time
<when> = by when
<whatday> = on? what/which day/date
<where> = where
<where> = in? which/what place
<why> = why
<who> = who/whom
<whose> = whose
<want> = i/we want/wish/need/have/plan/intend to
<want> = i/we am/are trying/looking/going/planning to
<want> = i/we would like/love to
<want> = help me to?
<whatis> = what is/are
<what> = what/which
<must> = do i/we need/have to
<must> = must/should i/we
<must> = am/are i/we required/supposed/obliged to
<yesno> = is/are/am/was/were/do/does/did/has/have/had/will/would/should/must
<plainhow> = how
"""


def _read_frames() -> dict[str, tuple[Rewrite, ...]]:
    by_first: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {}
    for line in _PATTERNS.strip().split("\n"):
        name, _, pattern = line.partition(" = ")
        for phrase in _alternatives(pattern):
            by_first.setdefault(phrase[0], {}).setdefault(phrase, (name,))
    for phrase in FILLERS:
        by_first.setdefault(phrase[0], {}).setdefault(phrase, ())
    return {first: tuple(sorted(some.items(), key=lambda one: -len(one[0]))) for first, some in by_first.items()}


FRAMES = _read_frames()

"""Read what the comparison of words leaves out and what still changes the answer: signs, code, capitals, quotations.

Words are compared without case and punctuation. That is right for prose, and wrong for "ls -l" and "ls -L", for "-£5"
and "£5", for "US" and "us". A mark is such a part of a text, as it is written.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise, zip_longest
from typing import Literal, NamedTuple

from llmops_sdk.caching.semantic.lexical._words import words

__all__ = [
    "NO_MARKS",
    "Mark",
    "Marks",
    "difference_of",
    "is_cased_otherwise",
    "marks_of",
    "prose_difference_of",
    "spell_out",
]

MarkReason = Literal["code", "number", "unit", "entity"]


class Mark(NamedTuple):
    """A part of a text that counts as it is written, and the reason of a text that lacks it."""

    reason: MarkReason
    text: str


class Marks(NamedTuple):
    """The marks of a text.

    Attributes:
        decisive: Flags, signs, arithmetic, units and invisible characters. Other ones mean another question.
        written: Code, paths and layout. Texts of the same words are the same question only if these are equal.
        quoted: What stands between quotation marks.
        acronyms: Words in capitals that mean something else in small letters, such as "IT".
        nouns: Words in capitals that may mean something else in small letters, such as "PET".
        names: Words with a capital letter inside a sentence that in small letters are everyday words, such as "Polish".
        plain: The same words in small letters, such as "polish".
        cased: Whether capitals and small letters are told apart: a text in small letters alone says nothing about them.
        literal: Whether the text asks about its own letters.
        shown: The whole text.
    """

    decisive: tuple[Mark, ...] = ()
    written: tuple[Mark, ...] = ()
    quoted: tuple[str, ...] = ()
    acronyms: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    names: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()
    cased: bool = False
    literal: bool = False
    shown: str = ""


NO_MARKS = Marks()

_FLAG = re.compile(r"-[A-Za-z]\w*+|--[A-Za-z][\w-]*+(?:=\S*+)?")
_SIGNED = re.compile(r"[-+][£$€¥₹]?\d|[£$€¥₹][-+]\d")
_EXPONENT = re.compile(r"\d[eE][-+]?\d")
_SUM = re.compile(r"[\d)\]!][-+*/^=<>][-+(\[\d]")  # 5-3, (2+3)*4
_GROUPED = re.compile(r"[\d)] ?[-+*/^=] ?\( ?-?\d|\d ?\) ?[-+*/^=] ?[\d(]")
_OPERATORS = frozenset({"-", "+", "*", "/", "^", "=", "%"})
_FACTORIAL = re.compile(r"\d!(?=\s*[?)+*/^-])")
_CURRENCY = re.compile(r"(?:[A-Za-z]{1,3}[$£]|[A-Z]{1,3}[€¥])\d")
# Units that capitals tell apart: megabits and megabytes, milliwatts and megawatts.
_UNIT = re.compile(r"\d ?([KMGT]b(?:ps|it)?s?|m[WVAJH]z?|M[WVAgsmlJ]|P[aF])\b")
_LENGTH = re.compile(r"\d(['\"])(?!\w)")
_CODE = re.compile(
    r"[{}\[\]\\|^<>=~`]|\w_\w|&&|::|\(\)|://|;\S"
    r"|^\$[A-Za-z_]|^/|^\./|^\.\./|^~|^!++[\w=(]|^[#@]\d*+[A-Za-z_]|[A-Za-z]/[A-Za-z]|[A-Za-z]\(\S|^\.[A-Za-z]"
)
_LETTERS = frozenset("abcdefghjklmnopqrstuvwxyzABCDEFGHJKLMNOPQRSTUVWXYZ")  # without "I"
_ARTICLES = frozenset("aur")  # beside another letter, "a" names something: "if a then b"
_PAUSES = frozenset({"-", "--", "..", "..."})
_AND = frozenset({"&"})
_ALONE = re.compile(r"[/.*&|!#@%:;\\-]+")
_QUOTED = re.compile(r"\"([^\"\n]{1,200})\"|`([^`\n]{1,200})`|(?<!\w)'([^'\n]{1,200})'(?!\w)")
_LITERAL = re.compile(
    r"\b(?:(?:upper|lower) ?case|capitali[sz]e|capital letters?|punctuat\w+|palindrome|anagram|how many characters)\b",
    re.IGNORECASE,
)
_BARE = frozenset("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufe0e\ufe0f\ufeff")
_MOST_BARE = 8  # a text with more of them may hide a message in them
_HIDDEN = frozenset({"Cf", "Co", "Cn", "Cs", "Cc"})
_SPACES = frozenset("\t\n\r\v\f\x1c\x1d\x1e\x1f\x85\x00")

# Small words of a sentence that are also names or abbreviations in capitals.
_ACRONYMS = words("us it who in or me no hi la ma pa oh mr")
# Other words that are also abbreviations. In a text without any capital, "pet scan" means "PET scan".
_NOUNS = words("""
    ace act add aid aids air ant ape app apt arc arm art ban bar bat bed bet bid bit box bug bus can cap car cat
    chip cob cop cow cup cur cut dab dad dam day den dig dim dip dog dot ear eat egg ego end era eta fan far fat fed
    fee fig fin fly fog fun fur gap gas gel gem gig god gum gun gut ham hat hen hip hit hop hug hut ice ill ink inn
    jam jar jet job joy key kit lab lad lap law lay lead lean led leg lie lip lot low mad man map mat max men mix
    mob mom mud mug nap net nun nut oak oil ore owe pad pan par pat paw pay pea pen pet pie pig pit pop pot pro pub
    ram rap rat raw ray red rib rid rig rim rip rob rod rot row rub rug run rye sad salt sap sat scar sea sew shy
    sin sip sir sit ski sky smart son spa spy star sue sum sun swift tag tan tap tar tax tea tie tin tip toe ton top
    toy tub van vat via war wax way web wed wet win wit zip zoo
""")
# Everyday words that with a capital letter are names: of people, places, languages, months, companies, programs.
_NAMES = words("""
    access amber august bath bill buffalo carol chad chase chef china chip christian cork crystal daisy dawn dean
    discover dove drew earl earth edge eve excel express faith flask frank gap ginger go grace grant guess guy hazel
    hive hope iris jack jade job jordan joy lent lily march mark may meet mercury meta miles mobile nice olive orange
    outlook paint pearl penny polish python rails ray react reading rob rose ruby rust scratch shell signal slack
    spark spring square stripe subway sue summer swift target teams threads tide turkey victor violet visa wade will
    windows word zoom
""")
_SENTENCE_END = tuple(".?!:;\"'(")
_TITLED = 0.6  # a text with so large a share of capital letters among its longer words is a title: they say nothing
_RAISED = str.maketrans({
    **{raised: f"^{plain}" for raised, plain in zip("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789", strict=True)},
    **{one: f" {unicodedata.normalize('NFKC', one)}" for one in "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"},
})  # fmt: skip


def spell_out(text: str) -> str:
    """Return the text with raised digits as "^2", and fractions apart from the number before them."""
    return text if text.isascii() else text.translate(_RAISED)


def marks_of(text: str, unified: str) -> Marks:
    """Return the marks of a text.

    Args:
        text: The text as it was written.
        unified: The text in one spelling, with its line breaks.

    Example:
        >>> marks_of("What does ls -l do?", "What does ls -l do?").decisive
        (Mark(reason='code', text='-l'),)
    """
    tokens = [_bare(token) for token in unified.split()]
    decisive: list[Mark] = []
    written: list[Mark] = []
    for at, token in enumerate(tokens):
        if token.isalpha():
            continue
        reason = _reason_of(token, tokens, at)
        if reason is not None:
            decisive.append(Mark(reason, token.lower() if reason == "number" else token))
        elif _CODE.search(token) or _is_token(token):
            written.append(Mark("code", token.lower() if _is_uncased(token) else token))
        elif _is_alone(token, tokens, at):
            written.append(Mark("code", token))
    if not decisive:  # in prose, a point or a star may stand alone
        written = [mark for mark in written if not _ALONE.fullmatch(mark.text) or mark.text[0] in "|&\\/#@!"]
    if any(mark.reason == "number" for mark in decisive) or _GROUPED.search(unified):
        decisive += [Mark("number", sign) for sign in unified if sign in "()[]"]
    letters = [token.lower() for token in tokens if token.isalpha() and token in _LETTERS]
    if not _ARTICLES.issuperset(letters):
        written += [Mark("code", letter) for letter in letters if len(letters) > 1]
    decisive += [Mark("number", found) for found in _FACTORIAL.findall(unified)]
    decisive += [Mark("unit", found) for found in _UNIT.findall(unified)]
    decisive += _lengths(unified)
    decisive += _hidden(text)
    return _with_case(Marks(tuple(decisive), (*written, *_indents(text)), _quoted(unified)), unified)


def difference_of(asked: Marks, stored: Marks) -> tuple[Mark, Mark] | None:
    """Return the first marks that make two texts different questions, or None."""
    return _first(asked.decisive, stored.decisive)


def prose_difference_of(asked: Marks, stored: Marks) -> tuple[Mark, Mark] | None:
    """Return the first marks that make two texts with the same words different questions, or None."""
    if found := _first(asked.written, stored.written):
        return found
    if asked.literal or stored.literal:
        one, other = asked.shown.rstrip(" .?!"), stored.shown.rstrip(" .?!")
        if one[:1].lower() + one[1:] != other[:1].lower() + other[1:]:
            return Mark("code", one[-40:]), Mark("code", other[-40:])
    for ours, theirs, swap in ((asked, stored, False), (stored, asked, True)):
        for quoted in ours.quoted:
            if quoted not in theirs.shown:
                mark, none = Mark("code", quoted), Mark("code", "")
                return (none, mark) if swap else (mark, none)
    if asked.cased and stored.cased:
        for name in sorted((asked.names & stored.plain) - stored.names | (stored.names & asked.plain) - asked.names):
            one, other = name.capitalize(), name
            return Mark("entity", one if name in asked.names else other), Mark(
                "entity", one if name in stored.names else other
            )
    for name in ("acronyms", "nouns"):
        one, other = getattr(asked, name), getattr(stored, name)
        if one != other and (name == "acronyms" or (asked.cased and stored.cased)):
            return Mark("entity", " ".join(one)), Mark("entity", " ".join(other))
    return None


def is_cased_otherwise(asked: Marks, stored: Marks) -> bool:
    """Return whether two texts with the same letters have other capitals, beside that of the first letter."""
    one, other = (marks.shown.rstrip(" .?!")[1:] for marks in (asked, stored))
    return asked.cased and stored.cased and one != other and one.lower() == other.lower()


def _first(asked: tuple[Mark, ...], stored: tuple[Mark, ...]) -> tuple[Mark, Mark] | None:
    """Return the first marks of two texts that are not equal; an empty one for a text that has no more."""
    if asked == stored:
        return None
    one, other = next(pair for pair in zip_longest(asked, stored) if pair[0] != pair[1])
    reason = (one or other).reason
    return one or Mark(reason, ""), (other or Mark(reason, ""))._replace(reason=reason)


def _bare(token: str) -> str:
    """Return a token without the punctuation of the sentence around it."""
    core = token.strip("\"'`").rstrip(".,;:!?") if len(token) > 1 else token
    core = core.strip("\"'`")
    if core.startswith("(") and ")" not in core:
        core = core[1:]
    if core.endswith(")") and "(" not in core:
        core = core[:-1].rstrip(".,;:!?")
    return core or token


def _reason_of(token: str, tokens: list[str], at: int) -> MarkReason | None:
    """Return the reason of a token that is decisive, or None."""
    if token[0] == "-" and _FLAG.fullmatch(token):
        return "code"
    if _SIGNED.match(token) or _EXPONENT.search(token):
        return "number"
    if _SUM.search(token) and any(map(str.isdigit, token)) and not all(map(str.isdigit, token.split("/"))):
        return "number"
    if _CURRENCY.match(token):
        return "unit"
    if token in _OPERATORS and 0 < at < len(tokens) - 1:
        before, after = tokens[at - 1], tokens[at + 1]
        if (before[-1:].isdigit() or before[-1:] == ")") and (after[:1].isdigit() or after[:1] in "(-+"):
            return "number"
    return None


def _is_uncased(token: str) -> bool:
    """Return whether capitals mean nothing in a token with signs: "and/or", the address of a mail, ".NET"."""
    if "/" in token:
        return token[0] != "/" and token.replace("/", "").isalpha()
    return (token[0] in "#." or "@" in token) and all(one.isalnum() or one in "#@._-+" for one in token)


def _is_token(token: str) -> bool:
    """Return whether a token looks like a key or a digest, which small and capital letters tell apart."""
    kinds = {"digit" if one.isdigit() else "capital" if one.isupper() else "small" for one in token if one.isalnum()}
    return len(token) > 7 and len(kinds) == 3 and token.isascii()


def _is_alone(token: str, tokens: list[str], at: int) -> bool:
    """Return whether a token is a sign that stands for itself, such as a pipe. A dash or "and" between words is not."""
    if not _ALONE.fullmatch(token) or token in _PAUSES or token[0] in ":;":
        return False
    if token in _AND:
        around = tokens[max(at - 1, 0)], tokens[min(at + 1, len(tokens) - 1)]
        return all(len(one) == 1 for one in around)
    return True


def _lengths(unified: str) -> list[Mark]:
    """Return the signs for feet and inches: a quotation mark after a digit that closes no quotation."""
    return [
        Mark("unit", found.group(1))
        for found in _LENGTH.finditer(unified)
        if found.group(1) not in unified[: found.start() + 1]
    ]


def _hidden(text: str) -> list[Mark]:
    """Return the characters that nobody sees but a model reads; the usual ones count only if there are many."""
    if text.isascii():
        return []
    hidden = [one for one in text if unicodedata.category(one) in _HIDDEN or "\ufe00" <= one <= "\ufe0f"]
    hidden = [one for one in hidden if one not in _SPACES]
    if len(hidden) <= _MOST_BARE and _BARE.issuperset(hidden):
        return []
    return [Mark("code", f"U+{ord(one):04X}") for one in hidden]


def _indents(text: str) -> list[Mark]:
    """Return how far the lines are indented, for a text where any line after the first one is."""
    lines = text.strip().splitlines()[1:]
    if not any(line[:1] in " \t" for line in lines if line.strip()):
        return []
    return [Mark("code", f"{len(line) - len(line.lstrip())} spaces") for line in lines if line.strip()]


def _quoted(unified: str) -> tuple[str, ...]:
    if not any(sign in unified for sign in "\"'`"):
        return ()
    return tuple(" ".join("".join(found).split()) for found in _QUOTED.findall(unified))


def _with_case(marks: Marks, unified: str) -> Marks:
    shown = " ".join(unified.split())
    small = any(map(str.islower, shown))
    spoken = re.findall(r"[^\W_]+", shown)
    capitals = [word.lower() for word in spoken if word.isupper()] if small or len(spoken) == 1 else []
    # "USA" says what "US" says.
    acronyms = ["us" if word == "usa" else word for word in capitals if word in _ACRONYMS or word == "usa"]
    acronyms += ["us" for word in spoken if word in {"usa", "Usa"}]
    names, plain = _names(shown)
    return marks._replace(
        names=names,
        plain=plain,
        acronyms=tuple(sorted(acronyms)),
        nouns=tuple(sorted(word for word in capitals if word in _NOUNS)),
        cased=small and any(map(str.isupper, shown)),
        literal=_LITERAL.search(shown) is not None,
        shown=shown,
    )


def _names(shown: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words that a capital letter makes a name: those written so inside a sentence, and in small letters."""
    tokens = shown.split()
    if _NAMES.isdisjoint(token.strip(".,;:!?\"'()").removesuffix("'s").lower() for token in tokens):
        return frozenset(), frozenset()
    names: set[str] = set()
    plain: set[str] = set()
    longer = [token for at, token in enumerate(tokens) if at and len(token) > 3 and token[0].isalpha()]
    is_title = len(longer) > 2 and sum(map(str.isupper, (token[0] for token in longer))) >= _TITLED * len(longer)
    for before, token in pairwise(tokens):
        word = token.strip(".,;:!?\"'()").removesuffix("'s")
        if word.lower() not in _NAMES or before.endswith(_SENTENCE_END) or is_title:
            continue
        if word.islower():
            plain.add(word)
        elif word[0].isupper() and word[1:].islower():
            names.add(word.lower())
    return frozenset(names), frozenset(plain)

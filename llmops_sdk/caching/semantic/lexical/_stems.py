"""Reduce a word to the form that is compared, and explain a misspelling by the word that was meant."""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache

from llmops_sdk.caching.semantic.lexical._synonyms import FORMS, SYNONYMS
from llmops_sdk.caching.semantic.lexical._words import words

__all__ = ["edits", "is_known", "is_misspelling", "key_of", "stem"]

_VOWELS = frozenset("aeiouy")
# Right words that tokenizers cut in pieces: without them "debit" would be a misspelling of "debt".
_REAL = words("""
    activate advisor allergen allowance amend antibiotic app authorise authorize autopay backup beneficiary billing
    bookable booster broadband cancellation cancelable carer cardholder cashback changeable checkout childcare
    childminder coeliac collateral configure contactless copay creditor crypto customise customize dairy deactivate
    debit debtor decline deduct deductible deliverable deposit depositor disable disposable download downgrade
    downloadable electrician emoji enable enquiry exchangeable expiration expiry export fibre firmware freelancer
    fulfilment gluten granny grievance guarantor halal hotspot ibuprofen import incur inpatient insulin insured
    insurer invoice invoices invoicing kosher landlady landline lender lessee lessor letting limescale login logout
    lookup lunchtime mastercard microwave misplace mortgage nanny offline ombudsman online outpatient overage
    overcharge overdraft overpay paracetamol parental passcode passkey paycheck payee payer payout paypal payroll
    payslip pensioner plumber postcode prepaid prescribe prescription proscribe rebate recipient redeem redeemable
    reactivate recyclable refill refund refundable reimburse reinstall remortgage renew renewable renewal renter
    reorder reschedule resend reset resit retailer returnable revert roaming router saver screenshot sender shopper
    signup smartphone spreadsheet statutory subscriber subscription subtenant surcharge syllabus tenancy tenant
    timeframe timetable toddler topup transferable troubleshoot typo unarchive unblock uninstall unlock unsubscribe
    unaccompanied upfront upgrade upload usable username vaccinate validate vegan vegetarian voucher warranty webcam
    webinar website wheelchair wifi withdrawal workflow intranet interstate intrastate untie salve isotone dessert
""")
# Endings and beginnings that tell substances, sizes and directions apart, also in words that no vocabulary has.
_ENDINGS = words("ate ite ide ine ene ane yne one ol al ol yl ose ase ium ous ic oid oma itis osis")
_PREFIXES = words(
    "inter intra intro hyper hypo macro micro ante anti pre pro post mono poly endo exo iso ortho meta para"
)
_REGIONAL = (
    ("isation", "ization"), ("ising", "izing"), ("ised", "ized"), ("ises", "izes"), ("ise", "ize"),
    ("yse", "yze"), ("our", "or"), ("ours", "ors"), ("tre", "ter"), ("tres", "ters"), ("ogue", "og"),
    ("ence", "ense"), ("aeo", "eo"), ("amme", "am"), ("oured", "ored"), ("ouring", "oring"), ("elled", "eled"),
    ("elling", "eling"), ("eller", "eler"), ("lment", "llment"), ("eque", "eck"),
)  # fmt: skip


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """Return the word without the ending of a plural or a verb, by rules of English.

    Example:
        >>> [stem(word) for word in ("refunds", "policies", "cancelled", "booking", "children")]
        ['refund', 'policy', 'cancel', 'book', 'child']
    """
    form = FORMS.get(word)
    if form is not None:
        return form
    if len(word) < 4 or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "shes", "ches", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return FORMS.get(word[:-1], word[:-1])
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and _VOWELS & set(word[: -len(ending)]):
            return _base(word[: -len(ending)])
    return word


def _base(root: str) -> str:
    """Return the verb of a root: "cancell" is "cancel", "chang" is "change"."""
    if root.endswith("i"):
        return root[:-1] + "y"
    if len(root) > 3 and root[-1] == root[-2] and root[-1] not in "sfz":
        return root[:-1] if root[-1] != "l" or len(root) > 4 else root
    silent = root.endswith(("c", "g", "s", "z", "v", "u", "at", "it", "ut", "ir", "ur", "or", "as", "id", "iv", "os"))
    if silent and not root.endswith(("ss", "ng", "visit", "credit", "edit", "debit", "wait", "exit", "out", "limit")):
        return root + "e"
    return root


@lru_cache(maxsize=4096)
def key_of(word: str) -> str:
    """Return the form of a word that is compared: one spelling, without endings, and one word of each synonym group."""
    known = SYNONYMS.get(word)
    if known is not None:
        return known
    base = stem(word)
    return SYNONYMS.get(base, base)


@lru_cache(maxsize=4096)
def regional(word: str) -> str:
    """Return the American spelling of a word in British spelling, by its ending."""
    for british, american in _REGIONAL:
        if word.endswith(british) and len(word) > len(british) + 1:
            return word[: -len(british)] + american
    return word


def is_known(word: str, vocabulary: Container[str]) -> bool:
    """Return whether the word, or its base form, is in the vocabulary or in the lists of this package."""
    if word in vocabulary or word in _REAL or word in FORMS or word in SYNONYMS:
        return True
    base = stem(word)
    return base != word and (base in vocabulary or base in _REAL or base in SYNONYMS)


def is_misspelling(one: str, other: str, vocabulary: Container[str]) -> bool:
    """Return whether one word is the other one misspelt: one is known, the other is not, and few letters differ.

    Args:
        one: A word in small letters.
        other: A word in small letters.
        vocabulary: Words that are spelled right.

    Example:
        >>> words = {"invoice", "debit", "debt", "account"}
        >>> [is_misspelling(*pair, words) for pair in (("invoice", "invioce"), ("debit", "debt"))]
        [True, False]
    """
    shorter = min(len(one), len(other))
    if shorter < 3 or abs(len(one) - len(other)) > 2 or (one[0] != other[0] and one[0] != other[1]):
        return False
    if max(len(one), len(other)) > 30 or not (one.isalpha() and other.isalpha()):
        return False
    if regional(one) == regional(other):
        return True
    if _has_other_affix(one, other):
        return False
    known = is_known(one, vocabulary), is_known(other, vocabulary)
    if all(known) or not (any(known) or _is_slip(one, other)):
        return False
    most = 1 if shorter < 7 else 2
    if shorter < 4 or (one[0] != other[0] and sorted(one[:2]) != sorted(other[:2])):
        return False
    return edits(one, other, most) <= most


def _has_other_affix(one: str, other: str) -> bool:
    """Return whether two words differ in a part that changes what they name: "nitrite" and "nitrate"."""
    for ending in _ENDINGS:
        root = one[: -len(ending)]
        if one.endswith(ending) and len(root) > 2 and other.startswith(root) and other[len(root) :] in _ENDINGS:
            return True
    for prefix in _PREFIXES:
        rest = one[len(prefix) :]
        if one.startswith(prefix) and len(rest) > 2 and other.endswith(rest) and other[: -len(rest)] in _PREFIXES:
            return True
    return False


def _is_slip(one: str, other: str) -> bool:
    """Return whether two words have the same letters, or the same but for a doubled one: a slip in any language."""
    return len(one) > 4 and (
        sorted(one) == sorted(other) or (one[0] == other[0] and _undoubled(one) == _undoubled(other))
    )  # fmt: skip


def _undoubled(word: str) -> str:
    return "".join(letter for at, letter in enumerate(word) if at == 0 or word[at - 1] != letter)


def edits(one: str, other: str, most: int) -> int:
    """Return how many letters must be added, removed, replaced or swapped with their neighbour; `most + 1` if more."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        current = [i]
        for j, right in enumerate(other, 1):
            cost = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > most:
            return most + 1
        before, row = row, current
    return min(row[-1], most + 1)

"""Words that turn a question into its opposite, or into one about the other of two things."""

from __future__ import annotations

__all__ = ["AFFIXES", "JOINED_AFFIXES", "are_opposites"]

# The two words of a pair are opposites, or exclude each other in a question. Written from general knowledge.
_PAIRS = """
    on off, in out, in after, up down, to from, over under, inside outside, before after, within after, within before,
    with without, above below, open closed, open close, open shut, opening closing, include exclude, cover exclude,
    increase decrease, increase reduce, increase lower, raise lower, rise fall, rise drop, grow shrink, more less,
    more fewer, most least, most fewest, maximum minimum, max min, high low, highest lowest, higher lower, big small,
    large small, bigger smaller, larger smaller, long short, longest shortest, longer shorter, fast slow,
    faster slower, quick slow, early late, earliest latest, earlier later, first last, first second, new old,
    newest oldest, next previous, next last, past future, yesterday tomorrow, today tomorrow, today yesterday,
    hot cold, warm cold, wet dry, light dark, light heavy, hard soft, hard easy, easy difficult, good bad, best worst,
    better worse, right wrong, right left, true false, true untrue, safe dangerous, rich poor, full empty, full part,
    cheap expensive, cheapest dearest, cheaper dearer, free paid, benefit drawback, advantage disadvantage, pro con,
    pros cons, accept decline, accept reject, accept refuse, approve reject, approve decline, approve deny, allow ban,
    allow forbid, allow prevent, allow block, permit prohibit, grant revoke, enable disable, activate deactivate,
    start stop, start end, start finish, begin end, begin stop, should stop, open stop, add remove, add delete,
    create delete, insert delete, install remove, keep remove, keep delete, save delete, show hide, display hide,
    buy sell, buy rent, buy return, borrow lend, deposit withdraw, deposit withdrawal, send receive, send get,
    sender recipient, give take, import export, upload download, upgrade downgrade, lock unlock, freeze unfreeze,
    block unblock, mute unmute, connect disconnect, attach detach, join leave, join separate, enter leave, enter exit,
    login logout, arrive depart, arrive leave, arrival departure, come go, push pull, merge split, encrypt decrypt,
    compress decompress, encode decode, import remove, win lose, won lost, pass fail, succeed fail, success failure,
    love hate, like dislike, eat avoid, use avoid, need avoid, should avoid, avoid cause, cause prevent, cause cure,
    gain lose, hire fire, employ dismiss, debit credit, profit loss, asset liability, income expense, income outgoing,
    gross net, lender borrower, landlord tenant, buyer seller, employer employee, teacher student, parent child,
    mother father, brother sister, husband wife, boy girl, man woman, male female, men women, adult child, adult kid,
    puppy kitten, dog cat, public private, internal external, local remote, local international,
    domestic international, domestic foreign, national international, home abroad, home away, online offline,
    online store, indoor outdoor, manual automatic, temporary permanent, fixed variable, optional mandatory,
    optional required, voluntary compulsory, positive negative, plus minus, top bottom, front back, front rear,
    north south, east west, upper lower, single married, single double, single return, single joint, weekday weekend,
    day night, morning evening, morning afternoon, afternoon evening, am pm, summer winter, spring autumn,
    monthly yearly, monthly annual, monthly weekly, weekly daily, daily monthly, day week, day month, day year,
    week month, week year, month year, hour day, daily annual, weekly annual, hourly daily, personal business,
    junior senior, primary secondary, undergraduate postgraduate, inbound outbound, inward outward, incoming outgoing,
    import publish, archive restore, draft publish, same different, always never, all none, everything nothing,
    everyone nobody, some none, both neither, many few, alive dead, healthy ill, healthy unhealthy, legal illegal,
    expire renew, cancel renew, cancel keep, cancel confirm, cancel book, cancel order, cancel start, claim approve,
    request approve, ask answer, question answer, read write, subscribe cancel, lead follow, majority minority,
    strength weakness, horizontal vertical, row column, input output, client server, frontend backend,
    ascending descending, synchronous asynchronous, mutable immutable, static dynamic, raw cooked, fresh frozen,
    vegetarian vegan, debit debt
"""

AFFIXES = frozenset({
    "a", "anti", "auto", "co", "contra", "counter", "de", "dis", "down", "ex", "fore", "hyper", "il", "im", "in",
    "inter", "intra", "ir", "macro", "mal", "micro", "mid", "mini", "mis", "mono", "multi", "non", "out", "over",
    "post", "pre", "re", "self", "semi", "sub", "super", "trans", "ultra", "un", "under", "up",
})  # fmt: skip
# A hyphen or a space after them is the same as none: "non-members", "non members", "nonmembers".
JOINED_AFFIXES = frozenset({
    "anti", "co", "ex", "inter", "intra", "mid", "multi", "non", "over", "post", "pre", "re", "self", "semi", "sub",
    "un", "under",
})  # fmt: skip

_OPPOSITES: dict[str, set[str]] = {}
for _one, _other in (pair.split() for pair in _PAIRS.split(",")):
    _OPPOSITES.setdefault(_one, set()).add(_other)
    _OPPOSITES.setdefault(_other, set()).add(_one)


def are_opposites(one: frozenset[str], other: frozenset[str]) -> bool:
    """Return whether the list has a form of one word and a form of another one as opposites."""
    return any(not _OPPOSITES[form].isdisjoint(other) for form in one if form in _OPPOSITES)

"""Words of a conversation that hold no detail: what people say to be kind, and what any sentence may be built with."""

from __future__ import annotations

from llmops_sdk.caching.semantic.lexical._stems import key_of
from llmops_sdk.caching.semantic.lexical._words import words

__all__ = ["ASIDES", "EXCLAIMED", "GENERIC", "GREETINGS", "NO", "SMALL_TALK", "YES"]

YES = words("yes yeah yep yup yea sure correct right indeed ya aye")
NO = words("no nope nah")
# Greetings, thanks, feelings and filled pauses. The answer to a question does not hang on them.
SMALL_TALK = YES | NO | words("""
    ok okay okey k kk great cool lovely nice fair thanks thank thx ta good perfect brilliant brill amazing awesome
    fantastic excellent super wonderful fab ah aha oh ooh ugh argh phew yikes ouch wow whoa blimey gosh hmm hm um er
    erm eek oops whoops eh heh hey hi hiya hello hallo howdy haha hahaha ha lol
    lmao rofl jk tbh imo btw fyi tho cheer cheers mate pal folks please pls plz course happy glad sorry apology
    apologise apologize pleasure welcome hear help worry luck congratulation congrats congratulate anything else
    problem bother bear love enjoy honest honestly frankly obviously quick q question ask hope hopefully fingers cross
    typical annoying annoyed frustrating frustration frustrated nightmare mad daft silly stupid sad shame sigh
    excited exciting excite busy hectic crazy weird funny fun joke fine noted understood understand
    understandable gotcha see appreciate kind kindly star legend bless sweet handy useful helpful interesting sense
    thought know curious wonder random clear aside anyway anyways meantime bye goodbye enough well so right mind moment
    sec bit ready hang brb patience rush hurry
    absolutely definitely certainly exactly totally sounds sound feel feeling sort sorted done perfect
    stress stressed stressful knackered worried relieved relief thrilled delighted
    gutted disappointed disappointing upset grumpy fed overjoyed proud embarrassed embarrassing ridiculous disaster
    mess luckily
    raining snowing pouring drizzling sunny weather chucking bucketing
    crikey goodness sake god jeez typical ages moan rant waffle ramble chat chatting wrap
""")  # fmt: skip
# Said alone at the beginning, they greet; otherwise they are times.
GREETINGS = words("morning afternoon evening")
# Who laughs or sighs does not say what his question is about.
EXCLAIMED = words("""
    lol haha hahaha ha hehe lmao rofl jk ooh eek ugh argh phew yikes omg oops whoops jeez crikey gosh blimey typical
""")
# The speaker says that it is beside the matter.
ASIDES = (
    "by the way", "btw", "random", "unrelated", "off topic", "out of interest", "out of curiosity", "on another note",
    "if you are ever", "while i am here", "while i remember", "different question", "separate question",
)  # fmt: skip
# Verbs and other words that stand in sentences about anything, so that one of them tells nothing of a detail. None of
# them is one of two opposites that a question turns on, such as "keep", "stop", "add" or "home".
GENERIC = frozenset(key_of(one) for one in SMALL_TALK | words("""
    get need want would like wish go come make do take give put look say tell ask know think guess mean try use
    happen seem hope wonder be have become stay live able about around roughly approximately up down out off over
    bring show point turn set sort run tend plan start begin expect suppose imagine realise realize notice spot
    thing things stuff bit lot lots way kind type piece case point reason idea fact matter issue problem
    someone somebody something anyone anybody anything everyone everybody everything one ones other others another
    else same such own much many more most some any all every each few several couple both various
    really quite very just still already yet also too even actually basically literally simply probably maybe perhaps
    pretty rather slightly somewhat fairly only almost nearly currently normally usually generally mostly especially
    definitely
    now then soon later ago once recently lately since always often sometimes finally eventually again
    here there where everywhere anywhere somewhere away along together
    good bad nice right wrong whole certain particular proper different
    what which who how why when can could will would shall should may might must
    excessively give receive obtain contact call talk speak mention explain advise read write
    please able possible available regarding concerning account service customer from
    though although but because since while whether if than as and or
    lot number rest end side place people person guy name
""")) | frozenset(key_of(one) for one in SMALL_TALK)  # fmt: skip

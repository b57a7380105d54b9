"""Secrets in the public formats of vendors, and the neighbours that text puts before them."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Callable

LOWER, UPPER, DIGITS = string.ascii_lowercase, string.ascii_uppercase, string.digits
HEX = DIGITS + "abcdef"
ALNUM = string.ascii_letters + DIGITS
URLSAFE = ALNUM + "-_"
BASE64 = ALNUM + "+/"

# Prefix, alphabet, length of the secret part, text behind it. Prefixes are joined from parts, so that no scanner takes
# this file for a leak.
_PREFIXED: dict[str, tuple[tuple[str, ...], str, int, str]] = {
    "openai project": (("sk", "-proj-"), URLSAFE, 74, ""),
    "openai": (("sk", "-"), ALNUM, 48, ""),
    "anthropic": (("sk", "-ant-api03-"), URLSAFE, 93, "AA"),
    "groq": (("gsk", "_"), ALNUM, 52, ""),
    "xai": (("xai", "-"), ALNUM, 80, ""),
    "litellm virtual": (("sk", "-"), URLSAFE, 22, ""),
    "langfuse": (("sk", "-lf-"), HEX, 32, ""),
    "langsmith": (("lsv2", "_pt_"), HEX, 32, "_" + "ab12cd34ef"),
    "pinecone": (("pcsk", "_"), ALNUM, 60, ""),
    "perplexity": (("pplx", "-"), ALNUM, 48, ""),
    "replicate": (("r8", "_"), ALNUM, 37, ""),
    "nvidia": (("nvapi", "-"), URLSAFE, 64, ""),
    "tavily": (("tvly", "-"), ALNUM, 32, ""),
    "fireworks": (("fw", "_"), ALNUM, 24, ""),
    "cerebras": (("csk", "-"), ALNUM, 48, ""),
    "voyage": (("pa", "-"), URLSAFE, 43, ""),
    "databricks": (("da", "pi"), HEX, 32, ""),
    "bedrock": (("ABSK",), BASE64, 128, ""),
    "github": (("gh", "p_"), ALNUM, 36, ""),
    "github fine-grained": (("github", "_pat_"), ALNUM, 82, ""),
    "gitlab": (("gl", "pat-"), URLSAFE, 20, ""),
    "gitlab ci": (("gl", "cbt-"), URLSAFE, 24, ""),
    "gitlab feed": (("gl", "ft-"), URLSAFE, 20, ""),
    "gitlab scim": (("gl", "soat-"), URLSAFE, 20, ""),
    "slack bot": (("xox", "b-"), DIGITS, 12, "-" + "1234567890123-" + "abcdefghijklmnopqrstuvwx"),
    "slack client": (("xox", "c-"), DIGITS, 12, "-" + "123456789012-" + "0123456789abcdef" * 4),
    "slack cookie": (("xox", "d-"), ALNUM, 80, ""),
    "huggingface": (("h", "f_"), string.ascii_letters, 34, ""),
    "google": (("AI", "za"), URLSAFE, 35, ""),
    "aws id": (("AK", "IA"), UPPER + "234567", 16, ""),
    "stripe": (("sk", "_live_"), ALNUM, 24, ""),
    "npm": (("np", "m_"), ALNUM, 36, ""),
    "sendgrid": (("S", "G."), URLSAFE, 22, "." + "a1B2" * 10 + "xyz"),
    "vault": (("hv", "s."), URLSAFE, 90, ""),
    "docker": (("dckr", "_pat_"), URLSAFE, 27, ""),
    "digitalocean": (("dop", "_v1_"), HEX, 64, ""),
    "grafana": (("gl", "sa_"), ALNUM, 32, "_" + "1a2b3c4d"),
    "sentry": (("sntry", "u_"), HEX, 64, ""),
    "postman": (("PM", "AK-"), HEX, 24, "-" + "0a1b2c3d4e" * 3 + "5f6a"),
    "linear": (("lin", "_api_"), ALNUM, 40, ""),
    "notion": (("nt", "n_"), DIGITS, 11, "aB3" * 11 + "aB"),
    "supabase": (("sb", "p_"), HEX, 40, ""),
    "azure storage": (("Account", "Key="), BASE64, 86, "=="),
    "azure sas": (("?sv=2024-11-04&s", "ig="), ALNUM, 43, "%3D"),
    "aws signature": (("?X-Amz-", "Signature="), HEX, 64, ""),
    "url parameter": (("https://api.example.com/v1?api", "_key="), ALNUM, 32, ""),
    "environment line": (("SHOP_API", "_KEY="), ALNUM, 32, ""),
    "basic": (("Authorization: Ba", "sic "), ALNUM, 40, "=="),
}


def secrets_by_format(seed: int) -> dict[str, tuple[str, str]]:
    """Return a new secret of each format, and the part of it that must not be found anywhere."""
    draw = random.Random(seed)
    found = {}
    for name, (prefix, alphabet, length, behind) in _PREFIXED.items():
        core = "".join(draw.choices(alphabet, k=length))
        # One random text in 60 has no digit among its first 24 characters. Redaction takes such texts for words.
        while "1" in alphabet and not any(map(str.isdigit, core[:20])):
            core = "".join(draw.choices(alphabet, k=length))
        found[name] = ("".join(prefix) + core + behind, core[4:])
    return found


NEIGHBOURS: dict[str, Callable[[str], str]] = {
    "start": lambda secret: secret,
    "space": lambda secret: f"the key is {secret} as told",
    "quote": lambda secret: f'{{"key":"{secret}"}}',
    "equals": lambda secret: f"key={secret};",
    "escaped CJK": lambda secret: json.dumps(f"密钥{secret}完"),
    "CJK": lambda secret: f"密钥{secret}。",
    "escaped line break": lambda secret: json.dumps(f"the key:\n{secret}\nthe end"),
    "JSON in JSON": lambda secret: json.dumps(json.dumps({"a": f"钥{secret}", "b": "\t"})),
    "ANSI colour": lambda secret: f"\x1b[31m{secret}\x1b[0m",
    "escaped ANSI colour": lambda secret: repr(f"\x1b[31m{secret}\x1b[0m"),
    "repr of bytes": lambda secret: repr(b"\x00\xff" + secret.encode() + b"\x07"),
    "C escapes": lambda secret: f"\\b{secret}\\f \\v{secret}\\0",
    "percent-encoded equals": lambda secret: f"https://a.example/?next=%2Fa%3Fkey%3D{secret}%26b%3D1",
    "percent-encoded quote": lambda secret: f"q=%22{secret}%22",
}
"""How a text may hold a secret, by what stands before it. A disguised secret is another matter: docs/redaction.md."""

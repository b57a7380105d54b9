"""Secrets of every redacted format, generated at run time so that no file of the project contains one.

for planted in planted_secrets():
    assert planted.core not in what_was_stored
"""

from __future__ import annotations

import random
import string
from dataclasses import dataclass

__all__ = ["PlantedSecret", "planted_secrets"]

_LETTERS = string.ascii_letters + string.digits
_WORDS = _LETTERS + "_-"
_BASE64 = _LETTERS + "+/"
_CAPITALS = string.ascii_uppercase + string.digits
_HEX = "0123456789abcdef"


@dataclass(frozen=True)
class PlantedSecret:
    """A text that contains one secret.

    Attributes:
        name: Its format, and the form it comes in.
        kind: What the redaction calls it.
        text: The secret, in the context that it is known by.
        core: The part that must not be seen anywhere.
    """

    name: str
    kind: str
    text: str
    core: str


def planted_secrets(seed: int = 1) -> list[PlantedSecret]:
    """Return one secret of each format and form; the same seed gives the same secrets."""
    draw = random.Random(seed)

    def some(count: int, alphabet: str = _LETTERS) -> str:
        # It starts and ends with letters, so that its bounds are clear.
        return "x" + "".join(draw.choices(alphabet, k=count - 2)) + "7"

    def capitals(count: int) -> str:
        return "".join(draw.choices(_CAPITALS, k=count))

    def planted(name: str, kind: str, prefix: str, core: str, suffix: str = "") -> PlantedSecret:
        return PlantedSecret(name, kind, prefix + core + suffix, core)

    digits = "".join(draw.choices(string.digits, k=12))
    lines = "\n".join(some(64, _BASE64) for _ in range(8))
    begin, end = (f"-----{word} RSA PRIVATE KEY-----" for word in ("BEGIN", "END"))
    jwt = f"eyJ{some(30, _WORDS)}.eyJ{some(60, _WORDS)}.{some(43, _WORDS)}"
    return [
        planted("aws-id", "aws_access_key", "AKIA", capitals(16)),
        planted("aws-session-id", "aws_access_key", "ASIA", capitals(16)),
        planted("aws-secret", "aws_secret_key", "AWS_SECRET_ACCESS_KEY=", some(40, _BASE64)),
        planted("aws-secret-json", "aws_secret_key", '{"aws_secret_access_key": "', some(40, _BASE64), '"}'),
        planted("aws-secret-camel", "aws_secret_key", "SecretAccessKey: ", some(40, _BASE64)),
        planted("github", "github_token", "ghp_", some(36)),
        planted("github-app", "github_token", "ghs_", some(36)),
        planted("github-fine", "github_token", "github_pat_", f"{some(22)}_{some(59)}"),
        planted("gitlab", "gitlab_token", "glpat-", some(20, _WORDS)),
        planted("slack", "slack_token", "xoxb-", f"{digits}-{digits}-{some(24)}"),
        planted("slack-app", "slack_token", "xapp-1-", f"A{digits}-{digits}-{some(40)}"),
        planted("slack-hook", "slack_webhook", "https://hooks.slack.com/services/", f"T{digits}/B{digits}/{some(24)}"),
        planted("openai", "openai_key", "sk-", some(48)),
        planted("openai-project", "openai_key", "sk-proj-", some(120, _WORDS)),
        planted("anthropic", "anthropic_key", "sk-ant-api03-", some(95, _WORDS)),
        planted("google", "google_api_key", "AIza", some(35, _WORDS)),
        planted("google-oauth", "google_oauth", "ya29.", some(80, _WORDS)),
        planted("stripe", "stripe_key", "sk_live_", some(24)),
        planted("stripe-restricted", "stripe_key", "rk_live_", some(24)),
        planted("hugging-face", "huggingface_token", "hf_", some(34)),
        planted("npm", "npm_token", "npm_", some(36)),
        planted("pypi", "pypi_token", "pypi-AgEIcHlwaS5vcmc", some(120, _WORDS)),
        planted("sendgrid", "sendgrid_key", "SG.", f"{some(22, _WORDS)}.{some(43, _WORDS)}"),
        planted("twilio", "twilio_key", "SK", "".join(draw.choices(_HEX, k=32))),
        planted("twilio-token", "twilio_key", "TWILIO_AUTH_TOKEN=", "".join(draw.choices(_HEX, k=32))),
        planted("groq", "groq_key", "gsk_", some(52)),
        planted("xai", "xai_key", "xai-", some(80)),
        planted("jwt", "jwt", "", jwt),
        planted("pem", "private_key", f"{begin}\n", lines, f"\n{end}"),
        planted("bearer", "authorization", "Authorization: Bearer ", some(40)),
        planted("basic", "authorization", "Authorization: Basic ", some(24), "=="),
        planted("api-key-header", "authorization", "x-api-key: ", some(40)),
        planted("url", "url_credentials", "postgres://app:", some(12), "@db.example/main"),
        planted("url-without-user", "url_credentials", "redis://:", some(12), "@cache.example:6379"),
    ]

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

    def hexes(count: int) -> str:
        # It starts with a letter, and holds a capital nowhere.
        return "f" + "".join(draw.choices(_HEX, k=count - 2)) + "7"

    def planted(name: str, kind: str, prefix: str, core: str, suffix: str = "") -> PlantedSecret:
        return PlantedSecret(name, kind, prefix + core + suffix, core)

    uuid = "-".join(hexes(count) for count in (8, 4, 4, 4, 12))
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
        planted("langfuse", "langfuse_key", "sk-lf-", uuid),
        planted("litellm", "litellm_key", "sk-", f"xA9{some(10)}-Q_{some(10)}"),
        planted("bedrock", "bedrock_key", "ABSK", some(120, _BASE64)),
        planted("langsmith", "langsmith_key", "lsv2_pt_", f"{hexes(32)}_{hexes(10)}"),
        planted("pinecone", "pinecone_key", "pcsk_", f"{some(6)}_{some(60)}"),
        planted("perplexity", "perplexity_key", "pplx-", some(48)),
        planted("replicate", "replicate_token", "r8_", some(37)),
        planted("nvidia", "nvidia_key", "nvapi-", some(64, _WORDS)),
        planted("tavily", "tavily_key", "tvly-", some(32)),
        planted("tavily-dev", "tavily_key", "tvly-dev-", some(32)),
        planted("fireworks", "fireworks_key", "fw_", some(24)),
        planted("cerebras", "cerebras_key", "csk-", some(48, _LETTERS.lower())),
        planted("voyage", "voyage_key", "pa-", f"xQZR{some(40, _WORDS)}"),
        planted("databricks", "databricks_token", "dapi", hexes(32)),
        planted("slack-cookie", "slack_token", "xoxd-", f"{some(20)}1%2B{some(20)}"),
        planted("slack-client", "slack_token", "xoxc-", f"{digits}-{digits}-{some(24)}"),
        planted("gitlab-ci", "gitlab_token", "glcbt-", f"64_{some(20, _WORDS)}"),
        planted("gitlab-feed", "gitlab_token", "glft-", some(20, _WORDS)),
        planted("vault", "vault_token", "hvs.", some(90, _WORDS)),
        planted("docker", "docker_token", "dckr_pat_", some(27, _WORDS)),
        planted("digitalocean", "digitalocean_token", "dop_v1_", hexes(64)),
        planted("grafana", "grafana_token", "glsa_", f"{some(32)}_{hexes(8)}"),
        planted("grafana-cloud", "grafana_token", "glc_", some(80, _BASE64)),
        planted("sentry", "sentry_token", "sntrys_", some(80, _WORDS)),
        planted("sentry-user", "sentry_token", "sntryu_", hexes(64)),
        planted("postman", "postman_key", "PMAK-", f"{hexes(24)}-{hexes(34)}"),
        planted("linear", "linear_key", "lin_api_", some(40)),
        planted("notion", "notion_token", "ntn_", some(46)),
        planted("notion-old", "notion_token", "secret_", some(43)),
        planted("supabase", "supabase_key", "sbp_", hexes(40)),
        planted("supabase-secret", "supabase_key", "sb_secret_", some(31, _WORDS)),
        planted("azure-storage", "azure_key", "AccountName=app;AccountKey=", some(86, _BASE64), "=="),
        planted("azure-sas", "url_signature", "https://a.example/b?sv=1&sig=", some(43), "%3D&se=2"),
        planted("aws-presigned", "url_signature", "https://a.example/b?X-Amz-Signature=", hexes(64)),
        planted("basic-alone", "authorization", "Basic ", f"xA1{some(21, _BASE64)}"),
        planted("url-key", "named_secret", "https://a.example/b?api_key=", some(16), "&c=1"),
        planted("url-token", "named_secret", "https://a.example/b?c=1&access_token=", some(16)),
        planted("env-key", "named_secret", "VENDOR_API_KEY=", some(24)),
        planted("env-password", "named_secret", "export DB_PASSWORD='", some(12), "'"),
        planted("flag", "named_secret", "run --password=", some(24)),
        planted("url", "url_credentials", "postgres://app:", some(12), "@db.example/main"),
        planted("url-without-user", "url_credentials", "redis://:", some(12), "@cache.example:6379"),
        *(planted(kind, kind, prefix, _body(draw, length, alphabet)) for kind, prefix, length, alphabet in _MORE),
        planted("azure-secret", "azure_secret", "", f"x7z8Q~{some(34, _WORDS)}"),
        planted("telegram", "telegram_token", f"bot{digits[:9]}:", f"AA{some(33, _WORDS)}"),
        planted("dotted", "dotted_key", "", f"pat{some(10)}A1a.{hexes(64)}"),
        planted("dotted-parts", "dotted_key", "", f"key.{some(20)}A1a.{some(20)}A1a"),
        planted("terraform", "terraform_token", "", f"{some(14)}.atlasv1.{some(64, _WORDS)}"),
        planted("discord-hook", "discord_webhook", f"https://discord.com/api/webhooks/{digits}{digits[:6]}/", some(68)),
        planted("teams-hook", "teams_webhook", "https://a.webhook.office.com/webhookb2/", f"{uuid}@{uuid}/{some(32)}"),
    ]


def _body(draw: random.Random, length: int, alphabet: str) -> str:
    ends = [one for one in alphabet if one.isalnum()]
    return draw.choice(ends) + "".join(draw.choices(alphabet, k=length - 2)) + draw.choice(ends)


_LOWER = string.ascii_lowercase + string.digits
_MORE = (
    ("shopify_token", "shpat_", 32, _HEX), ("mailgun_key", "key-", 32, _HEX), ("square_token", "sq0csp-", 43, _WORDS),
    ("access_token", "EAAA", 60, _LETTERS), ("dropbox_token", "sl.B", 130, _WORDS),
    ("figma_token", "figd_", 40, _WORDS), ("atlassian_token", "ATATT3xFfGF0", 180, _WORDS),
    ("bitbucket_token", "ATBB", 32, _LETTERS), ("doppler_token", "dp.st.", 43, _LETTERS),
    ("planetscale_token", "pscale_tkn_", 43, _WORDS), ("newrelic_key", "NRAK-", 27, _CAPITALS),
    ("rubygems_key", "rubygems_", 48, _HEX), ("clojars_token", "CLOJARS_", 60, _LOWER),
    ("dynatrace_token", "dt0c01.", 89, _CAPITALS), ("easypost_key", "EZAK", 54, _LETTERS),
    ("shippo_token", "shippo_live_", 40, _HEX), ("duffel_token", "duffel_live_", 43, _WORDS),
    ("flutterwave_key", "FLWSECK_TEST-", 32, _HEX), ("frameio_token", "fio-u-", 64, _WORDS),
    ("prefect_key", "pnu_", 36, _LOWER), ("pulumi_token", "pul-", 40, _HEX), ("readme_key", "rdme_", 70, _LOWER),
    ("brevo_key", "xkeysib-", 81, _LOWER), ("typeform_token", "tfp_", 59, _WORDS),
    ("aws_access_key", "ABIA", 16, "ABCDEF234567"), ("gitlab_token", "GR1348941", 20, _WORDS),
    ("grafana_token", "eyJrIjoi", 72, _LETTERS),
    ("alibaba_key", "LTAI", 20, _LETTERS), ("tencent_key", "AKID", 32, _LETTERS),
    ("age_key", "AGE-SECRET-KEY-1", 58, _CAPITALS), ("fly_token", "fo1_", 43, _WORDS),
    ("heroku_key", "HRKU-AA", 58, _WORDS), ("adobe_secret", "p8e-", 32, _WORDS),
    ("netlify_token", "nfp_", 40, _LETTERS), ("vercel_token", "vcp_", 56, _LETTERS),
    ("circleci_token", "CCIPAT_", 63, _LETTERS), ("buildkite_token", "bkua_", 40, _LOWER),
    ("sonar_token", "squ_", 40, _HEX), ("contentful_token", "CFPAT-", 43, _WORDS),
    ("jfrog_key", "AKCp", 69, _LETTERS), ("nuget_key", "oy2", 43, _LOWER), ("together_key", "tgp_v1_", 43, _WORDS),
    ("runpod_key", "rpa_", 44, _CAPITALS), ("anyscale_key", "esecret_", 32, _LOWER), ("e2b_key", "e2b_", 40, _HEX),
    ("firecrawl_key", "fc-", 32, _HEX), ("posthog_key", "phx_", 43, _LETTERS),
    ("tailscale_key", "tskey-auth-", 37, _LETTERS), ("openshift_token", "sha256~", 43, _WORDS),
    ("sourcegraph_token", "sgp_", 57, _HEX), ("settlemint_token", "sm_aat_", 16, _LETTERS),
    ("intra42_secret", "s-s4t2ud-", 64, _HEX), ("scalingo_token", "tk-us-", 48, _WORDS),
    ("octopus_key", "API-", 26, _CAPITALS), ("infracost_key", "ico-", 32, _LETTERS),
    ("yandex_key", "AQVN", 36, _WORDS), ("onepassword_secret", "A3-AB12CD-", 29, _CAPITALS),
    ("cloudflare_key", "v1.0-", 171, _HEX), ("braintree_token", "access_token$production$", 49, _LOWER),
)  # fmt: skip

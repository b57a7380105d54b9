"""Compare the findings of the quick search with those of reading each stretch. It is no part of the test suite.

    python tests/fuzz/compare_readings.py FILE_OR_FOLDER ...

Each string of a file in JSON, each line of one in JSON lines, and each other file in UTF-8 is a text. The program
prints the number of texts and of findings, and ends with status 1 at the first difference. It prints no text.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from llmops_sdk.guardrails import GuardContext
from llmops_sdk.guardrails.detectors import PiiDetector, SecretsDetector, _secrets_detector
from llmops_sdk.guardrails.detectors.pii import _pii
from llmops_sdk.guardrails.normalise import Decoding, Read, reading, views

CONTEXT = GuardContext(rail="output")


def _read_all(_text: str, *rest: Any) -> Read:
    return partial(views, decoding=rest[-1] if isinstance(rest[-1], Decoding) else None)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from _strings(one)


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a file, or of all files in a folder."""
    if path.is_dir():
        for one in sorted(path.rglob("*")):
            if one.is_file():
                yield from texts(one)
        return
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "replace")
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "json":
        yield from _strings(json.loads(text))
    elif kind == "jsonl":
        yield from (one for line in text.splitlines() if line for one in _strings(json.loads(line)))
    elif "\0" not in text:
        yield text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    count = found = 0
    detectors = (PiiDetector(), SecretsDetector())
    for path in parser.parse_args().paths:
        for number, text in enumerate(texts(path)):
            count += 1
            for detector in detectors:
                quick = detector.detect(text, CONTEXT)
                _pii.reading = _secrets_detector.reading = _read_all
                slow = detector.detect(text, CONTEXT)
                _pii.reading = _secrets_detector.reading = reading
                found += quick.found
                if quick.findings != slow.findings:
                    print(f"{path}: text {number}: {detector.name}: {len(quick.findings)} and {len(slow.findings)}")
                    return 1
    print(f"{count:,} texts, {found:,} with findings: the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())

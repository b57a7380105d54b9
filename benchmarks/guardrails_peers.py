"""The peers of the guardrails benchmark: each runs as a process in its own environment, and this file is its program.

The environments are made at first use under `.venv/guardrails` from the pins in `requirements-guardrails/`. A peer gets
texts as JSON on standard input and writes what it finds as JSON. It uses the defaults of the library, and it cannot
open a connection.
"""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from environments import environment

__all__ = ["PEERS", "Found", "ask", "timed", "version_of"]

HERE = Path(__file__).resolve().parent
ENVIRONMENTS = HERE.parent / ".venv" / "guardrails"
TIMEOUT = 900  # seconds
LONGEST = 60.0  # seconds for which a peer may work on one text; a longer one is not measured
PEERS = ("presidio-analyzer", "detect-secrets", "stackone-defender", "turbocloak")


class Found(NamedTuple):
    """What a peer finds in a text.

    Attributes:
        flagged: Whether it acts at its own threshold.
        score: Its score, from 0 to 1.
        places: Kind, start and end of each place.
    """

    flagged: bool
    score: float = 0.0
    places: Sequence[tuple[str, int, int]] = ()


Ways = dict[str, Callable[[str], Found]]


def timed(call: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median wall time and the median CPU time of the process for a call, in milliseconds."""
    if rounds > 1:
        call()
    walls, processors = [], []
    for _ in range(rounds):
        wall, processor = time.perf_counter_ns(), time.process_time_ns()
        call()
        walls.append((time.perf_counter_ns() - wall) / 1e6)
        processors.append((time.process_time_ns() - processor) / 1e6)
    return statistics.median(walls), statistics.median(processors)


def ask(peer: str, **task: Any) -> dict[str, Any]:
    """Return what a peer makes of a task, a dictionary by the name of its way of looking.

    Args:
        peer: The name of the distribution.
        task: `texts`, the texts to look into, and `latency`, pairs of a text and a number of rounds.

    Raises:
        subprocess.CalledProcessError: The peer could not be installed, or it failed.
    """
    python = environment(HERE / "requirements-guardrails" / f"{peer}.txt", ENVIRONMENTS / peer)
    print(f"asking {peer}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [str(python), str(HERE / "guardrails_peers.py"), peer],
        input=json.dumps(task), capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{peer} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def version_of(peer: str) -> str:
    """Return the version of a peer that is pinned."""
    text = (HERE / "requirements-guardrails" / f"{peer}.txt").read_text("utf-8")
    return text.partition(f"\n{peer}==")[2].partition(" ")[0]


def _presidio() -> Ways:
    import logging

    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    logging.disable(logging.CRITICAL)  # it reports that it cannot load the list of domains
    configuration = {"nlp_engine_name": "no_op", "models": [{"lang_code": "en", "model_name": "none"}]}
    engine = NlpEngineProvider(nlp_configuration=configuration).create_engine()
    analyzer = AnalyzerEngine(nlp_engine=engine, supported_languages=["en"])

    def pii(text: str) -> Found:
        found = analyzer.analyze(text, language="en")
        return Found(bool(found), 0.0, [(one.entity_type, one.start, one.end) for one in found])

    return {"pii": pii}


def _detect_secrets() -> Ways:
    from detect_secrets.core import scan
    from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
    from detect_secrets.settings import transient_settings

    names = [one.__name__ for one in get_mapping_from_secret_type_to_class().values()]
    # An address of a machine is not a secret.
    names = [name for name in names if name != "IPPublicDetector"]

    entered = ExitStack()
    in_force: list[Sequence[str]] = []

    def way(plugins: Sequence[str]) -> Callable[[str], Found]:
        def secrets(text: str) -> Found:
            if in_force != [plugins]:  # settings are global, and it takes long to change them
                in_force[:] = [plugins]
                entered.close()
                entered.enter_context(transient_settings({"plugins_used": [{"name": name} for name in plugins]}))
            return Found(any(list(scan.scan_line(line)) for line in text.splitlines()))

        return secrets

    return {"patterns": way([name for name in names if "Entropy" not in name]), "all plugins": way(names)}


def _stackone() -> Ways:
    from stackone_defender import create_prompt_defense

    defense = create_prompt_defense(block_high_risk=True, require_tier2=True)
    defense.warmup_tier2()

    def injection(text: str) -> Found:
        found = defense.defend_tool_result(text, "read_mail")
        return Found(not found.allowed, found.tier2_score or 0.0)

    return {"injection": injection}


def _turbocloak() -> Ways:
    import turbocloak

    def places(text: str) -> Iterator[tuple[str, int, int]]:
        clean, vault = turbocloak.clean_pii(text)
        at = shift = 0
        while (start := clean.find("[", at)) >= 0:
            end = clean.find("]", start) + 1
            value = vault.get_original(clean[start:end]) if end else None
            at = start + 1
            if value is not None:
                kind = clean[start + 1 : end].rpartition("_")[0]
                yield kind, start + shift, start + shift + len(value)
                shift += len(value) - (end - start)
                at = end

    def pii(text: str) -> Found:
        found = list(places(text))
        return Found(bool(found), 0.0, found)

    def everything(text: str) -> Found:
        report = turbocloak.inspect_all(text)
        return Found(not report.is_safe)

    return {
        "injection": lambda text: Found(turbocloak.is_jailbreak(text), turbocloak.injection_score(text)),
        "pii": pii,
        "secrets": lambda text: Found(turbocloak.contains_secrets(text)),
        "everything": everything,
    }


WAYS: dict[str, Callable[[], Ways]] = {
    "presidio-analyzer": _presidio,
    "detect-secrets": _detect_secrets,
    "stackone-defender": _stackone,
    "turbocloak": _turbocloak,
}


def _refuse(*_: object) -> None:
    raise OSError("a peer opens no connection")


def _latencies(way: Callable[[str], Found], texts: Sequence[tuple[str, int]]) -> list[tuple[float, float] | None]:
    """Return the times of texts that grow in length; None for one that would take too long, and for those after it."""
    found: list[tuple[float, float] | None] = []
    speed = 0.0  # seconds a character
    for text, rounds in texts:
        if found and (found[-1] is None or speed * len(text) > LONGEST):
            found.append(None)
            continue
        found.append(timed(lambda text=text: way(text), rounds))
        speed = found[-1][0] / 1000 / len(text)
    return found


def main() -> None:
    """Do the task on standard input, as the peer that the command line names."""
    socket.socket.connect = _refuse  # pyright: ignore[reportAttributeAccessIssue]
    os.environ["TLDEXTRACT_CACHE"] = os.devnull
    task, output = json.load(sys.stdin), sys.stdout
    sys.stdout = sys.stderr  # a library may print
    ways = WAYS[sys.argv[1]]()
    wanted = task.get("ways") or list(ways)
    result = {
        name: {
            "texts": [ways[name](text) for text in task.get("texts", ())],
            "latency": [_latencies(ways[name], texts) for texts in task.get("latency", ())],
        }
        for name in wanted
    }
    json.dump(result, output)


if __name__ == "__main__":
    main()

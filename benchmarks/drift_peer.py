"""Evidently, as a program in its own environment: reads windows as JSON from a file and prints what it finds.

The two ways are the content drift of a text column, and the share of the columns that drifted where each dimension of
the vectors is a column. It cannot open a connection.
"""

from __future__ import annotations

import json
import socket
import sys
import time
import warnings
from pathlib import Path
from typing import Any

COLUMN_RUNS = 1


def _no_network(*_: object, **__: object) -> None:
    raise OSError("the benchmark has no network")


def main() -> None:
    socket.socket.connect = _no_network  # type: ignore[method-assign]
    warnings.simplefilter("ignore")
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift
    from evidently.presets import DataDriftPreset

    def text_drift(old: list[str], new: list[str]) -> tuple[float, bool]:
        sides = [
            Dataset.from_pandas(pd.DataFrame({"text": side}), data_definition=DataDefinition(text_columns=["text"]))
            for side in (new, old)
        ]
        done = Report([ValueDrift(column="text")], include_tests=True).run(*sides).dict()
        return float(_value(done["metrics"][0]["value"])), any(one["status"] == "FAIL" for one in done["tests"])

    def column_drift(old: list[list[float]], new: list[list[float]]) -> tuple[float, bool]:
        sides = []
        for side in (new, old):
            frame = pd.DataFrame(side, columns=[f"d{number}" for number in range(len(side[0]))])
            definition = DataDefinition(numerical_columns=list(frame.columns))
            sides.append(Dataset.from_pandas(frame, data_definition=definition))
        done = Report([DataDriftPreset()]).run(*sides).dict()
        share = float(done["metrics"][0]["value"]["share"])
        return share, share >= 0.5

    def _value(found: Any) -> float:
        return found["value"] if isinstance(found, dict) else found

    found: dict[str, list[dict[str, Any]]] = {}
    for name, windows in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")).items():
        for number, (old, new) in enumerate(windows):
            begin = time.process_time()
            content, content_drift = text_drift(old["texts"], new["texts"])
            seconds = time.process_time() - begin
            # A minute for each pair of windows: the first few must do.
            columns, columns_drift = (
                column_drift(old["vectors"], new["vectors"]) if number < COLUMN_RUNS else (None, None)
            )
            found.setdefault(name, []).append({
                "content": content, "content_drift": content_drift, "columns": columns, "columns_drift": columns_drift,
                "seconds": seconds,
            })  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()

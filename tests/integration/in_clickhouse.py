"""Create the views of the statements on stdin in an embedded ClickHouse, and print each view as a line of JSON."""

from __future__ import annotations

import json
import sys

from chdb.session import Session

session = Session()
for statement in sys.stdin.read().split(";\n"):
    if statement.strip():
        session.query(statement)
for view in sys.argv[1:]:
    rows = str(session.query(f"SELECT * FROM llmops.{view}", "JSONCompactEachRowWithNames")).splitlines()
    print(json.dumps([view, [json.loads(row) for row in rows]]))

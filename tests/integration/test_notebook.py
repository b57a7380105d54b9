"""A real kernel runs the notebook example, each cell twice: first to last, then again."""

from __future__ import annotations

from pathlib import Path

import pytest
from real_servers import running

import llmops_sdk as llmops

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]
EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook_reload.py"
RUN = """
import pathlib
import nbformat
from nbclient import NotebookClient

new_cell = nbformat.v4.new_code_cell
cells = pathlib.Path("notebook_reload.py").read_text().split("\\n# %%")
cells = [cells[0], *(f"#{cell}" for cell in cells[1:])]
cells += ["%load_ext autoreload", "%autoreload 2", '''
@llmops.llm
async def ask(question: str) -> str:
    return question

with llmops.context(user_id="ada", session_id="s"):
    await ask("I am ada")
print((await llmops.aquery("SELECT count(*) FROM llm_calls")).scalar() > 0)
''']
notebook = nbformat.v4.new_notebook(cells=[new_cell(cell) for cell in cells * 2])
NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
for cell in notebook.cells:
    print("".join(output.get("text", "") for output in cell.outputs if output.output_type == "stream"), end="")
"""


def test_notebook_runs_twice_over_in_a_real_kernel(tmp_path: Path) -> None:
    (tmp_path / "run.py").write_text(RUN)
    (tmp_path / "notebook_reload.py").write_text(EXAMPLE.read_text())
    with running(tmp_path, "run", packages_of="notebook", IPYTHONDIR=str(tmp_path / "ipython")) as kernel:
        assert kernel.process.wait(300) == 0, kernel.said
    assert kernel.said.count("2 calls, before and after the reload, in one store") == 2, kernel.said
    assert kernel.said.count("chat echo") > 4, kernel.said
    sql = "SELECT user_id, session_id, count(*), count(DISTINCT trace_id) FROM llm_calls GROUP BY ALL ORDER BY ALL"
    # The configuration of the example has its own store; the second half's calls are in it too.
    rows = llmops.query(sql, path=tmp_path / ".llmops").rows()
    assert rows == [("ada", "s", 2, 2), (None, None, 4, 4)]

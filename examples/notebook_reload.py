"""In a notebook: run a cell again, change the settings, reload a module, and query the traces in between.

`# %%` separates the cells, for editors and for Jupyter with jupytext. As a script, the file runs from top to bottom.
You can run every cell again at any time: the process has one pipeline and one store, also after a reload.
"""

# %% Settings. Running this cell again replaces the earlier settings.
import importlib

import llmops_sdk as llmops

settings = llmops.configure(store={"path": ".llmops"}, service="notebook")


# %% A prompt function. Running the cell again defines it again. The store has the calls of both versions.
@llmops.llm(returns=llmops.Response)
def summary(text: str) -> str:
    return f"Summarise in one sentence: {text}"


first = summary("The card arrived after three days.")

# %% Query it. `flush` waits until the spans are in the store. `.df()` returns a DataFrame if pandas is installed.
llmops.flush()
calls = llmops.query("SELECT name, model, duration_ms, input_tokens FROM llm_calls ORDER BY start_ns DESC LIMIT 10")
calls.show()

# %% `%autoreload` and `importlib.reload` load the package again. Functions decorated before still work, and
# use the same pipeline.
llmops = importlib.reload(llmops)
second = summary("The PIN came one day later.")
llmops.flush()
((spans,),) = llmops.query(
    "SELECT count(*) FROM llm_calls WHERE trace_id IN ($first, $second)",
    {"first": first.trace_id, "second": second.trace_id},
).rows()
print(f"{spans} calls, before and after the reload, in one store")

# %% A notebook has a running event loop, so `await` works in a cell. A script needs `asyncio.run`.

"""What a notebook does: run a cell again, change the settings, reload a module, and look at the traces in between.

The cells are separated by `# %%`, as editors and Jupyter (with jupytext) read them; as a script it runs from top to
bottom. Every cell may be run again at any time: there is one pipeline and one store in the process, whatever is
reloaded.
"""

# %% Settings. Running this cell again replaces what it said the last time.
import importlib

import llmops_sdk as llmops

llmops.configure(store={"path": ".llmops"}, service="notebook")


# %% A prompt function. Running the cell again defines it again; calls of both versions are in the store.
@llmops.llm(returns=llmops.Response)
def summary(text: str) -> str:
    return f"Summarise in one sentence: {text}"


first = summary("The card arrived after three days.")

# %% What was that? `flush` waits until it is in the store; `.df()` gives a DataFrame where pandas is installed.
llmops.flush()
calls = llmops.query("SELECT name, model, duration_ms, input_tokens FROM llm_calls ORDER BY start_ns DESC LIMIT 10")
calls.show()

# %% `%autoreload` and `importlib.reload` make a new module object of the package. Functions that were decorated before
# go on working, and everything still goes to the one pipeline.
llmops = importlib.reload(llmops)
second = summary("The PIN came one day later.")
llmops.flush()
((spans,),) = llmops.query(
    "SELECT count(*) FROM llm_calls WHERE trace_id IN ($first, $second)",
    {"first": first.trace_id, "second": second.trace_id},
).rows()
print(f"{spans} calls, before and after the reload, in one store")

# %% asyncio runs in a notebook already: write `await summarise("...")` in a cell; in a script it needs asyncio.run.

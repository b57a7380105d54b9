"""One trace over threads, a process pool and a single process.

    python threads_and_processes.py [fork|forkserver|spawn]

`llmops.Executor` carries the current span and `llmops.context` into threads. For another process, `inject` writes the
current trace into a dict of strings, and `extract` continues the trace there.
"""

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import llmops_sdk as llmops


@llmops.trace(kind="tool")
def summarise(document: str) -> str:
    return document.split()[0]


def in_a_process(carrier: dict[str, str], session_id: str, document: str) -> str:
    # The carrier has only the trace, so open `llmops.context` again here.
    with llmops.extract(carrier), llmops.context(session_id=session_id):
        return summarise(document)


def main(start_method: str) -> None:
    documents = ["Cards are free.", "Loans take a day.", "Fees are listed."]
    processes = multiprocessing.get_context(start_method)

    with llmops.context(session_id="s1"), llmops.span("summaries") as span:
        carrier: dict[str, str] = {}
        llmops.inject(carrier)
        # Fork before starting threads: a process that forks should have none.
        with ProcessPoolExecutor(2, mp_context=processes) as pool:
            futures = [pool.submit(in_a_process, carrier, "s1", document) for document in documents]
            print([future.result() for future in futures])
        one = processes.Process(target=in_a_process, args=(carrier, "s1", "Alone."))
        one.start()
        one.join()
        with llmops.Executor(max_workers=2) as threads:
            print(list(threads.map(summarise, documents)))

    sql = "SELECT count(*) FROM spans WHERE trace_id = ? AND parent_span_id = ? AND session_id = 's1'"
    print(llmops.query(sql, [span.trace_id, span.span_id]).scalar(), "calls below one span")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "spawn")

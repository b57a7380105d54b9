// SQL over the views of the store. The query stands in the address; Ctrl+Enter runs it.
import { html, useEffect, useRef, useState } from "../parts/html.js";
import { post } from "../parts/api.js";
import { CopyButton } from "../parts/copy.js";
import { visible } from "../parts/escape.js";
import { count, seconds } from "../parts/format.js";
import { Empty, Failure, Heading, Loading, Notes, Source } from "../parts/frame.js";
import { setQuery } from "../parts/router.js";
import { Table } from "../parts/table.js";

const EXAMPLE = "SELECT name, count(*) AS n, avg(duration_ms) / 1e3 AS seconds\nFROM spans\nWHERE start_time > now() - INTERVAL 1 DAY\nGROUP BY ALL ORDER BY n DESC LIMIT 20";

const NUMBERS = /INT|DOUBLE|FLOAT|DECIMAL|HUGE/;
const kindOf = ({ name, type }) => (name === "trace_id" ? "trace" : name === "session_id" ? "session" : name === "status" ? "status" : type?.includes("TIMESTAMP") ? "time" : NUMBERS.test(type ?? "") ? "number" : "text");

/** Run the query of the address: a change of the address, or `again`, runs it; leaving interrupts it. */
function useSql(q) {
  const [state, set] = useState({ loading: Boolean(q) });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (!q) return set({ loading: false });
    const leave = new AbortController();
    const began = performance.now();
    set({ loading: true });
    post("sql", { sql: q }, leave.signal).then(
      (body) => set({ ...body, loading: false, took: (performance.now() - began) / 1000 }),
      (error) => error.name !== "AbortError" && set({ loading: false, error }),
    );
    return () => leave.abort();
  }, [q, turn]);
  return { ...state, reload: () => setTurn((value) => value + 1) };
}

export default function Sql({ route }) {
  const q = route.query.get("q") ?? "";
  const loaded = useSql(q);
  const field = useRef(null);
  const run = (event) => {
    event.preventDefault();
    const text = field.current.value.trim();
    if (!text) return;
    if (text === q) loaded.reload();
    else setQuery({ q: text });
  };
  const { data } = loaded;
  return html`
    <${Heading} title="SQL" subtitle="Read only, one query at a time." />
    <form class="sql" onSubmit=${run}>
      <label class="field"><span>Query</span><textarea id="search" key=${q} ref=${field} rows="7" spellcheck=${false} maxlength="20000" placeholder=${EXAMPLE} defaultValue=${q}
        onKeyDown=${(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event); }}></textarea></label>
      <div class="buttons"><button type="submit" class="primary">Run</button><span class="muted"><kbd>Ctrl</kbd> <kbd>Enter</kbd></span>
        ${!q && html`<button type="button" class="link" onClick=${() => { field.current.value = EXAMPLE; field.current.focus(); }}>Use an example</button>`}
        ${data?.rows?.length > 0 && html`<${CopyButton} text=${tsv(data)} label="Copy rows, as text with tabs" word="Copy rows" />`}</div>
    </form>
    <${Source} sql=${q || EXAMPLE} command=${loaded.command ?? (q ? "…" : "llmops schema")} />
    <${Failure} error=${loaded.error} retry=${loaded.reload} />
    <${Notes} notes=${loaded.notes} />
    ${q && loaded.loading && html`<${Loading} rows=${6} label="The query runs" />`}
    ${!loaded.loading && data?.columns && html`<p class="muted row-count" role="status">${count(data.total)} ${data.total === 1 ? "row" : "rows"} in ${seconds(loaded.took)}</p>
      <${Table} columns=${data.columns.map((column) => ({ name: column.name, label: column.name, kind: kindOf(column) }))} rows=${data.rows.map((row) => row.map(flat))} empty="The query gives no rows." />`}
    ${!q && html`<${Empty} title="Write a query."><p>The views are <code>spans</code>, <code>traces</code>, <code>llm_calls</code>, <code>scores</code> and others: <code>llmops schema</code> describes them.</p><//>`}`;
}

const flat = (value) => (value !== null && typeof value === "object" && !value.cut ? JSON.stringify(value) : value);
const tsv = (data) => [data.columns.map((column) => column.name), ...data.rows].map((row) => row.map((value) => visible(value === null ? "" : typeof value === "object" ? JSON.stringify(value) : value).replace(/[\t\n]/g, " ")).join("\t")).join("\n");

// Every page without a component of its own: facts, charts and tables, in the one shape that the server sends.
import { href, html, setQuery, useEffect, useRef, useState } from "../parts/base.js";
import { Empty, Failure, FilterBar, Heading, Loading, Notes, Source } from "../parts/frame.js";
import { post, useApi } from "../parts/server.js";
import { Chart, Facts, Table } from "../parts/table.js";
import { CopyButton, count, seconds, visible } from "../parts/text.js";

// Lists of records that are no sheets, as tables.
const LISTS = {
  sessions: { empty: "No session in this time. Give calls a session: with llmops.context(session_id=…).", columns: [
    ["session_id", "Session", "session"], ["start_time", "First", "time"], ["end_time", "Last", "time"], ["user_id", "User", "text"], ["traces", "Traces", "count"],
    ["calls", "Calls", "count"], ["errors", "Errors", "count"], ["tokens", "Tokens", "tokens"], ["cost_usd", "Cost", "usd"], ["models", "Models", "text"]] },
};

function asTable(name, rows) {
  const { columns, empty } = LISTS[name] ?? { columns: Object.keys(rows[0] ?? {}).map((key) => [key, key, "text"]), empty: "Nothing here." };
  const simulated = rows.some((row) => row.simulated) ? [["simulated", "Simulated", "text"]] : [];
  const all = [...columns, ...simulated];
  const cell = (value) => (Array.isArray(value) ? value.join(", ") : value ?? null);
  return { title: "", empty, columns: all.map(([key, label, kind]) => ({ name: key, label, kind })), rows: rows.map((row) => all.map(([key]) => cell(row[key]))) };
}

const hasPoints = (chart) => chart.x?.length > 0 && chart.series?.some((one) => one.values.some((value) => value !== null));
const PERIOD = "Last 30 days"; // what a sheet shows without a time, see its note
const WITHOUT_FILTERS = new Set(["doctor"]);
const own = (query) => [...query].filter(([name]) => name !== "cursor");

/** Facts, charts, tables and links of an answer. */
export function Shape({ data, name }) {
  const tables = data.tables ?? (Array.isArray(data.rows) && name ? [asTable(name, data.rows)] : []);
  const charts = (data.charts ?? []).filter(hasPoints);
  const nothing = !charts.length && !tables.length;
  return html`
    <${Facts} facts=${data.facts} />
    ${charts.length > 0 && html`<div class="charts">${charts.map((chart) => html`<${Chart} key=${chart.title} ...${chart} />`)}</div>`}
    ${tables.map((table) => html`<${Table} key=${table.title} ...${table} />`)}
    ${data.links?.length > 0 && html`<ul class="links">${data.links.map((link) => html`<li><a href=${href(link.path ?? link.href ?? "/", link.query)}>${visible(link.label ?? link.title ?? link.path)}</a></li>`)}</ul>`}
    ${nothing && html`<${Empty} title="Nothing in this time."><p>Choose a longer time, remove a filter, or run <code>llmops demo</code> for something to look at.</p><//>`}`;
}

export default function Generic({ route, server, page }) {
  const name = page?.name ?? route.parts[0];
  const parts = [name, ...route.parts.slice(1)].map(encodeURIComponent).join("/");
  // Filters have the names of the command line; other parameters of a page go to the server too.
  const query = new URLSearchParams(own(route.query));
  const loaded = useApi(parts, query);
  const title = page?.title ?? (server.loading ? "…" : name);
  const filtered = !WITHOUT_FILTERS.has(name);
  return html`
    <${Heading} title=${loaded.data?.title ?? title} subtitle=${loaded.data?.subtitle && visible(loaded.data.subtitle)} />
    ${filtered && html`<${FilterBar} period=${PERIOD} />`}
    <${Source} sql=${loaded.sql} command=${loaded.command} />
    <${Failure} error=${loaded.error} retry=${loaded.reload} />
    <${Notes} notes=${loaded.notes} />
    <div aria-busy=${loaded.loading}>${loaded.data ? html`<${Shape} data=${loaded.data} name=${name} />` : !loaded.error && html`<${Loading} rows=${10} />`}</div>
    ${loaded.next && html`<p class="more"><button type="button" onClick=${() => setQuery({ cursor: loaded.next })}>Next page</button></p>`}`;
}

// SQL over the views of the store. The query stands in the address; Ctrl+Enter runs it.

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

export function Sql({ route }) {
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
    <${Source} sql=${q || EXAMPLE} command=${q ? loaded.command : "llmops schema"} />
    <${Failure} error=${loaded.error} retry=${loaded.reload} />
    <${Notes} notes=${loaded.notes} />
    ${q && loaded.loading && html`<${Loading} rows=${6} label="The query runs" />`}
    ${!loaded.loading && data?.columns && html`<p class="muted row-count" role="status">${count(data.total)} ${data.total === 1 ? "row" : "rows"} in ${seconds(loaded.took)}</p>
      <${Table} columns=${data.columns.map((column) => ({ name: column.name, label: column.name, kind: kindOf(column) }))} rows=${data.rows.map((row) => row.map(flat))} empty="The query gives no rows." />`}
    ${!q && html`<${Empty} title="Write a query."><p>The views are <code>spans</code>, <code>traces</code>, <code>llm_calls</code>, <code>scores</code> and others: <code>llmops schema</code> describes them.</p><//>`}`;
}

const flat = (value) => (value !== null && typeof value === "object" && !value.cut ? JSON.stringify(value) : value);
const tsv = (data) => [data.columns.map((column) => column.name), ...data.rows].map((row) => row.map((value) => visible(value === null ? "" : typeof value === "object" ? JSON.stringify(value) : value).replace(/[\t\n]/g, " ")).join("\t")).join("\n");

// Every page without a component of its own: facts, charts and tables, in the one shape that the server sends.
import { html } from "../parts/html.js";
import { useApi } from "../parts/api.js";
import { Chart } from "../parts/chart.js";
import { visible } from "../parts/escape.js";
import { FilterBar } from "../parts/filters.js";
import { Empty, Failure, Heading, Loading, Notes, Source } from "../parts/frame.js";
import { href, setQuery } from "../parts/router.js";
import { Facts, Table } from "../parts/table.js";

// Lists of records that are no sheets, as tables.
const LISTS = {
  sessions: { empty: "No session in this time. Give calls a session: with llmops.context(session_id=…).", columns: [
    ["session_id", "Session", "session"], ["start_time", "First", "time"], ["end_time", "Last", "time"], ["user_id", "User", "text"], ["traces", "Traces", "count"],
    ["calls", "Calls", "count"], ["errors", "Errors", "count"], ["models", "Models", "text"], ["tokens", "Tokens", "tokens"], ["cost_usd", "Cost", "usd"]] },
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


// Two traces side by side, or two models, prompts or time ranges.
import { classes, html, useMemo, useState } from "../parts/html.js";
import { useApi } from "../parts/api.js";
import { visible } from "../parts/escape.js";
import { cut, formatted, seconds, usd } from "../parts/format.js";
import { Empty, Failure, Heading, Loading, Notes, Source } from "../parts/frame.js";
import { href, setQuery } from "../parts/router.js";
import { ScrollX, Table } from "../parts/table.js";
import { prepare } from "../parts/waterfall.js";
import { wordDiff } from "../parts/diff.js";
import { Shape } from "./generic.js";

const KINDS = [["traces", "Traces", "A trace id"], ["models", "Models", "A model"], ["prompts", "Prompts", "A prompt, or name@version"], ["periods", "Time ranges", "Begin..end, as in 14d..7d"], ["experiments", "Experiments", "An experiment"]];
const CHANGES = { same: "same", status: "other status", model: "other model", tokens: "other tokens", added: "only in B", removed: "only in A" };

function changeOf(a, b) {
  if (!a) return "added";
  if (!b) return "removed";
  return ["status", "model", "tokens"].find((name) => a[name] !== b[name]) ?? "same";
}

/** Lines with their spans: the server sends the places of both. */
function aligned(data) {
  const [a, b] = [prepare(data.a.spans).rows, prepare(data.b.spans).rows];
  return data.lines.map((line) => {
    const [left, right] = [line.a === null ? null : a[line.a], line.b === null ? null : b[line.b]];
    return { depth: line.depth, a: left, b: right, change: changeOf(left, right) };
  });
}

function Choice({ query }) {
  const of = query.get("of") ?? "traces";
  const [a, setA] = useState(query.get("a") ?? "");
  const [b, setB] = useState(query.get("b") ?? "");
  const hint = KINDS.find(([value]) => value === of)?.[2] ?? "";
  const onSubmit = (event) => {
    event.preventDefault();
    setQuery({ a: a.trim(), b: b.trim() });
  };
  return html`<form class="filter-row filters" onSubmit=${onSubmit} aria-label="What to compare">
    <label class="field"><span>Compare</span><select value=${of} onChange=${(event) => setQuery({ of: event.target.value === "traces" ? null : event.target.value, a: null, b: null })}>
      ${KINDS.map(([value, label]) => html`<option value=${value}>${label}</option>`)}</select></label>
    <label class="field grow"><span>A</span><input type="text" maxlength="500" placeholder=${hint} value=${a} onInput=${(event) => setA(event.target.value)} /></label>
    <label class="field grow"><span>B</span><input type="text" maxlength="500" placeholder=${hint} value=${b} onInput=${(event) => setB(event.target.value)} /></label>
    <button type="submit" class="primary" disabled=${!a.trim() || !b.trim()}>Compare</button>
    ${a && b && html`<button type="button" onClick=${() => { setA(b); setB(a); setQuery({ a: b, b: a }); }}>Swap</button>`}
  </form>`;
}

function Side({ span, depth }) {
  if (!span) return html`<td class="none" colspan="3"><span class="muted">–</span></td>`;
  return html`<td class=${`indent-${Math.min(depth ?? 0, 6)}`}><span class=${classes("line", span.status === "error" && "bad")} title=${visible(span.name)}>${visible(span.name)}</span> ${span.model && html`<span class="muted line">${visible(span.model)}</span>`}</td>
    <td class="num">${seconds(Number(span.duration_ns ?? 0) / 1e9)}</td><td class="num">${span.cost_usd ? usd(span.cost_usd) : ""}</td>`;
}

function Aligned({ data, query }) {
  const [onlyChanges, setOnly] = useState(false);
  const [limit, setLimit] = useState(300);
  const all = useMemo(() => aligned(data), [data]);
  const rows = onlyChanges ? all.filter((row) => row.change !== "same") : all;
  const title = (side) => html`<a href=${href(`/trace/${encodeURIComponent(query.get(side))}`)} title=${visible(data[side].summary.name)}>${visible(cut(data[side].summary.name ?? "trace", 30))}</a>`;
  return html`<section class="block">
    <div class="section-head"><h2>Spans</h2><button type="button" class=${classes("toggle", onlyChanges && "on")} aria-pressed=${onlyChanges} onClick=${() => setOnly(!onlyChanges)}>Only differences</button></div>
    <${ScrollX} label="Spans of both traces"><table class="grid aligned">
      <thead><tr><th scope="col">Change</th><th scope="col">A: ${title("a")}</th><th scope="col" class="num">Time</th><th scope="col" class="num">Cost</th><th scope="col">B: ${title("b")}</th><th scope="col" class="num">Time</th><th scope="col" class="num">Cost</th></tr></thead>
      <tbody>${rows.slice(0, limit).map((row) => html`<tr class=${classes("change", ["same", "added", "removed"].includes(row.change) ? row.change : "changed")}><td>${CHANGES[row.change] ?? visible(row.change)}</td><${Side} span=${row.a} depth=${row.depth} /><${Side} span=${row.b} depth=${row.depth} /></tr>`)}</tbody>
    </table><//>
    ${rows.length > limit && html`<button type="button" onClick=${() => setLimit(limit + 1000)}>Show more (${limit} of ${rows.length})</button>`}
    ${rows.length === 0 && html`<${Empty} title="The two traces have the same spans." />`}
  </section>`;
}

/** The texts of stored messages, a role a line; what is no list of messages stays as it is. */
function plain(stored) {
  const text = typeof stored === "string" ? stored : (stored?.text ?? "");
  try {
    const messages = JSON.parse(text);
    return Array.isArray(messages) ? messages.map((one) => `${one.role}:\n${(one.parts ?? []).map((part) => part.content ?? JSON.stringify(part)).join("\n")}`).join("\n\n") : text;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return text;
  }
}

function Texts({ texts }) {
  const parts = useMemo(() => wordDiff(plain(texts.a), plain(texts.b)), [texts]);
  return html`<section class="block"><h2>Newest messages</h2><pre class="raw diff">${parts.map(([kind, text]) => (kind === "same" ? visible(text) : kind === "added" ? html`<ins>${visible(text)}</ins>` : html`<del>${visible(text)}</del>`))}</pre></section>`;
}

export default function Compare({ route }) {
  const { query } = route;
  const ready = query.get("a") && query.get("b");
  const loaded = useApi(ready ? (query.get("of") === "experiments" ? "evals/compare" : "compare") : null, query);
  const { data } = loaded;
  return html`
    <${Heading} title="Compare" />
    <${Choice} key=${query.get("of") ?? "traces"} query=${query} />
    <${Source} sql=${loaded.sql} command=${loaded.command} />
    <${Failure} error=${loaded.error} retry=${loaded.reload} />
    <${Notes} notes=${loaded.notes} />
    ${!ready ? html`<${Empty} title="Choose two."><p>Enter two ids above, or select two traces in the <a href=${href("/traces")}>list of traces</a> and press Compare.</p><//>`
      : !data ? !loaded.error && html`<${Loading} rows=${10} />`
      : data.lines
        ? html`<${Table} title="Totals" columns=${TOTALS} rows=${totals(data)} /><${Aligned} data=${data} query=${query} />`
        : html`<${Shape} data=${{ ...data, tables: data.tables.map(byUnit) }} />
          ${data.texts?.a && data.texts?.b && html`<${Texts} texts=${data.texts} />`}`}`;
}

/** A table whose rows have a unit each: the unit formats the row's numbers and its own column goes. */
function byUnit(table) {
  const unit = table.columns.findIndex((column) => column.name === "kind");
  if (unit < 0) return table;
  const columns = table.columns.filter((_, at) => at !== unit);
  const format = (row) => row.map((value, at) => (typeof value === "number" && at !== unit ? formatted(row[unit], value) : value));
  const texts = columns.map((column) => (column.kind === "number" ? { ...column, kind: "figure" } : column));
  return { ...table, columns: texts, rows: table.rows.map((row) => format(row).filter((_, at) => at !== unit)) };
}

const TOTALS = [{ name: "which", label: "", kind: "text" }, { name: "duration", label: "Duration", kind: "seconds" }, { name: "spans", label: "Spans", kind: "count" }, { name: "tokens", label: "Tokens", kind: "tokens" }, { name: "cost", label: "Cost", kind: "usd" }, { name: "status", label: "Status", kind: "status" }];
const totals = (data) => ["a", "b"].map((side) => {
  const { duration_s: duration, spans, tokens, cost_usd: cost, status } = data[side].summary;
  return [side.toUpperCase(), duration, spans, tokens, cost, status];
});

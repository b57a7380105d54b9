// Two traces side by side, or two models, prompts or time ranges.
import { classes, html, useMemo, useState } from "../parts/html.js";
import { useApi } from "../parts/api.js";
import { visible } from "../parts/escape.js";
import { seconds, usd } from "../parts/format.js";
import { Empty, Failure, Heading, Loading, Notes, Source } from "../parts/frame.js";
import { href, setQuery } from "../parts/router.js";
import { Line } from "../parts/text.js";
import { wordDiff } from "../parts/diff.js";
import { Shape } from "./generic.js";

const KINDS = [["trace", "Traces", "A trace id"], ["model", "Models", "A model"], ["prompt", "Prompts", "A prompt version"], ["range", "Time ranges", "From/to, as in 2026-11-01/2026-11-08"]];
const CHANGES = { same: "same", changed: "changed", added: "only in B", removed: "only in A" };

function Choice({ query }) {
  const by = query.get("by") ?? "trace";
  const [a, setA] = useState(query.get("a") ?? "");
  const [b, setB] = useState(query.get("b") ?? "");
  const hint = KINDS.find(([value]) => value === by)?.[2] ?? "";
  const onSubmit = (event) => {
    event.preventDefault();
    setQuery({ a: a.trim(), b: b.trim() });
  };
  return html`<form class="filter-row filters" onSubmit=${onSubmit} aria-label="What to compare">
    <label class="field"><span>Compare</span><select value=${by} onChange=${(event) => setQuery({ by: event.target.value === "trace" ? null : event.target.value, a: null, b: null })}>
      ${KINDS.map(([value, label]) => html`<option value=${value}>${label}</option>`)}</select></label>
    <label class="field grow"><span>A</span><input type="text" maxlength="500" placeholder=${hint} value=${a} onInput=${(event) => setA(event.target.value)} /></label>
    <label class="field grow"><span>B</span><input type="text" maxlength="500" placeholder=${hint} value=${b} onInput=${(event) => setB(event.target.value)} /></label>
    <button type="submit" class="primary" disabled=${!a.trim() || !b.trim()}>Compare</button>
    ${a && b && html`<button type="button" onClick=${() => { setA(b); setB(a); setQuery({ a: b, b: a }); }}>Swap</button>`}
  </form>`;
}

function Side({ span }) {
  if (!span) return html`<td class="none" colspan="3"><span class="muted">–</span></td>`;
  return html`<td><span class=${classes("line", span.status === "error" && "bad")} title=${visible(span.name)}>${visible(span.name)}</span> ${span.model && html`<span class="muted line">${visible(span.model)}</span>`}</td>
    <td class="num">${seconds(Number(span.duration_ns ?? 0) / 1e9)}</td><td class="num">${span.cost_usd ? usd(span.cost_usd) : ""}</td>`;
}

function Aligned({ data, query }) {
  const [onlyChanges, setOnly] = useState(false);
  const [limit, setLimit] = useState(300);
  const rows = onlyChanges ? data.rows.filter((row) => row.change !== "same") : data.rows;
  const title = (side) => html`<a href=${href(`/trace/${encodeURIComponent(query.get(side))}`)}><${Line} text=${data[side]?.name ?? query.get(side)} /></a>`;
  return html`<section class="block">
    <div class="section-head"><h2>Spans</h2><button type="button" class=${classes("toggle", onlyChanges && "on")} aria-pressed=${onlyChanges} onClick=${() => setOnly(!onlyChanges)}>Only differences</button></div>
    <div class="scroll-x" tabindex="0" role="region" aria-label="Spans of both traces"><table class="grid aligned">
      <thead><tr><th scope="col">Change</th><th scope="col">A: ${title("a")}</th><th scope="col" class="num">Time</th><th scope="col" class="num">Cost</th><th scope="col">B: ${title("b")}</th><th scope="col" class="num">Time</th><th scope="col" class="num">Cost</th></tr></thead>
      <tbody>${rows.slice(0, limit).map((row) => html`<tr class=${classes("change", row.change)}><td class=${`depth-${Math.min(row.depth ?? 0, 8)}`}>${CHANGES[row.change] ?? visible(row.change)}</td><${Side} span=${row.a} /><${Side} span=${row.b} /></tr>`)}</tbody>
    </table></div>
    ${rows.length > limit && html`<button type="button" onClick=${() => setLimit(limit + 1000)}>Show more (${limit} of ${rows.length})</button>`}
    ${rows.length === 0 && html`<${Empty} title="The two traces have the same spans." />`}
  </section>`;
}

function Texts({ texts }) {
  const parts = useMemo(() => wordDiff(String(texts.a ?? ""), String(texts.b ?? "")), [texts]);
  return html`<section class="block"><h2>Text</h2><pre class="raw diff">${parts.map(([kind, text]) => (kind === "same" ? visible(text) : kind === "added" ? html`<ins>${visible(text)}</ins>` : html`<del>${visible(text)}</del>`))}</pre></section>`;
}

export default function Compare({ route }) {
  const { query } = route;
  const ready = query.get("a") && query.get("b");
  const loaded = useApi(ready ? "compare" : null, query);
  const { data } = loaded;
  return html`
    <${Heading} title="Compare" />
    <${Choice} key=${query.get("by") ?? "trace"} query=${query} />
    <${Source} sql=${loaded.sql} command=${loaded.command} />
    <${Failure} error=${loaded.error} retry=${loaded.reload} />
    <${Notes} notes=${loaded.notes} />
    ${!ready ? html`<${Empty} title="Choose two."><p>Enter two ids above, or select two traces in the <a href=${href("/traces")}>list of traces</a> and press Compare.</p><//>`
      : !data ? !loaded.error && html`<${Loading} rows=${10} />`
      : html`<${Shape} data=${{ ...data, facts: data.facts ?? [], tables: data.tables ?? (data.rows ? [{ title: "Totals", columns: TOTALS, rows: totals(data), empty: "" }] : []) }} />
          ${data.texts && html`<${Texts} texts=${data.texts} />`}
          ${data.rows && html`<${Aligned} data=${data} query=${query} />`}`}`;
}

const TOTALS = [{ name: "which", label: "", kind: "text" }, { name: "duration", label: "Duration", kind: "seconds" }, { name: "spans", label: "Spans", kind: "count" }, { name: "tokens", label: "Tokens", kind: "tokens" }, { name: "cost", label: "Cost", kind: "usd" }, { name: "status", label: "Status", kind: "status" }];
const totals = (data) => ["a", "b"].map((side) => [side.toUpperCase(), data[side]?.duration_s ?? null, data[side]?.spans ?? null, data[side]?.tokens ?? null, data[side]?.cost_usd ?? null, data[side]?.status ?? null]);

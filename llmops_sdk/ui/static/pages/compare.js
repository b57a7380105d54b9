// Two traces side by side, or two models, prompts or time ranges.
import { classes, href, html, setQuery, useEffect, useMemo, useState } from "../parts/base.js";
import { Content, wordDiff } from "../parts/conversation.js";
import { Empty, Failure, Heading, Input, Loading, Notes, Source } from "../parts/frame.js";
import { post, useApi } from "../parts/server.js";
import { Facts, ScrollX, Table } from "../parts/table.js";
import { count, cut, formatted, Json, seconds, shortId, usd, visible } from "../parts/text.js";
import { prepare } from "../parts/waterfall.js";
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

export function Compare({ route }) {
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

// Send a stored call again with another model or other options. What it will cost stands on the button.

function textOf(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(textOf).join("\n");
  if (typeof value.text === "string") return value.text;
  if (value.content !== undefined) return textOf(value.content);
  return value.type === "tool_call" ? "" : JSON.stringify(value);
}

function Diff({ before, after }) {
  const parts = useMemo(() => wordDiff(before, after), [before, after]);
  return html`<pre class="raw diff">${parts.map(([kind, text]) => (kind === "same" ? visible(text) : kind === "added" ? html`<ins>${visible(text)}</ins>` : html`<del>${visible(text)}</del>`))}</pre>`;
}

const textOfMessages = (messages) => (Array.isArray(messages) ? messages.map((message) => textOf(message.parts ?? message.content ?? message)).join("\n") : textOf(messages));

function Results({ results, original }) {
  return html`<section class="block" aria-live="polite"><h2>${results.length === 1 ? "Answer" : `${count(results.length)} answers`}</h2>
    ${results.map((one) => html`<div class="message assistant"><p class="role">Trace <a class="id" href=${href(`/trace/${encodeURIComponent(one.trace_id)}`)} title=${visible(one.trace_id)}>${visible(shortId(one.trace_id))}</a>
        ${one.model && ` · ${visible(one.model)}`}${one.cost_usd !== undefined && ` · ${usd(one.cost_usd)}`} · against the original</p>
      ${one.error ? html`<p class="bad failure-text">${visible(one.error)}</p>` : html`<${Diff} before=${textOfMessages(original?.output)} after=${textOf(one.text)} />`}
      ${one.tool_calls?.map((call) => html`<div class="tool-call"><p><span class="badge">tool call</span> <code>${visible(call.name)}</code></p><${Json} value=${call.arguments} label="arguments" /></div>`)}</div>`)}</section>`;
}

/** The estimate of what the fields say; asked again when they change. */
function useEstimate(body) {
  const [state, set] = useState({ loading: true });
  useEffect(() => {
    if (!body) return undefined;
    const leave = new AbortController();
    set((last) => ({ ...last, loading: true, error: undefined }));
    post("replay", body, leave.signal).then(
      (answer) => set({ ...answer.data, loading: false }),
      (error) => error.name !== "AbortError" && set({ loading: false, error }),
    );
    return () => leave.abort();
  }, [JSON.stringify(body)]);
  return state;
}

const optionText = (options) => Object.entries(options ?? {}).map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(", ");

function Fields({ body, estimate, state, temperature, setTemperature, send }) {
  const price = estimate?.estimated_usd;
  const cost = price === 0 ? "free" : price === null || price === undefined ? "cost unknown" : `about ${usd(price)}`;
  const n = body.variants;
  return html`<form class="filter-row filters" onSubmit=${send} aria-label="How to replay">
    <label class="field grow"><span>Model</span><${Input} type="text" maxlength="200" value=${body.model ?? estimate?.model ?? ""} onChange=${(event) => setQuery({ model: event.target.value.trim() || null }, { replace: true })} /></label>
    <label class="field short"><span>Temperature</span><${Input} type="number" min="0" max="2" step="0.1" placeholder="as before" value=${temperature} onChange=${(event) => setTemperature(event.target.value)} /></label>
    <label class="field short"><span>Answers</span><${Input} type="number" min="1" max="5" value=${n} onChange=${(event) => setQuery({ n: event.target.value === "1" ? null : event.target.value }, { replace: true })} /></label>
    <label class="check"><input type="checkbox" checked=${body.as_before} onChange=${(event) => setQuery({ fresh: event.target.checked ? null : "1" }, { replace: true })} /> <span>Other options as before</span></label>
    <button type="submit" class="primary" disabled=${state.busy || !estimate || price === null}>${state.busy ? "Sending …" : `Send ${n === 1 ? "1 call" : `${n} calls`} to ${visible(estimate?.model ?? "…")}, ${cost}`}</button>
  </form>`;
}

const NotOn = ({ refusal }) => html`<${Empty} title="Replays are off here."><p>${visible(refusal ?? "")}</p>
  <p>A replay calls a model, which may cost money and sends content. To allow that, write <code>[ui]</code> and <code>replay = true</code> into <code>llmops.toml</code>, or set <code>LLMOPS_UI__REPLAY=true</code>, and start <code>llmops ui</code> again, without <code>--store</code> and <code>--read-only</code>.</p><//>`;

export function Replay({ route, server }) {
  const [, traceId = "", spanId = ""] = route.parts;
  const [temperature, setTemperature] = useState("");
  const [state, setState] = useState({});
  const chosen = traceId && spanId;
  const span = useApi(chosen ? `span/${encodeURIComponent(traceId)}/${encodeURIComponent(spanId)}` : null, "");
  const n = Math.max(1, Math.min(5, Number(route.query.get("n")) || 1));
  const body = { trace_id: traceId, span_id: spanId, variants: n, as_before: route.query.get("fresh") !== "1" };
  if (route.query.get("model")) body.model = route.query.get("model");
  if (temperature !== "") body.temperature = Number(temperature);
  const answer = useEstimate(server.replay && span.data ? body : null); // a server without replays would refuse it
  const { estimate } = answer;
  const call = span.data?.call;
  const send = async (event) => {
    event.preventDefault();
    setState({ busy: true });
    try {
      setState({ done: (await post("replay", { ...body, max_cost: estimate.estimated_usd ?? 0 })).data });
    } catch (error) {
      setState({ error });
    }
  };
  if (!chosen) return html`<${Heading} title="Replay" /><${Empty} title="Choose a call."><p>Open a trace, select a model call, and press Replay.</p><a href=${href("/traces", { kind: "llm" })}>Traces with model calls</a><//>`;
  const off = !server.loading && !server.error && !server.replay;
  return html`
    <${Heading} title="Replay" subtitle=${html`Span <a class="id" href=${href(`/trace/${encodeURIComponent(traceId)}`, { span: spanId })}>${visible(shortId(spanId))}</a>`} />
    <${Source} sql=${span.sql} command=${span.command} />
    <${Failure} error=${span.error ?? state.error ?? answer.error} retry=${span.error ? span.reload : undefined} />
    ${off && html`<${NotOn} refusal=${server.replay_refusal} />`}
    ${!off && (!span.data || (!estimate && answer.loading) ? !span.error && !answer.error && html`<${Loading} rows=${6} />` : html`
      <${Facts} facts=${[{ label: "Model then", value: call?.model ?? null, kind: "text" }, { label: "Cost then", value: call?.cost ?? null, kind: "usd" }, { label: "Messages", value: estimate?.messages ?? null, kind: "count" }, { label: "Tools", value: estimate?.tools ?? null, kind: "count" }, { label: "Options", value: optionText(estimate?.options) || "none", kind: "text" },
        { label: "Input tokens", value: estimate?.input_tokens ?? null, kind: "tokens", hint: "estimated" }, { label: "Output tokens", value: estimate?.output_tokens ?? null, kind: "tokens", hint: "at most" }, { label: "Most it may cost", value: estimate?.max_cost ?? null, kind: "usd", hint: "[ui] max_cost" }]} />
      <${Fields} body=${body} estimate=${estimate} state=${state} temperature=${temperature} setTemperature=${setTemperature} send=${send} />
      ${state.done && html`<${Results} results=${state.done.results} original=${state.done.original} />`}`)}
    ${call?.messages && html`<section class="block"><h2>Original</h2>
      <${Content} title="Input" value=${call.messages.input} source=${{ trace: traceId, span: spanId, field: "input_messages" }} />
      <${Content} title="Output" value=${call.messages.output} source=${{ trace: traceId, span: spanId, field: "output_messages" }} /></section>`}`;
}

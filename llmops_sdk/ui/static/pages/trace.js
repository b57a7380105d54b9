// One trace: its spans on a time axis, and beside them the span that is selected.
import { classes, href, html, setQuery, useEffect, useMemo, useState } from "../parts/base.js";
import { Content, Conversation, ScoreForm, Scores } from "../parts/conversation.js";
import { Badge, Empty, Failure, Heading, Input, Loading, Notes, Source, Status } from "../parts/frame.js";
import { useApi, useLive } from "../parts/server.js";
import { Facts, Table } from "../parts/table.js";
import { CopyButton, count, cut, Json, shortId, Text, time, utc, visible } from "../parts/text.js";
import { prepare, Waterfall } from "../parts/waterfall.js";

const SHOWS = [["all", "All spans"], ["critical", "Critical path"], ["errors", "Errors"], ["calls", "Model calls"]];

function keepers(show, text) {
  const word = text.toLowerCase();
  const tests = [];
  if (show === "critical") tests.push((row) => row.on_critical_path);
  if (show === "errors") tests.push((row) => row.status === "error");
  if (show === "calls") tests.push((row) => row.kind === "llm" || row.model);
  if (word) tests.push((row) => String(row.name).toLowerCase().includes(word));
  return tests.length ? (row) => tests.every((test) => test(row)) : null;
}

function factsOf(summary, spans) {
  return [
    { label: "Duration", value: summary.duration_s, kind: "seconds" },
    { label: "Spans", value: spans.length, kind: "count" },
    { label: "Cost", value: summary.cost_usd, kind: "usd", hint: summary.cost_usd === null ? "No price is known" : undefined },
    { label: "Tokens", value: summary.tokens, kind: "tokens" },
    { label: "Models", value: (summary.models ?? []).join(", ") || null, kind: "text" },
    { label: "User", value: summary.user_id ?? null, kind: "text" },
  ];
}

// What tells most stands first, so that a narrow panel shows it; times stand last.
const FIRST = ["attempt", "guard", "rail", "action", "tier", "hit", "decision", "router", "status", "reason", "error_type", "model", "provider", "score", "similarity", "duration_ms", "cost", "saved_cost"];
const rank = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) : name === "time" || name.endsWith("_time") ? 99 : 50);

/** Rows of whatever keys the records have. */
export function Records({ title, records }) {
  const list = Array.isArray(records) ? records : records ? [records] : [];
  if (!list.length) return null;
  const names = [...new Set(list.flatMap((one) => Object.keys(one)))].filter((name) => list.some((one) => one[name] !== null && one[name] !== undefined)).sort((a, b) => rank(a) - rank(b)).slice(0, 12);
  const kindOf = (name) => (name.endsWith("_ms") ? "ms" : name.endsWith("_s") ? "seconds" : name.endsWith("_usd") || name === "cost" ? "usd" : name.endsWith("tokens") ? "tokens" : name === "status" ? "status" : name === "time" || name.endsWith("_time") ? "time" : "text");
  const label = (name) => name.replace(/_(ms|s|usd)$/, "").replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
  const flat = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : value);
  return html`<${Table} title=${title} columns=${names.map((name) => ({ name, label: label(name), kind: kindOf(name) }))} rows=${list.map((one) => names.map((name) => flat(one[name])))} />`;
}

function More({ title, value, source, open = false }) {
  if (!has(value)) return null;
  return html`<details class="part" open=${open}><summary>${title}</summary><${Json} value=${value} source=${source} label=${title} /></details>`;
}

const LISTS = [["attempts", "Attempts"], ["cache_lookups", "Cache look-ups"], ["guard_verdicts", "Guard verdicts"], ["traffic", "Traffic control"], ["routes", "Routing"], ["losses", "Losses"]];
const SHOWN = ["input", "output", "attributes", "events", "resource", "links", "scores", "call", "status_message", ...LISTS.map(([name]) => name)];
const CALL = ["messages", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost", "model", "cache", "attempts"];

const has = (value) => value !== null && value !== undefined && !(typeof value === "object" && !Object.keys(value).length);
const part = (text, number) => (number ? `${text} ${count(number)}` : null);

function factsOfSpan(row, call) {
  const tokens = call && [part("in", call.input_tokens), part("out", call.output_tokens), part("cached", call.cache_read_tokens), part("reasoning", call.reasoning_tokens)].filter(Boolean).join(", ");
  return [
    { label: "Time", value: row.lasts / 1000, kind: "seconds" },
    { label: "Own time", value: row.own_ns === undefined || row.own_ns === null ? null : Number(row.own_ns) / 1e9, kind: "seconds" },
    ...(call ? [
      { label: "First token", value: call.ttft_ms === null || call.ttft_ms === undefined ? null : call.ttft_ms / 1000, kind: "seconds" },
      { label: "Tokens", value: tokens || null, kind: "text" },
      { label: "Cost", value: call.cost ?? row.cost_usd ?? null, kind: "usd" },
      { label: "Model", value: call.model ?? call.request_model ?? row.model ?? null, kind: "text" },
    ] : []),
  ];
}

function SpanFacts({ detail, traceId, row }) {
  const message = detail.status_message ?? row.error_message;
  const call = detail.call;
  const others = call && Object.fromEntries(Object.entries(call).filter(([name, value]) => !CALL.includes(name) && has(value) && value !== 0));
  return html`
    ${(message || row.error_type) && html`<div class="failure" role="group" aria-label="Error"><strong>${visible(cut(row.error_type ?? "Error", 200))}</strong><div class="failure-text"><${Text} value=${message ?? ""} source=${{ trace: traceId, span: row.span_id, field: "status_message" }} rendered=${false} /></div></div>`}
    <${Facts} facts=${factsOfSpan(row, call)} />
    ${LISTS.map(([name, title]) => html`<${Records} title=${title} records=${detail[name]} />`)}
    <${More} title="Call" value=${others} source=${{ trace: traceId, span: row.span_id }} />`;
}

/** Input or output: the messages of a call to a model, else the value of the span. */
function Side({ title, messages, value, source }) {
  if (Array.isArray(messages) && messages.length) return html`<${Conversation} title=${title} messages=${messages} source=${{ ...source, inner: true }} />`;
  return html`<${Content} title=${title} value=${has(messages) ? messages : value} source=${source} />`;
}

function SpanPanel({ traceId, row, server, onClose }) {
  const loaded = useApi(`span/${encodeURIComponent(traceId)}/${encodeURIComponent(row.span_id)}`, "");
  const detail = loaded.data ?? {};
  const messages = detail.call?.messages ?? {};
  const source = { trace: traceId, span: row.span_id };
  const others = Object.fromEntries(Object.entries(detail).filter(([name, value]) => !SHOWN.includes(name) && has(value)));
  const replay = row.kind === "llm" && server.replay;
  return html`<section class="panel" aria-label="The selected span">
    <header class="panel-head">
      <div><h2>${visible(cut(String(row.name), 120))}</h2><p class="muted"><${Status} status=${row.status} error=${row.error_type} /> · ${visible(row.kind ?? "span")} · <span class="id" title=${visible(row.span_id)}>${visible(shortId(row.span_id))}</span> <${CopyButton} text=${row.span_id} label="Copy span id" small=${true} /></p></div>
      <div class="actions">${replay && html`<a class="button" href=${href(`/replay/${encodeURIComponent(traceId)}/${encodeURIComponent(row.span_id)}`)}>Replay</a>`}
        <button type="button" class="close" onClick=${onClose} aria-label="Close the span">×</button></div>
    </header>
    <${Failure} error=${loaded.error} retry=${loaded.reload} />
    ${!loaded.data && loaded.loading ? html`<${Loading} rows=${6} />` : html`
      <${SpanFacts} detail=${detail} traceId=${traceId} row=${row} />
      <${Scores} scores=${detail.scores} />
      <${Side} title="Input" messages=${messages.input} value=${detail.input} source=${{ ...source, field: has(messages.input) ? "input_messages" : "input" }} />
      <${Side} title="Output" messages=${messages.output} value=${detail.output} source=${{ ...source, field: has(messages.output) ? "output_messages" : "output" }} />
      <${More} title="Attributes" value=${detail.attributes} source=${{ ...source, field: "attributes" }} />
      <${More} title="Events" value=${detail.events} source=${{ ...source, field: "events" }} />
      <${More} title="Resource" value=${detail.resource} source=${source} />
      <${More} title="Links" value=${detail.links} source=${{ ...source, field: "links" }} />
      <${More} title="Columns" value=${others} source=${source} />
      <${ScoreForm} key=${row.span_id} target=${{ trace_id: traceId, span_id: row.span_id }} label="Score this span" onScored=${loaded.reload} />`}
  </section>`;
}

// Arrow keys that are held down pass many spans; only the one where they stop is loaded.
function useSettled(row) {
  const [settled, set] = useState(row);
  useEffect(() => {
    const timer = setTimeout(() => set(row), 90);
    return () => clearTimeout(timer);
  }, [row]);
  return row && settled ? settled : row;
}

export default function Trace({ route, server }) {
  const traceId = route.parts[1] ?? "";
  const loaded = useApi(`trace/${encodeURIComponent(traceId)}`, "");
  const { data } = loaded;
  useLive(Boolean(data), (message) => message.type === "changed" && loaded.reload()); // what was pruned goes away
  const prepared = useMemo(() => prepare(data?.spans), [data]);
  const show = route.query.get("show") ?? "all";
  const text = route.query.get("find") ?? "";
  const keep = useMemo(() => keepers(show, text), [show, text]);
  const wanted = route.query.get("span");
  const row = wanted === "none" ? undefined : prepared.rows.find((one) => one.span_id === wanted) ?? (innerWidth >= 1000 && !wanted ? prepared.rows[0] : undefined);
  const [, setWide] = useState(innerWidth >= 1000);
  useEffect(() => {
    const wide = matchMedia("(min-width: 1000px)");
    const changed = () => setWide(wide.matches);
    wide.addEventListener("change", changed);
    return () => wide.removeEventListener("change", changed);
  }, []);
  const opened = useSettled(row);
  // On a narrow window the span stands below the list.
  useEffect(() => { if (wanted && wanted !== "none" && innerWidth < 1000) document.querySelector(".panel")?.scrollIntoView({ block: "start" }); }, [wanted, Boolean(row)]);
  const summary = data?.summary ?? {};
  const select = (one) => setQuery({ span: one.span_id }, { replace: true });
  return html`
    <${Heading} title=${summary.name ?? (data ? "(no name)" : "Trace")} subtitle=${html`<span class="id" title=${visible(traceId)}>${visible(traceId)}</span> <${CopyButton} text=${traceId} label="Copy trace id" small=${true} />
        ${summary.start_time && html` · <time datetime=${summary.start_time} title=${utc(summary.start_time)}>${time(summary.start_time)}</time> `}
        ${summary.session_id && html` · session <a class="id" href=${href(`/session/${encodeURIComponent(summary.session_id)}`)} title=${visible(summary.session_id)}>${visible(cut(summary.session_id, 40))}</a>`}`}>
      ${summary.status && html`<${Status} status=${summary.status} error=${summary.error_type} />`}
      ${summary.simulated && html`<${Badge} kind="note">simulated<//>`}
    <//>
    <${Source} sql=${loaded.sql} command=${loaded.command} />
    <${Failure} error=${loaded.error} retry=${loaded.reload} />
    <${Notes} notes=${loaded.notes} />
    ${!data ? !loaded.error && html`<${Loading} rows=${14} />` : html`
      <${Facts} facts=${factsOf(summary, prepared.rows)} />
      <${Scores} scores=${data.scores} />
      <${Records} title="Losses" records=${data.losses} />
      <div class="filter-row trace-tools">
        <div class="buttons" role="group" aria-label="Which spans">${SHOWS.map(([value, label]) => html`<button type="button" aria-pressed=${show === value} class=${classes("toggle", show === value && "on")}
          onClick=${() => setQuery({ show: value === "all" ? null : value }, { replace: true })}>${label}</button>`)}</div>
        <label class="field"><span class="offscreen">Find spans by name</span><${Input} id="search" type="search" maxlength="200" placeholder="Find by name ( / )" value=${text} onChange=${(event) => setQuery({ find: event.target.value }, { replace: true })} /></label>
      </div>
      <div class=${classes("trace-body", row && "with-panel")}>
        <div class="trace-main">${prepared.rows.length === 0 ? html`<${Empty} title="This trace has no spans." />`
          : html`<${Waterfall} prepared=${prepared} simulated=${summary.simulated} selected=${row?.span_id} onSelect=${select} keep=${keep} />`}
          <${ScoreForm} target=${{ trace_id: traceId }} label="Score this trace" onScored=${loaded.reload} /></div>
        ${row && html`<${SpanPanel} traceId=${traceId} row=${opened} server=${server} onClose=${() => setQuery({ span: "none" }, { replace: true })} />`}
      </div>`}`;
}

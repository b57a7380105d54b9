// One trace: its spans on a time axis, and beside them the span that is selected.
import { classes, html, useEffect, useMemo, useState } from "../parts/html.js";
import { useApi } from "../parts/api.js";
import { Content, Conversation } from "../parts/conversation.js";
import { CopyButton } from "../parts/copy.js";
import { visible } from "../parts/escape.js";
import { count, seconds, shortId, time, usd, utc } from "../parts/format.js";
import { Badge, Empty, Failure, Heading, Loading, Notes, Source, Status } from "../parts/frame.js";
import { href, setQuery } from "../parts/router.js";
import { ScoreForm, Scores } from "../parts/score.js";
import { Facts, Table } from "../parts/table.js";
import { Json, Line, Text } from "../parts/text.js";
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

/** Rows of whatever keys the records have. */
export function Records({ title, records }) {
  const list = Array.isArray(records) ? records : records ? [records] : [];
  if (!list.length) return null;
  const names = [...new Set(list.flatMap((one) => Object.keys(one)))].filter((name) => list.some((one) => one[name] !== null && one[name] !== undefined)).slice(0, 9);
  const kindOf = (name) => (name.endsWith("_s") ? "seconds" : name.endsWith("_usd") ? "usd" : name.endsWith("tokens") ? "tokens" : name === "status" ? "status" : name === "time" || name.endsWith("_time") ? "time" : "text");
  const label = (name) => name.replace(/_(s|usd)$/, "").replaceAll("_", " ").replace(/^./, (first) => first.toUpperCase());
  const flat = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : value);
  return html`<${Table} title=${title} columns=${names.map((name) => ({ name, label: label(name), kind: kindOf(name) }))} rows=${list.map((one) => names.map((name) => flat(one[name])))} />`;
}

function More({ title, value, source, open = false }) {
  if (value === null || value === undefined || (typeof value === "object" && !Object.keys(value).length)) return null;
  return html`<details class="part" open=${open}><summary>${title}</summary><${Json} value=${value} source=${source} label=${title} /></details>`;
}

const SHOWN = ["span", "input", "output", "messages", "output_messages", "tools", "attributes", "events", "resource", "scores", "losses", "attempts", "cache", "verdicts"];

function SpanFacts({ span, detail, traceId, row }) {
  const tokens = typeof span.tokens === "object" && span.tokens ? Object.entries(span.tokens).map(([name, value]) => `${name} ${count(value)}`).join(", ") : span.tokens;
  return html`
    ${(span.error_message || span.error_type) && html`<div class="failure" role="group" aria-label="Error"><strong>${visible(span.error_type ?? "Error")}</strong><div class="failure-text"><${Text} value=${span.error_message ?? ""} source=${{ trace: traceId, span: span.span_id, field: "error_message" }} rendered=${false} /></div></div>`}
    <${Facts} facts=${[
      { label: "Time", value: row ? row.lasts / 1000 : Number(span.duration_ns) / 1e9, kind: "seconds" },
      { label: "Own time", value: span.own_ns === undefined || span.own_ns === null ? null : Number(span.own_ns) / 1e9, kind: "seconds" },
      { label: "Cost", value: span.cost_usd ?? null, kind: "usd" },
      { label: "Tokens", value: tokens ?? null, kind: typeof tokens === "number" ? "tokens" : "text" },
      { label: "Model", value: span.model ?? null, kind: "text" },
    ]} />
    <${Records} title="Attempts" records=${typeof detail.attempts === "object" ? detail.attempts : null} />
    <${Records} title="Cache look-ups" records=${typeof detail.cache === "object" ? detail.cache : null} />
    <${Records} title="Guard verdicts" records=${typeof detail.verdicts === "object" ? detail.verdicts : null} />
    <${Records} title="Losses" records=${typeof detail.losses === "object" ? detail.losses : null} />`;
}

function SpanPanel({ traceId, row, server, onClose }) {
  const loaded = useApi(`span/${encodeURIComponent(traceId)}/${encodeURIComponent(row.span_id)}`, "");
  const detail = loaded.data ?? {};
  const span = { ...row, ...detail.span };
  const source = { trace: traceId, span: row.span_id };
  const others = Object.fromEntries(Object.entries(detail).filter(([name, value]) => !SHOWN.includes(name) && value !== null));
  const replay = server.replay && (row.kind === "llm" || row.model);
  return html`<section class="panel" aria-label="The selected span">
    <header class="panel-head">
      <div><h2>${visible(row.name)}</h2><p class="muted"><${Status} status=${row.status} error=${row.error_type} /> · ${visible(row.kind ?? "span")} · <span class="id" title=${visible(row.span_id)}>${visible(shortId(row.span_id))}</span> <${CopyButton} text=${row.span_id} label="Copy span id" small=${true} /></p></div>
      <div class="actions">${replay && html`<a class="button" href=${href(`/replay/${encodeURIComponent(traceId)}/${encodeURIComponent(row.span_id)}`)}>Replay</a>`}
        <button type="button" class="close" onClick=${onClose} aria-label="Close the span">×</button></div>
    </header>
    <${Failure} error=${loaded.error} retry=${loaded.reload} />
    ${!loaded.data && loaded.loading ? html`<${Loading} rows=${6} />` : html`
      <${SpanFacts} span=${span} detail=${detail} traceId=${traceId} row=${row} />
      <${Scores} scores=${detail.scores} />
      ${detail.messages?.length ? html`<${Conversation} title="Input" messages=${detail.messages} source=${{ ...source, field: "input" }} />` : html`<${Content} title="Input" value=${detail.input} source=${{ ...source, field: "input" }} />`}
      ${detail.output_messages?.length ? html`<${Conversation} title="Output" messages=${detail.output_messages} source=${{ ...source, field: "output" }} />` : html`<${Content} title="Output" value=${detail.output} source=${{ ...source, field: "output" }} />`}
      <${More} title="Tools offered" value=${detail.tools} source=${{ ...source, field: "tools" }} />
      <${More} title="Attributes" value=${detail.attributes} source=${{ ...source, field: "attributes" }} />
      <${More} title="Events" value=${detail.events} source=${{ ...source, field: "events" }} />
      <${More} title="Resource" value=${detail.resource} source=${source} />
      <${More} title="Other" value=${others} source=${source} />
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
  const prepared = useMemo(() => prepare(data?.spans ?? []), [data]);
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
  const summary = data?.summary ?? {};
  const select = (one) => setQuery({ span: one.span_id }, { replace: true });
  return html`
    <${Heading} title=${summary.name ?? (data ? "(no name)" : "Trace")} subtitle=${html`<span class="id" title=${visible(traceId)}>${visible(traceId)}</span> <${CopyButton} text=${traceId} label="Copy trace id" small=${true} />
        ${summary.start_time && html` · <time datetime=${summary.start_time} title=${utc(summary.start_time)}>${time(summary.start_time)}</time> `}
        ${summary.session_id && html` · session <a class="id" href=${href(`/session/${encodeURIComponent(summary.session_id)}`)}><${Line} text=${summary.session_id} /></a>`}`}>
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
        <label class="field"><span class="offscreen">Find spans by name</span><input id="search" type="search" maxlength="200" placeholder="Find by name ( / )" value=${text} onChange=${(event) => setQuery({ find: event.target.value }, { replace: true })} /></label>
      </div>
      <div class=${classes("trace-body", row && "with-panel")}>
        <div class="trace-main">${prepared.rows.length === 0 ? html`<${Empty} title="This trace has no spans." />`
          : html`<${Waterfall} prepared=${prepared} selected=${row?.span_id} onSelect=${select} keep=${keep} />`}
          <${ScoreForm} target=${{ trace_id: traceId }} label="Score this trace" onScored=${loaded.reload} /></div>
        ${row && html`<${SpanPanel} traceId=${traceId} row=${opened} server=${server} onClose=${() => setQuery({ span: "none" }, { replace: true })} />`}
      </div>`}`;
}

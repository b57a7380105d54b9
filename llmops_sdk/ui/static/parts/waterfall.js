// The spans of a trace on a time axis. Only the rows in view are in the document, so that 20,000 spans scroll.
import { classes, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./base.js";
import { useTheme } from "./table.js";
import { count, seconds, usd, visible } from "./text.js";

const ROW = 28;
const OVERSCAN = 12;
const MINIMAP = 56;

/** Spans come as records, or as columns and rows, which are a third of the size. */
function records(spans) {
  if (Array.isArray(spans) || !spans?.rows) return spans ?? [];
  return spans.rows.map((row) => Object.fromEntries(spans.columns.map((name, at) => [name, row[at]])));
}

/** Times relative to the first start, in milliseconds; start_ns is text because it is larger than a JSON number. */
export function prepare(spans) {
  const rows = records(spans);
  const starts = rows.map((span) => (span.offset_ns === undefined ? BigInt(span.start_ns ?? 0) : BigInt(span.offset_ns ?? 0)));
  const first = starts.reduce((least, one) => (one < least ? one : least), starts[0] ?? 0n);
  let end = 0;
  rows.forEach((span, index) => {
    span.index = index;
    span.at = Number(starts[index] - first) / 1e6;
    span.lasts = Math.max(0, Number(span.duration_ns ?? 0) / 1e6);
    span.depth ??= 0;
    span.parent = rows[index + 1]?.depth > span.depth;
    end = Math.max(end, span.at + span.lasts);
  });
  return { rows, end: end || 1 };
}

function withoutClosed(rows, closed, keep) {
  const seen = [];
  let hideBelow = Infinity;
  for (const row of rows) {
    if (row.depth > hideBelow) continue;
    hideBelow = closed.has(row.span_id) ? row.depth : Infinity;
    if (!keep || keep(row)) seen.push(row);
  }
  return seen;
}

function barClass(row) {
  const kinds = ["llm", "tool", "retriever", "agent", "embedding", "guardrail"];
  return classes("bar", row.status === "error" ? "error" : kinds.includes(row.kind) ? row.kind : "other", row.on_critical_path && "critical");
}

function marks(row, simulated) {
  const some = (value) => (typeof value === "number" ? value > 0 : Array.isArray(value) ? value.length > 0 : Boolean(value));
  const found = [];
  const attempts = Array.isArray(row.attempts) ? row.attempts.length : row.attempts;
  if (attempts > 1) found.push([`${attempts} tries`, "warn", "The call was sent several times"]);
  const cache = typeof row.cache === "object" && row.cache ? (row.cache.result ?? row.cache.status ?? "cache") : row.cache;
  if (cache) found.push([visible(String(cache)).startsWith("cache") ? visible(cache) : `cache ${visible(cache)}`, "note", "Looked up in the cache"]);
  for (const verdict of Array.isArray(row.verdicts) ? row.verdicts.slice(0, 2) : []) {
    const text = typeof verdict === "string" ? verdict : (verdict.verdict ?? verdict.action ?? "verdict");
    if (text !== "pass") found.push([visible(text), text === "block" ? "bad" : "warn", visible(typeof verdict === "string" ? verdict : (verdict.guard ?? "guard"))]);
  }
  if (typeof row.verdicts === "string") found.push([visible(row.verdicts), "warn", "Verdict of a guard"]);
  if (row.simulated && !simulated) found.push(["simulated", "note", "Made by a simulation"]);
  if (row.orphan) found.push(["no parent", "warn", "The parent span is not in the store"]);
  if (some(row.losses)) found.push(["lost", "warn", "Something of this span was lost"]);
  return found;
}

function SpanRow({ row, top, scale, selected, closed, simulated, onSelect, onToggle }) {
  const left = `${(row.at / scale) * 100}%`;
  const width = `${Math.max((row.lasts / scale) * 100, 0.15)}%`;
  const label = `${row.name}, ${row.kind ?? "span"}, ${seconds(row.lasts / 1000)}${row.status === "error" ? ", error" : ""}`;
  return html`<div id=${`span-${row.index}`} role="treeitem" aria-level=${row.depth + 1} aria-selected=${selected} aria-expanded=${row.parent ? !closed : undefined}
      aria-label=${visible(label)} class=${classes("span-row", selected && "selected")} style=${{ top: `${top}px` }} onClick=${() => onSelect(row)}>
    <div class="span-name" style=${{ paddingLeft: `${4 + Math.min(row.depth, 14) * 14}px` }}>
      ${row.parent ? html`<span class="twist" aria-hidden="true" onClick=${(event) => { event.stopPropagation(); onToggle(row); }}>${closed ? "▸" : "▾"}</span>` : html`<span class="twist"></span>`}
      ${row.depth > 14 && html`<span class="muted">${row.depth} </span>`}
      <span class="line" title=${visible(row.name)}>${visible(row.name)}</span>
      ${row.model && html`<span class="line model muted" title=${visible(row.model)}>${visible(row.model)}</span>`}
      ${marks(row, simulated).map(([text, kind, title]) => html`<span class=${`badge ${kind}`} title=${title}>${text}</span>`)}
    </div>
    <div class="span-time"><div class=${barClass(row)} style=${{ left, width }}></div></div>
    <div class="span-own num muted" title="Own time: without the time of its children">${row.own_ns === null || row.own_ns === undefined ? "" : seconds(Number(row.own_ns) / 1e9)}</div>
    <div class="span-cost num muted">${row.cost_usd ? usd(row.cost_usd) : ""}</div>
    <div class="span-lasts num">${seconds(row.lasts / 1000)}</div>
  </div>`;
}

function drawMinimap(canvas, rows, scale) {
  const width = canvas.clientWidth;
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(MINIMAP * ratio);
  const pen = canvas.getContext("2d");
  const css = getComputedStyle(document.documentElement);
  pen.scale(ratio, ratio);
  const height = Math.max(1, Math.min(4, MINIMAP / Math.max(1, rows.length)));
  for (const [name, failed] of [["--bar", false], ["--bad", true]]) {
    pen.fillStyle = css.getPropertyValue(name).trim();
    for (let at = 0; at < rows.length; at += 1) {
      const row = rows[at];
      if ((row.status === "error") === failed) pen.fillRect((row.at / scale) * width, (at / rows.length) * MINIMAP, Math.max(1, (row.lasts / scale) * width), height);
    }
  }
}

// The canvas is drawn when the rows change. What is in view is an element over it, so that scrolling draws nothing.
function Minimap({ rows, scale, top, height, onJump }) {
  const canvas = useRef(null);
  const theme = useTheme();
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const element = canvas.current;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  const whole = Math.max(1, rows.length * ROW);
  useEffect(() => { if (width) drawMinimap(canvas.current, rows, scale); }, [rows, scale, width, theme]);
  const jump = (event) => {
    if (event.buttons !== 1) return;
    const box = canvas.current.getBoundingClientRect();
    onJump(((event.clientY - box.top) / box.height) * whole - height / 2);
  };
  const tall = Math.max(5, Math.min(1, height / whole) * MINIMAP);
  const from = Math.min((top / whole) * MINIMAP, MINIMAP - tall);
  return html`<div class="minimap" onPointerDown=${jump} onPointerMove=${jump}>
    <canvas ref=${canvas} role="img" aria-label=${`All ${rows.length} spans, small. The keys Home, End, Page Up and Page Down move in the list below.`}></canvas>
    <div class="window" style=${{ top: `${from}px`, height: `${tall}px` }}></div></div>`;
}

/** The time axis: marks at a quarter each. */
const Axis = ({ end }) => html`<div class="span-row head" aria-hidden="true"><div class="span-name">Span</div>
  <div class="span-time axis">${[0, 0.25, 0.5, 0.75].map((part) => html`<span>${seconds((end * part) / 1000)}</span>`)}</div>
  <div class="span-own num">Own</div><div class="span-cost num">Cost</div><div class="span-lasts num">Time</div></div>`;

export function Waterfall({ prepared, simulated, selected, onSelect, keep }) {
  const { rows, end } = prepared;
  const pane = useRef(null);
  const [closed, setClosed] = useState(new Set());
  const [view, setView] = useState({ top: 0, height: 600 });
  const listed = useMemo(() => withoutClosed(rows, closed, keep), [rows, closed, keep]);
  const at = useMemo(() => Math.max(0, listed.findIndex((row) => row.span_id === selected)), [listed, selected]);
  const frame = useRef(0);

  useEffect(() => {
    const element = pane.current;
    const observer = new ResizeObserver(() => setView({ top: element.scrollTop, height: element.clientHeight }));
    observer.observe(element);
    return () => { observer.disconnect(); cancelAnimationFrame(frame.current); };
  }, []);
  const onScroll = () => {
    cancelAnimationFrame(frame.current);
    frame.current = requestAnimationFrame(() => pane.current && setView({ top: pane.current.scrollTop, height: pane.current.clientHeight }));
  };
  const reveal = (index) => {
    const top = index * ROW;
    const box = pane.current;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
  };
  useLayoutEffect(() => { if (selected && listed[at]?.span_id === selected) reveal(at); }, [selected, listed]);

  const toggle = (row) => setClosed((before) => {
    const after = new Set(before);
    if (!after.delete(row.span_id)) after.add(row.span_id);
    return after;
  });
  const onKeyDown = (event) => {
    const page = Math.max(1, Math.floor(view.height / ROW) - 1);
    const row = listed[at];
    const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -listed.length, End: listed.length };
    if (event.ctrlKey || event.metaKey || event.altKey || !row) return;
    if (event.key in moves) onSelect(listed[Math.max(0, Math.min(listed.length - 1, at + moves[event.key]))], true);
    else if (event.key === "ArrowLeft" && row.parent && !closed.has(row.span_id)) toggle(row);
    else if (event.key === "ArrowRight" && closed.has(row.span_id)) toggle(row);
    else if (event.key === "Enter") onSelect(row);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const from = Math.max(0, Math.floor(view.top / ROW) - OVERSCAN);
  const to = Math.min(listed.length, Math.ceil((view.top + view.height) / ROW) + OVERSCAN);
  const active = at >= from && at < to && listed[at] ? `span-${listed[at].index}` : undefined;
  return html`<div class="waterfall">
    ${listed.length > 20 && html`<${Minimap} rows=${listed} scale=${end} top=${view.top} height=${view.height} onJump=${(top) => { pane.current.scrollTop = top; }} />`}
    <${Axis} end=${end} />
    <div class="span-pane" ref=${pane} data-scroll="spans" role="tree" tabindex="0" aria-label=${`${count(listed.length)} spans. Arrow keys move, left and right close and open.`}
        aria-activedescendant=${active} onScroll=${onScroll} onKeyDown=${onKeyDown}>
      <div class="span-rows" role="presentation" style=${{ height: `${listed.length * ROW}px` }}>
        ${listed.slice(from, to).map((row, index) => html`<${SpanRow} key=${row.index} row=${row} top=${(from + index) * ROW} scale=${end} selected=${row.span_id === selected}
          closed=${closed.has(row.span_id)} simulated=${simulated} onSelect=${onSelect} onToggle=${toggle} />`)}
      </div>
    </div>
  </div>`;
}

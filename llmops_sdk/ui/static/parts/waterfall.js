// The spans of a trace on a time axis. Only the rows in view are in the document, so that 20,000 spans scroll.
import { classes, html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./html.js";
import { useTheme } from "./chart.js";
import { visible } from "./escape.js";
import { count, seconds, usd } from "./format.js";

const ROW = 28;
const OVERSCAN = 12;
const MINIMAP = 56;

/** Times relative to the first start, in milliseconds; start_ns is text because it is larger than a JSON number. */
export function prepare(spans) {
  let first = null;
  for (const span of spans) {
    const start = BigInt(span.start_ns ?? 0);
    if (first === null || start < first) first = start;
  }
  let end = 0;
  const rows = spans.map((span, index) => {
    const at = Number(BigInt(span.start_ns ?? 0) - (first ?? 0n)) / 1e6;
    const lasts = Math.max(0, Number(span.duration_ns ?? 0) / 1e6);
    end = Math.max(end, at + lasts);
    return { ...span, index, at, lasts, depth: span.depth ?? 0 };
  });
  for (let index = 0; index < rows.length; index += 1) rows[index].parent = rows[index + 1]?.depth > rows[index].depth;
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

function drawMinimap(canvas, rows, scale, view) {
  const width = canvas.clientWidth;
  const ratio = devicePixelRatio || 1;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(MINIMAP * ratio);
  const pen = canvas.getContext("2d");
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(name).trim();
  pen.scale(ratio, ratio);
  const height = Math.max(1, Math.min(4, MINIMAP / Math.max(1, rows.length)));
  for (const [name, wanted] of [["--bar", (row) => row.status !== "error"], ["--bad", (row) => row.status === "error"]]) {
    pen.fillStyle = colour(name);
    rows.forEach((row, at) => {
      if (wanted(row)) pen.fillRect((row.at / scale) * width, (at / rows.length) * MINIMAP, Math.max(1, (row.lasts / scale) * width), height);
    });
  }
  pen.strokeStyle = colour("--accent");
  pen.lineWidth = 1.5;
  pen.strokeRect(0.75, Math.min(view[0], MINIMAP - 6) + 0.75, width - 1.5, Math.max(5, view[1]));
}

function Minimap({ rows, scale, top, height, onJump }) {
  const canvas = useRef(null);
  const theme = useTheme();
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(() => setWidth(canvas.current.clientWidth));
    observer.observe(canvas.current);
    return () => observer.disconnect();
  }, []);
  const whole = Math.max(1, rows.length * ROW);
  const view = [(top / whole) * MINIMAP, Math.min(1, height / whole) * MINIMAP - 1.5];
  useEffect(() => { if (width) drawMinimap(canvas.current, rows, scale, view); }, [rows, scale, Math.round(view[0]), Math.round(view[1]), width, theme]);
  const jump = (event) => {
    if (event.buttons !== 1) return;
    const box = canvas.current.getBoundingClientRect();
    onJump(((event.clientY - box.top) / box.height) * whole - height / 2);
  };
  return html`<canvas class="minimap" ref=${canvas} role="img" aria-label=${`All ${rows.length} spans, small. The keys Home, End, Page Up and Page Down move in the list below.`}
    onPointerDown=${jump} onPointerMove=${jump}></canvas>`;
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
  const at = Math.max(0, listed.findIndex((row) => row.span_id === selected));
  const frame = useRef(0);

  useEffect(() => {
    const read = () => setView({ top: pane.current.scrollTop, height: pane.current.clientHeight });
    const observer = new ResizeObserver(read);
    observer.observe(pane.current);
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

// Tables and facts of the generic shape, and charts over time with uPlot.
import { classes, href, html, useEffect, useMemo, useRef, useState } from "./base.js";
import { Empty, Status } from "./frame.js";
import { axis, CopyButton, formatted, isNumeric, Line, shortId, time, utc, visible } from "./text.js";
import uPlot from "../vendor/uplot.js";

// Tables of the generic shape: numbers on the right, ids cut, times local with UTC in the title.

const LINKS = { trace: "/trace/", session: "/session/" };

export function Cell({ kind, value, row, columns }) {
  if (value === null || value === undefined) return html`<span class="muted" title="Unknown">–</span>`;
  if (kind in LINKS) return html`<a class="id" href=${href(LINKS[kind] + encodeURIComponent(value))} title=${visible(value)}>${visible(shortId(value))}</a>`;
  if (kind === "span") {
    const at = columns?.findIndex((column) => column.kind === "trace") ?? -1;
    const label = html`<span class="id" title=${visible(value)}>${visible(shortId(value))}</span>`;
    return at < 0 ? label : html`<a href=${href(`/trace/${encodeURIComponent(row[at])}`, { span: value })}>${label}</a>`;
  }
  if (kind === "time") return html`<time datetime=${value} title=${utc(value)}>${time(value)}</time>`;
  if (kind === "status") return html`<${Status} status=${value} />`;
  if (kind === "figure") return String(value);
  if (isNumeric(kind)) return typeof value === "number" ? formatted(kind, value) : html`<${Line} text=${value} />`;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return formatted("number", value);
  return html`<${Line} text=${value} />`;
}

/** A region that scrolls sideways can be reached by keyboard, but only while it does scroll. */
export function ScrollX({ label, children }) {
  const pane = useRef(null);
  const [wide, setWide] = useState(false);
  useEffect(() => {
    const element = pane.current;
    const observer = new ResizeObserver(() => setWide(element.scrollWidth > element.clientWidth + 1));
    observer.observe(element);
    if (element.firstElementChild) observer.observe(element.firstElementChild);
    return () => observer.disconnect();
  }, []);
  return html`<div class="scroll-x" ref=${pane} tabindex=${wide ? 0 : undefined} role=${wide ? "region" : undefined} aria-label=${wide ? label : undefined}>${children}</div>`;
}

const STEP = 200;

export function Table({ title, columns, rows, empty, sql }) {
  const [limit, setLimit] = useState(STEP);
  return html`<section class="block">
    ${title && html`<div class="section-head"><h2>${visible(title)}</h2>${sql && html`<${CopyButton} text=${sql} label=${`Copy SQL of ${visible(title)}`} word="Copy SQL" small=${true} />`}</div>`}
    ${rows.length === 0
      ? html`<${Empty} title=${visible(empty || "Nothing here.")} />`
      : html`<${ScrollX} label=${visible(title ?? "Table")}><table class="grid">
          <thead><tr>${columns.map((column) => html`<th scope="col" class=${classes(isNumeric(column.kind) && "num")}>${visible(column.label ?? column.name) || html`<span class="offscreen">Name</span>`}</th>`)}</tr></thead>
          <tbody>${rows.slice(0, limit).map((row) => html`<tr>${columns.map(
            (column, at) => html`<td class=${classes(isNumeric(column.kind) && "num", column.kind === "time" && "when")}><${Cell} kind=${column.kind} value=${row[at]} row=${row} columns=${columns} /></td>`,
          )}</tr>`)}</tbody>
        </table><//>`}
    ${rows.length > limit && html`<p><button type="button" onClick=${() => setLimit(limit + 5 * STEP)}>Show more rows (${limit} of ${rows.length})</button></p>`}
  </section>`;
}

export function Facts({ facts }) {
  if (!facts?.length) return null;
  return html`<dl class="facts">${facts.map((fact) => html`<div class="fact" title=${fact.hint ? visible(fact.hint) : undefined}>
    <dt>${visible(fact.label)}</dt>
    <dd>${fact.value === null || fact.value === undefined ? "–" : isNumeric(fact.kind) ? formatted(fact.kind, fact.value) : fact.kind === "time" ? time(fact.value) : html`<${Line} text=${fact.value} />`}</dd>
    ${fact.hint && html`<dd class="hint">${visible(fact.hint)}</dd>`}
  </div>`)}</dl>`;
}

// Charts over time with uPlot. The colours come from the style sheet, so that both themes have contrast.

const COLOURS = 6;
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Count the changes of theme; a canvas must be drawn again. */
export function useTheme() {
  const [turn, set] = useState(0);
  useEffect(() => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const next = () => set((before) => before + 1);
    const observer = new MutationObserver(next);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    dark.addEventListener("change", next);
    return () => {
      observer.disconnect();
      dark.removeEventListener("change", next);
    };
  }, []);
  return turn;
}

const pad = (value) => String(value).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Marks of the time axis: days as "3 Nov", hours as "14:00", and the day where one begins. */
function times(_plot, splits, _axis, _space, step) {
  return splits.map((split) => {
    const date = new Date(split * 1000);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0;
    if (step >= 28 * 86400) return `${MONTHS[date.getMonth()]} ${date.getFullYear()}`;
    if (step >= 86400 || midnight) return `${date.getDate()} ${MONTHS[date.getMonth()]}`;
    return `${pad(date.getHours())}:${pad(date.getMinutes())}${step < 60 ? `:${pad(date.getSeconds())}` : ""}`;
  });
}

function axes(format) {
  const common = { stroke: css("--muted"), grid: { stroke: css("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  return [{ ...common, grid: { show: false }, space: 80, size: 28, values: times }, { ...common, size: 62, values: (_, values) => values.map((value) => (value === null ? "" : format(value))) }];
}

/** Draw on an element of the page, and keep the width of its container. */
function usePlot(make, inputs) {
  const host = useRef(null);
  useEffect(() => {
    const element = host.current;
    const plot = make(Math.max(160, element.clientWidth), element);
    const observer = new ResizeObserver(() => {
      const width = Math.max(160, element.clientWidth);
      if (width !== plot.width) plot.setSize({ width, height: plot.height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
    };
  }, inputs);
  return host;
}

function last(values) {
  for (let at = values.length - 1; at >= 0; at -= 1) if (values[at] !== null) return values[at];
  return null;
}

/** The range of the times; a single one stands in the middle of two hours. */
function around(x) {
  const [low, high] = [x[0] ?? 0, x[x.length - 1] ?? 0];
  return high > low ? [low, high] : [low - 3600, low + 3600];
}

export function Chart({ title, kind, x, series, sql }) {
  const theme = useTheme();
  const [at, setAt] = useState(null);
  const format = (value) => (value === null || value === undefined ? "–" : kind ? formatted(kind, value) : String(value));
  const drawn = series.slice(0, COLOURS);
  const host = usePlot((width, element) => new uPlot(
    {
      width, height: 180, legend: { show: false }, cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { range: () => around(x) }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), high === null || high <= 0 ? 1 : high * 1.1] } },
      axes: axes(axis(kind)),
      series: [{}, ...drawn.map((one, index) => ({ stroke: css(`--series-${index + 1}`), width: 1.5, points: { show: x.length < 3, size: 5 }, spanGaps: false }))],
      hooks: { setCursor: [(plot) => setAt(plot.cursor.idx ?? null)] },
    },
    [x, ...drawn.map((one) => one.values)], element), [x, series, kind, theme]);
  const label = `${visible(title)} over time. ${drawn.map((one) => `${visible(one.name)}: last ${format(last(one.values))}`).join("; ")}`;
  return html`<figure class="chart">
    <figcaption class="section-head"><span>${visible(title)}</span>${sql && html`<${CopyButton} text=${sql} label=${`Copy SQL of ${visible(title)}`} word="Copy SQL" small=${true} />`}</figcaption>
    <div class="plot" role="img" aria-label=${label} ref=${host}></div>
    <ul class="legend">${drawn.map((one, index) => html`<li><span class=${`swatch series-${index + 1}`} aria-hidden="true"></span>${visible(one.name)}
      <span class="legend-value">${format(at === null ? last(one.values) : one.values[at])}</span></li>`)}
      ${series.length > COLOURS && html`<li class="muted">${series.length - COLOURS} more are in the table</li>`}</ul>
  </figure>`;
}

/** The range of the buckets, of which at least thirty have room: one bar is no wall. */
function bars({ x, bucket_s: bucket }) {
  const end = (x[x.length - 1] ?? 0) + bucket;
  return [Math.min(x[0] ?? 0, end - 30 * bucket), end];
}

/** Traces over time, errors below; drag to select a range. `onRange` gets two times in seconds. */
export function Histogram({ data, onRange }) {
  const theme = useTheme();
  const columns = useMemo(() => [data.x, data.ok.map((ok, at) => ok + data.error[at]), data.error], [data]);
  const host = usePlot((width, element) => {
    const paths = uPlot.paths.bars({ size: [0.8, 40], align: 1 });
    const bar = (colour) => ({ stroke: css(colour), fill: css(colour), width: 0, paths, points: { show: false } });
    return new uPlot(
      {
        width, height: 96, legend: { show: false }, cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
        scales: { x: { range: () => bars(data) }, y: { range: (_, low, high) => [0, Math.max(1, high ?? 1)] } },
        axes: axes((value) => (Number.isInteger(value) ? String(value) : "")).map((one, index) => (index ? { ...one, size: 42, space: 26 } : one)),
        series: [{}, bar("--bar"), bar("--bad")],
        hooks: { setSelect: [(plot) => {
          if (plot.select.width < 4) return;
          const from = plot.posToVal(plot.select.left, "x");
          const to = plot.posToVal(plot.select.left + plot.select.width, "x");
          plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          onRange(from, to);
        }] },
      },
      columns, element);
  }, [columns, theme]);
  const total = columns[1].reduce((sum, value) => sum + value, 0);
  const errors = data.error.reduce((sum, value) => sum + value, 0);
  return html`<div class="histogram" role="img" aria-label=${`${total} traces over time, ${errors} with an error. Drag to select a time range; the fields From and To do the same.`} ref=${host}></div>`;
}

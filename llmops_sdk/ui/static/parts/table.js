// Tables of the generic shape: numbers on the right, ids cut, times local with UTC in the title.
import { classes, html, useEffect, useRef, useState } from "./html.js";
import { CopyButton } from "./copy.js";
import { visible } from "./escape.js";
import { formatted, isNumeric, shortId, time, utc } from "./format.js";
import { Empty, Status } from "./frame.js";
import { href } from "./router.js";
import { Line } from "./text.js";

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

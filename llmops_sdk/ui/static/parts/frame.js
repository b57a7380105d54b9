// What every page has: its heading, the SQL and the command that give the same, notes, errors, and places that are empty.
import { classes, html, useEffect, useRef } from "./html.js";
import { CopyButton } from "./copy.js";
import { visible } from "./escape.js";
import { cut } from "./format.js";

/** The heading of a page and what stands beside it. */
export function Heading({ title, subtitle, children }) {
  useEffect(() => { document.title = `${visible(cut(title, 120))} · llmops`; }, [title]);
  return html`<header class="heading-bar">
    <div class="titles"><h1 title=${title.length > 120 ? visible(title.slice(0, 2000)) : undefined}>${visible(cut(title, 120))}</h1>${subtitle && html`<p class="muted">${subtitle}</p>`}</div>
    <div class="actions">${children}</div>
  </header>`;
}

/** The command and the SQL of what the page shows, each with a button that copies it. */
export function Source({ sql, command }) {
  return html`<section class="source" aria-label="How to get the same elsewhere">
    <div class="source-line">
      <span class="source-name">Command</span>
      <code class="source-text" title=${visible(command ?? "")}>${visible(command ?? "…")}</code>
      ${command && html`<${CopyButton} text=${command} label="Copy command" />`}
    </div>
    <details>
      <summary><span class="source-name">SQL</span><code class="source-text">${sql === "" ? "none: the command gives the same" : visible((sql ?? "…").replace(/\s+/g, " ").slice(0, 300))}</code></summary>
      <pre class="raw code">${visible(sql ?? "")}</pre>
    </details>
    ${sql && html`<${CopyButton} text=${sql} label="Copy SQL" />`}
  </section>`;
}

export function Notes({ notes }) {
  if (!notes?.length) return null;
  return html`<ul class="notes" aria-label="Notes">${notes.map((note) => html`<li>${visible(note)}</li>`)}</ul>`;
}

/** Say what went wrong and, where it helps, how to try again. */
export function Failure({ error, retry }) {
  if (!error) return null;
  return html`<div class="failure" role="alert">
    <strong>${error.status === 404 ? "Not found" : error.status === 408 ? "This took too long" : "This did not work"}</strong>
    <p class="failure-text">${visible(error.message)}</p>
    ${retry && error.status !== 404 && html`<button type="button" onClick=${retry}>Try again</button>`}
  </div>`;
}

export function Empty({ title, children }) {
  return html`<div class="empty"><p class="empty-title">${title}</p>${children}</div>`;
}

/** Bars of the size of what comes, so that nothing jumps. */
export function Loading({ rows = 8, label = "Loading" }) {
  return html`<div class="loading" role="status" aria-label=${label}>${Array.from({ length: rows }, () => html`<div class="bone"></div>`)}</div>`;
}

export const Status = ({ status, error }) => {
  const bad = status === "error";
  return html`<span class=${classes("status", bad ? "bad" : status === "ok" ? "good" : "muted")}>
    <span class="dot" aria-hidden="true"></span><span class="line" title=${bad && error ? visible(error) : undefined}>${visible(bad && error ? cut(error, 80) : (status ?? "unset"))}</span></span>`;
};

export const Badge = ({ kind, title, children }) => html`<span class=${classes("badge", kind)} title=${title}>${children}</span>`;

/** Run handlers of single keys, except while someone types. */
export function useKeys(handlers) {
  const latest = useRef(handlers);
  latest.current = handlers;
  useEffect(() => {
    const onKey = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const target = event.target;
      if (target instanceof HTMLElement && target.closest("input:not([type=checkbox]):not([type=radio]), textarea, select, dialog")) return;
      const handler = latest.current[event.key];
      if (!handler) return;
      if (handler(event) !== false) event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

/**
 * An input whose text is its own until it is sent: a page that is drawn again meanwhile, by live rows for example, does
 * not take away what someone types. A new value from outside replaces it.
 */
export function Input({ value, field, ...others }) {
  const own = useRef(null);
  const place = field ?? own;
  useEffect(() => { place.current.value = value ?? ""; }, [value]);
  return html`<input ref=${place} defaultValue=${value ?? ""} ...${others} />`;
}

// What every page has: heading, SQL and command, notes, errors, empty places, and the bar of filters.
import { classes, html, setQuery, useEffect, useRef, useRoute, useState } from "./base.js";
import { get, post, useServer } from "./server.js";
import { CopyButton, count, cut, visible } from "./text.js";

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
    <p class=${classes("failure-text", error.message.includes("\n") && "lines")}>${visible(error.message)}</p>
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

// The filters of lists. Their names are those of the command line; their state is the address.

export const NAMES = ["since", "until", "name", "user", "session", "tag", "model", "status", "kind", "score", "min_cost", "min_duration", "search"];
const RANGES = [["15m", "15 minutes"], ["1h", "1 hour"], ["6h", "6 hours"], ["1d", "1 day"], ["7d", "7 days"], ["30d", "30 days"], ["", "All time"]];
const ADDED = [
  ["name", "Name"], ["model", "Model"], ["status", "Status"], ["kind", "Span kind"], ["user", "User"], ["session", "Session"],
  ["tag", "Tag"], ["score", "Score, as in helpful<0.5"], ["min_cost", "Cost from (USD)"], ["min_duration", "Duration from (s)"],
];
const STATUSES = ["ok", "error", "cancelled", "closed", "unset"];

/** The filters in the address, as a query of the API. */
export function filtersOf(query, extra = {}) {
  const kept = new URLSearchParams([...query].filter(([name, value]) => NAMES.includes(name) && value));
  for (const [name, value] of Object.entries(extra)) if (value !== null && value !== undefined) kept.set(name, value);
  return kept;
}

const local = (value) => {
  const date = value && /\d{4}-/.test(value) ? new Date(value) : null;
  if (!date || Number.isNaN(date.getTime())) return "";
  return new Date(date.getTime() - date.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
};
const asUtc = (value) => (value ? new Date(value).toISOString().replace(".000Z", "Z") : null);

function Range({ query, period }) {
  const since = query.get("since") ?? "";
  const until = query.get("until") ?? "";
  const known = !until && (since === "3650d" || RANGES.some(([value]) => value === since));
  const [open, setOpen] = useState(!known);
  useEffect(() => { if (!known) setOpen(true); }, [known]);
  const onChange = (event) => {
    if (event.target.value === "custom") return setOpen(true);
    setOpen(false);
    return setQuery({ since: event.target.value, until: null });
  };
  return html`
    <label class="field"><span>Time</span><select value=${open ? "custom" : since} onChange=${onChange}>
      ${RANGES.map(([value, label]) => (period && label === period.replace("Last ", "") ? null : html`<option value=${value}>${value ? `Last ${label}` : (period ?? label)}</option>`))}
      ${period && html`<option value="3650d">Last 10 years</option>`}
      <option value="custom">From … to …</option>
    </select></label>
    ${open && html`
      <label class="field"><span>From</span><${Input} type="datetime-local" step="1" value=${local(since)} onChange=${(event) => setQuery({ since: asUtc(event.target.value) })} /></label>
      <label class="field"><span>To</span><${Input} type="datetime-local" step="1" value=${local(until)} onChange=${(event) => setQuery({ until: asUtc(event.target.value) })} /></label>`}`;
}

function AddFilter() {
  const [name, setName] = useState("model");
  const [value, setValue] = useState("");
  const label = ADDED.find(([one]) => one === name)[1];
  const onSubmit = (event) => {
    event.preventDefault();
    const text = value.trim();
    if (!text) return;
    const before = name === "tag" || name === "score" ? new URLSearchParams(location.search).getAll(name) : [];
    setQuery({ [name]: [...before, text] });
    setValue("");
  };
  return html`<form class="add-filter" onSubmit=${onSubmit}>
    <label class="field"><span>Filter</span><select value=${name} onChange=${(event) => { setName(event.target.value); setValue(""); }}>
      ${ADDED.map(([one, text]) => html`<option value=${one}>${text.split(",")[0]}</option>`)}</select></label>
    <label class="field"><span class="offscreen">${label}</span>${name === "status"
      ? html`<select value=${value} onChange=${(event) => setValue(event.target.value)}><option value="">Choose</option>${STATUSES.map((one) => html`<option value=${one}>${one}</option>`)}</select>`
      : html`<input type=${name.startsWith("min_") ? "number" : "text"} step="any" min="0" maxlength="500" placeholder=${label} value=${value} onInput=${(event) => setValue(event.target.value)} />`}</label>
    <button type="submit">Add</button>
  </form>`;
}

const samePairs = (a, b) => [...a].map(String).sort().join("\n") === [...b].map(String).sort().join("\n");

/** Filters with a name, which the server keeps in the store's folder. They are read when someone opens the list. */
function SavedFilters({ query }) {
  const server = useServer();
  const [state, set] = useState({ rows: null, said: "" });
  const [name, setName] = useState("");
  const place = useRef(null);
  const run = async (work, said) => {
    try {
      const { data } = await work();
      set({ rows: data.rows, said });
    } catch (error) {
      set((last) => ({ ...last, said: error.message }));
    }
  };
  const present = filtersOf(query);
  const apply = (saved) => {
    const wanted = new URLSearchParams(saved.query);
    setQuery(Object.fromEntries(NAMES.map((one) => [one, wanted.getAll(one)])));
    place.current.open = false;
  };
  const save = (event) => {
    event.preventDefault();
    if (name.trim()) run(() => post("filters", { name, query: present.toString() }), "Saved").then(() => setName(""));
  };
  return html`<details class="saved" ref=${place} onToggle=${(event) => event.target.open && state.rows === null && run(() => get("filters"), "")}
      onKeyDown=${(event) => { if (event.key === "Escape") place.current.open = false; }}>
    <summary class="button">Saved filters</summary>
    <div class="saved-list">
      ${state.rows?.length > 0 && html`<ul>${state.rows.map((one) => html`<li key=${one.name}>
        <button type="button" class="link line" title=${visible(one.query)} aria-current=${samePairs(present, new URLSearchParams(one.query)) ? "true" : undefined} onClick=${() => apply(one)}>${visible(one.name)}</button>
        ${!server.read_only && html`<button type="button" class="link" aria-label=${`Remove ${visible(one.name)}`} onClick=${() => run(() => post("filters", { name: one.name, remove: true }), "Removed")}>×</button>`}</li>`)}</ul>`}
      ${state.rows?.length === 0 && html`<p class="muted">No filter is saved.</p>`}
      ${!server.read_only && (present.size > 0
        ? html`<form onSubmit=${save}><label class="field grow"><span>Name of the present filter</span><input type="text" maxlength="60" value=${name} onInput=${(event) => setName(event.target.value)} /></label>
          <button type="submit" disabled=${!name.trim()}>Save</button></form>`
        : html`<p class="muted">Choose a filter to save it.</p>`)}
      <p class="muted" role="status">${visible(state.said)}</p>
    </div>
  </details>`;
}

/** The bar above lists: time, search, other filters, and a chip for each filter that is on. */
export function FilterBar({ search = false, period, children }) {
  const { query } = useRoute();
  const field = useRef(null);
  const chips = [...query].filter(([name, value]) => NAMES.includes(name) && value && !["since", "until"].includes(name));
  const submit = (event) => {
    event.preventDefault();
    setQuery({ search: field.current.value.trim() || null });
  };
  const remove = (name, value) => setQuery({ [name]: query.getAll(name).filter((one) => one !== value) });
  return html`<section class="filters" aria-label="Filters">
    <div class="filter-row">
      <${Range} query=${query} period=${period} />
      ${search && html`<form role="search" class="search" onSubmit=${submit}>
        <label class="field grow"><span>Search text</span>
          <${Input} id="search" field=${field} type="search" maxlength="1000" placeholder="In names, inputs, outputs, attributes ( / )" value=${query.get("search") ?? ""} /></label>
        <button type="submit">Search</button>
      </form>`}
      <${AddFilter} />
      <${SavedFilters} query=${query} />
      ${children}
    </div>
    ${chips.length > 0 && html`<ul class="chips" aria-label="Filters that are on">
      ${chips.map(([name, value]) => html`<li><button type="button" class="chip" title=${visible(value)} aria-label=${`${name} ${visible(cut(value, 40))}: remove this filter`} onClick=${() => remove(name, value)}>
        <span class="muted">${name}</span> ${visible(cut(value, 40))} <span aria-hidden="true">×</span></button></li>`)}
      <li><button type="button" class="link" onClick=${() => setQuery(Object.fromEntries(NAMES.map((name) => [name, null])))}>Clear all</button></li>
    </ul>`}
  </section>`;
}

const TITLES = { model: "Model", status: "Status", name: "Name", user: "User", tag: "Tag", kind: "Span kind", session: "Session" };

/** Values with counts; a click turns a value on or off as a filter. */
export function Facets({ facets, loading }) {
  const { query } = useRoute();
  const names = Object.keys(TITLES).filter((name) => facets?.[name]?.length);
  if (!facets) return loading ? html`<p class="muted">Counting …</p>` : null;
  if (!names.length) return html`<p class="muted">Nothing to count.</p>`;
  return names.map((name) => html`<fieldset class="facet" key=${name}>
    <legend>${TITLES[name]}</legend>
    ${facets[name].slice(0, 12).map(({ value, count: number }) => {
      const on = query.getAll(name).includes(String(value));
      const set = () => {
        const others = name === "tag" ? query.getAll(name).filter((one) => one !== value) : [];
        setQuery({ [name]: on ? others : [...others, value] });
      };
      return html`<button type="button" class=${classes("facet-value", on && "on")} aria-pressed=${on} onClick=${set} title=${visible(value)}>
        <span class="line">${visible(cut(String(value), 60))}</span><span class="num muted">${count(number)}</span></button>`;
    })}
  </fieldset>`);
}

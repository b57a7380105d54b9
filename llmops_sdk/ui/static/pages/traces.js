// The list of traces: facets, a histogram to brush, search that streams, pages by key, live rows, selection.
import { classes, go, href, html, remember, remembered, setQuery, useCallback, useEffect, useMemo, useRef, useState } from "../parts/base.js";
import { Scores } from "../parts/conversation.js";
import { Badge, Empty, Facets, Failure, FilterBar, filtersOf, Heading, Loading, Notes, Source, Status, useKeys } from "../parts/frame.js";
import { get, post, url, useApi, useLive } from "../parts/server.js";
import { Histogram } from "../parts/table.js";
import { count, Line, seconds, shortId, time, usd, utc, visible } from "../parts/text.js";

const PAGE = 50;
const MOST_ROWS = 2000;

const newestFirst = (a, b) => (a.start_time < b.start_time ? 1 : a.start_time > b.start_time ? -1 : a.trace_id < b.trace_id ? 1 : -1);

function merge(rows, more) {
  const byId = new Map(rows.map((row) => [row.trace_id, row]));
  for (const row of more) byId.set(row.trace_id, row);
  return [...byId.values()].sort(newestFirst);
}

/** Read the list: one answer and its next pages, or a stream of a search. */
function useTraces(query) {
  const filters = useMemo(() => filtersOf(query), [query.toString()]);
  const searching = filters.has("search");
  const first = useMemo(() => ({ rows: null, next: null, loading: true }), []);
  const [state, set] = useState(first);
  const [turn, setTurn] = useState(0);
  const stop = useRef(() => {});
  const resumeAt = useRef(null);
  const address = filters.toString();

  useEffect(() => {
    const leave = new AbortController();
    const size = Math.min(Math.max(remembered("rows") ?? PAGE, PAGE), 500);
    set((last) => ({ ...last, loading: true, error: undefined, progress: undefined, done: false, stale: true }));
    const fail = (error) => error.name !== "AbortError" && set((last) => ({ ...last, loading: false, error, stale: false }));
    if (!searching) {
      stop.current = () => leave.abort();
      const ask = new URLSearchParams(filters);
      ask.set("limit", size);
      get("traces", ask, leave.signal).then((body) => set({ ...body, rows: body.data.rows, back: body.data.searched_back_to, loading: false }), fail);
      return () => leave.abort();
    }
    const resumed = resumeAt.current;
    resumeAt.current = null;
    return streamSearch(filters, set, stop, resumed);
  }, [address, turn]);

  const more = useCallback(async () => {
    if (!state.next || state.loadingMore) return;
    set((last) => ({ ...last, loadingMore: true }));
    try {
      const ask = new URLSearchParams(filters);
      ask.set("limit", PAGE);
      ask.set("cursor", state.next);
      const body = await get("traces", ask);
      set((last) => {
        const rows = merge(last.rows, body.data.rows);
        remember({ rows: rows.length });
        return { ...last, rows, next: body.next, back: body.data.searched_back_to ?? last.back, loadingMore: false };
      });
    } catch (error) {
      set((last) => ({ ...last, error, loadingMore: false }));
    }
  }, [state, address]);
  const resume = () => {
    resumeAt.current = { cursor: state.cursor, rows: state.rows ?? [] };
    setTurn((value) => value + 1);
  };
  return { ...state, filters, searching, set, more, reload: () => setTurn((value) => value + 1), resume, stop: () => stop.current() };
}

// A search that was stopped goes on where it was: it keeps its rows and looks only at what is older.
function streamSearch(filters, set, stop, resumed) {
  const ask = new URLSearchParams(filters);
  if (resumed?.cursor) ask.set("cursor", resumed.cursor);
  const source = new EventSource(url("search", ask));
  let rows = resumed?.cursor ? resumed.rows : [];
  const end = (values) => {
    source.close();
    set((last) => ({ ...last, rows, stale: false, loading: false, done: true, ...values }));
  };
  stop.current = () => end({ stopped: true });
  source.addEventListener("start", (event) => {
    const { sql, command } = JSON.parse(event.data);
    set((last) => ({ ...last, sql, command }));
  });
  source.addEventListener("rows", (event) => {
    const body = JSON.parse(event.data);
    rows = merge(rows, body.rows ?? body);
    set((last) => ({ ...last, rows, stale: false, stopped: false }));
  });
  source.addEventListener("progress", (event) => {
    const body = JSON.parse(event.data);
    set((last) => ({ ...last, rows, stale: false, stopped: false, progress: body.searched_back_to, cursor: body.next }));
  });
  source.addEventListener("done", (event) => {
    const body = JSON.parse(event.data);
    end({ next: body.next ?? null, complete: body.complete ?? true, progress: body.searched_back_to });
  });
  // The server's own error has data; an error of the connection has none.
  source.onerror = (event) => end({ error: event.data ? JSON.parse(event.data) : { message: "The search ended before it was done. Try again, or choose a shorter time." } });
  return () => source.close();
}

/** Facets, the histogram and the source come after the rows: the list does not wait for them. */
function useBeside(query, ready) {
  const filters = filtersOf(query);
  const histogram = useApi(ready ? "histogram" : null, filters);
  const facets = useApi(ready ? "facets" : null, filters);
  const reload = () => {
    histogram.reload();
    facets.reload();
  };
  return { histogram, facets, reload };
}

function Row({ row, selected, onSelect, focused, query }) {
  const to = href(`/trace/${encodeURIComponent(row.trace_id)}`);
  const users = [row.user_id && `user ${visible(row.user_id)}`, row.session_id && `session ${visible(row.session_id)}`].filter(Boolean);
  return html`<tr class=${classes(focused && "focused", selected && "selected", row.fresh && "fresh")} data-trace=${row.trace_id}>
    <td class="pick"><input type="checkbox" checked=${selected} onChange=${() => onSelect(row.trace_id)} aria-label=${`Select trace ${visible(shortId(row.trace_id))}`} /></td>
    <td class="when"><time datetime=${row.start_time} title=${utc(row.start_time)}>${time(row.start_time)}</time></td>
    <td class="main-cell">
      <div class="name-line"><a class="row-link" href=${to} title=${visible(row.name)}>${visible(row.name ?? "(no name)")}</a>
      ${row.simulated && html`<${Badge} kind="note" title="Made by a simulation, not by users">simulated<//>`}
      ${row.losses > 0 && html`<${Badge} kind="warn" title="Something of this trace was lost">${count(row.losses)} lost<//>`}
      ${row.weight && row.weight !== 1 && html`<${Badge} kind="note" title="A sample: this trace stands for so many">× ${count(row.weight)}<//>`}
      <${Scores} scores=${row.scores} /></div>
      <span class="preview muted"><${Line} text=${row.input ?? ""} length=${160} /></span>
    </td>
    <td class="status-cell"><${Status} status=${row.status} error=${row.error_type} /></td>
    <td class="models"><span class="line" title=${visible((row.models ?? []).join(", "))}>${visible((row.models ?? []).join(", ") || "–")}</span></td>
    <td class="who"><span class="line" title=${users.join(", ")}>${visible(row.user_id ?? row.session_id ?? "–")}</span></td>
    <td class="num">${seconds(row.duration_s)}</td>
    <td class="num spans">${count(row.spans)}</td>
    <td class="num tokens">${count(row.tokens)}</td>
    <td class="num cost" title=${row.cost_usd === null ? "No price is known" : undefined}>${usd(row.cost_usd)}</td>
  </tr>`;
}

const HEADS = [["pick", ""], ["when", "Started"], ["", "Trace"], ["", "Status"], ["models", "Models"], ["who", "User"], ["num", "Duration"], ["num spans", "Spans"], ["num tokens", "Tokens"], ["num cost", "Cost"]];

function List({ rows, picked, onPick, focus, stale }) {
  return html`<table class=${classes("traces", stale && "stale")} aria-label="Traces">
    <thead><tr>${HEADS.map(([kind, label]) => html`<th scope="col" class=${kind}>${label || html`<span class="offscreen">Selected</span>`}</th>`)}</tr></thead>
    <tbody>${rows.map((row, at) => html`<${Row} key=${row.trace_id} row=${row} selected=${picked.has(row.trace_id)} focused=${at === focus} onSelect=${onPick} />`)}</tbody>
  </table>`;
}

function DatasetDialog({ ids, open, onClose }) {
  const dialog = useRef(null);
  const [name, setName] = useState("");
  const [form, setForm] = useState("eval");
  const [add, setAdd] = useState(false);
  const [said, setSaid] = useState(null);
  useEffect(() => {
    if (open && !dialog.current.open) {
      setSaid(null);
      dialog.current.showModal();
    }
  }, [open]);
  const onSubmit = async (event) => {
    event.preventDefault();
    setSaid("Creating …");
    try {
      const { data } = await post("datasets", { name: name.trim(), form, trace_ids: ids, add });
      setSaid(`Data set ${data.name}, version ${data.version}: ${count(data.items)} items.`);
    } catch (error) {
      setSaid(error.message);
    }
  };
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby="dataset-title">
    <h2 id="dataset-title">Data set from ${count(ids.length)} ${ids.length === 1 ? "trace" : "traces"}</h2>
    <form onSubmit=${onSubmit} class="stack">
      <label class="field"><span>Name</span><input type="text" required maxlength="100" value=${name} onInput=${(event) => setName(event.target.value)} /></label>
      <label class="field"><span>For</span><select value=${form} onChange=${(event) => setForm(event.target.value)}>
        <option value="eval">Evaluation: input and output of each trace</option><option value="sft">Fine-tuning: the messages of each call</option></select></label>
      <label class="check"><input type="checkbox" checked=${add} onChange=${(event) => setAdd(event.target.checked)} /> Add to the items of the version before</label>
      <p role="status">${visible(said ?? "")}</p>
      <div class="buttons"><button type="submit" class="primary" disabled=${!name.trim()}>Create</button><button type="button" onClick=${() => dialog.current.close()}>Close</button></div>
    </form>
  </dialog>`;
}

function Progress({ list }) {
  if (!list.searching) return null;
  const back = list.progress ? html`Searched back to <time datetime=${list.progress} title=${utc(list.progress)}>${time(list.progress)}</time>.` : list.loading ? "Searching …" : null;
  return html`<div class="progress" role="status">
    ${list.loading && html`<span class="spinner" aria-hidden="true"></span>`}
    <span>${back} ${count(list.rows?.length ?? 0)} found${list.done && !list.stopped && !list.error ? (list.complete === false ? " so far." : ". The whole range was searched.") : "."}</span>
    ${list.loading && html`<button type="button" onClick=${list.stop}>Stop</button>`}
    ${list.stopped && html`<button type="button" onClick=${list.resume}>Continue</button>`}
  </div>`;
}

function NoRows({ filters }) {
  if ([...filters].length) return html`<${Empty} title="No trace fits these filters.">
    <p>Choose a longer time, or remove a filter.</p>
    <button type="button" onClick=${() => setQuery(Object.fromEntries([...filters.keys()].map((name) => [name, null])))}>Clear all filters</button><//>`;
  return html`<${Empty} title="The store has no traces yet.">
    <p>Decorate a function with <code>@llmops.trace</code>, or run <code>llmops demo</code>. New traces appear here when Live is on.</p><//>`;
}

// Live rows go into the list where the list has no filters; with filters the server is asked again, once a second at most.
const BESIDE_MS = 5000;

function useLiveRows(list, live, query, reloadBeside) {
  const timer = useRef(0);
  const later = useRef(0); // the counts beside the list follow it less often
  useEffect(() => () => {
    clearTimeout(timer.current);
    clearTimeout(later.current);
  }, []);
  const plain = [...list.filters].length === 0;
  const refresh = useCallback(() => {
    if (timer.current) return;
    timer.current = setTimeout(async () => {
      timer.current = 0;
      try {
        const ask = filtersOf(query, { limit: PAGE });
        const { data } = await get("traces", ask);
        list.set((last) => (last.rows ? { ...last, rows: mark(last.rows, data.rows) } : last));
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        list.set((last) => ({ ...last, error }));
      }
    }, plain ? 0 : 1000);
  }, [query.toString(), plain]);
  return useLive(live, (message) => {
    if (message.type === "changed") {
      reloadBeside();
      return list.reload();
    }
    if (message.type !== "traces") return undefined;
    later.current ||= setTimeout(() => {
      later.current = 0;
      reloadBeside();
    }, BESIDE_MS);
    const rows = message.data.rows ?? message.data;
    if (plain && rows.length && "spans" in rows[0]) return list.set((last) => (last.rows ? { ...last, rows: mark(last.rows, rows) } : last));
    return refresh();
  });
}

function mark(rows, more) {
  const known = new Set(rows.map((row) => row.trace_id));
  return merge(rows, more.map((row) => ({ ...row, fresh: !known.has(row.trace_id) }))).slice(0, MOST_ROWS);
}

function useRowKeys(rows, picked, pick, more) {
  const [focus, setDrawn] = useState(remembered("focus") ?? -1);
  const place = useRef(focus); // keys come faster than the page is drawn
  const move = (by) => {
    if (!rows?.length) return;
    const next = Math.max(0, Math.min(rows.length - 1, place.current + by));
    place.current = next;
    setDrawn(next);
    remember({ focus: next });
    const row = document.querySelector(`tr[data-trace="${CSS.escape(rows[next].trace_id)}"]`);
    row?.scrollIntoView({ block: "nearest" });
    row?.querySelector(".row-link")?.focus({ preventScroll: true });
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    x: () => (rows?.[focus] ? pick(rows[focus].trace_id) : false),
    n: () => more(),
    Enter: (event) => {
      if (event.target.closest("a, button, input, summary") || !rows?.[focus]) return false;
      go(href(`/trace/${encodeURIComponent(rows[focus].trace_id)}`));
      return true;
    },
  });
  return focus;
}

export default function Traces({ route, server }) {
  const { query } = route;
  const list = useTraces(query);
  const beside = useBeside(query, list.rows !== null);
  const { histogram, facets } = beside;
  const live = query.get("live") === "1";
  const connected = useLiveRows(list, live, query, beside.reload);
  const [picked, setPicked] = useState(new Set());
  const [dialog, setDialog] = useState(false);
  const pick = (id) => setPicked((before) => {
    const after = new Set(before);
    if (!after.delete(id)) after.add(id);
    return after;
  });
  const focus = useRowKeys(list.rows, picked, pick, list.more);
  const onRange = (from, to) => setQuery({ since: new Date(from * 1000).toISOString(), until: new Date(to * 1000).toISOString() });
  const ids = [...picked];
  return html`
    <${Heading} title="Traces">
      ${ids.length > 0 && html`<span class="muted">${count(ids.length)} selected</span>
        ${!server.read_only && html`<button type="button" onClick=${() => setDialog(true)}>Make a data set</button>`}
        ${ids.length === 2 && html`<a class="button" href=${href("/compare", { a: ids[0], b: ids[1] })}>Compare</a>`}
        <button type="button" class="link" onClick=${() => setPicked(new Set())}>Clear</button>`}
      <button type="button" aria-pressed=${live} class=${classes("toggle", live && "on")} onClick=${() => setQuery({ live: live ? null : "1" }, { replace: true })}>
        <span class="dot" aria-hidden="true"></span>${live ? (connected ? "Live" : "Connecting …") : "Live is off"}</button>
    <//>
    <${FilterBar} search=${true} />
    <${Source} sql=${list.sql} command=${list.command} />
    <div class="histogram-place">${histogram.data?.x?.length ? html`<${Histogram} data=${histogram.data} onRange=${onRange} />` : histogram.data ? html`<p class="muted no-bars">No traces to count in this time.</p>` : null}</div>
    <div class="with-facets">
      <details class="facets" open=${innerWidth >= 1100}><summary>Values</summary><${Facets} facets=${facets.data} loading=${facets.loading} /></details>
      <section class="list" aria-label="List" aria-busy=${list.loading}>
        <${Progress} list=${list} />
        <${Failure} error=${list.error} retry=${list.reload} />
        <${Notes} notes=${list.notes} />
        ${list.rows === null ? !list.error && html`<${Loading} rows=${12} />`
          : list.rows.length ? html`<${List} rows=${list.rows} picked=${picked} onPick=${pick} focus=${focus} stale=${list.stale && list.loading} />`
          : !list.loading && !list.error && html`<${NoRows} filters=${list.filters} />`}
        ${list.next && !list.loading && html`<p class="more"><button type="button" disabled=${list.loadingMore} onClick=${list.more}>${list.loadingMore ? "Loading …" : "Load more"}</button>
          <span class="muted">${count(list.rows.length)} shown</span></p>`}
        ${!list.next && !list.searching && list.rows?.length > 0 && html`<p class="muted more">${count(list.rows.length)} ${list.rows.length === 1 ? "trace" : "traces"}; these are all.</p>`}
      </section>
    </div>
    <${DatasetDialog} ids=${ids} open=${dialog} onClose=${() => setDialog(false)} />`;
}

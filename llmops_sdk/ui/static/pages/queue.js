// Annotation by keyboard: one item at a time, a key scores it, the next one comes, u takes the last score back.
import { classes, href, html, setQuery, useEffect, useRef, useState } from "../parts/base.js";
import { Content, Scores, sendScore, undoScore } from "../parts/conversation.js";
import { Empty, Failure, FilterBar, filtersOf, Heading, Input, Loading, Notes, Source, useKeys } from "../parts/frame.js";
import { useApi } from "../parts/server.js";
import { Turn } from "./session.js";
import { count, cut, shortId, time, utc, visible } from "../parts/text.js";

/** Stored values come as JSON text; one that is cut is shown as text. */
function parsed(value) {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return value;
  }
}

const TARGETS = [["traces", "Traces"], ["spans", "Spans"], ["calls", "Calls to models"], ["sessions", "Sessions"]];

/** The key of an item: what its score is about. */
const keyOf = (item) => Object.values(item.score_target).join("/");

function Head({ item, place, title, id }) {
  return html`<header class="section-head"><h2><a href=${place}>${visible(cut(title, 120))}</a></h2>
    <p class="muted">${item.kind && `${visible(item.kind)} · `}${item.model && `${visible(cut(item.model, 60))} · `}<span class="id" title=${visible(id)}>${visible(shortId(id))}</span> · <time datetime=${item.start_time} title=${utc(item.start_time)}>${time(item.start_time)}</time></p></header>`;
}

/** A session as a conversation, as far as its first page goes. */
function SessionItem({ item }) {
  const loaded = useApi(`session/${encodeURIComponent(item.session_id)}`, { limit: 20 });
  if (!loaded.data) return loaded.error ? html`<${Failure} error=${loaded.error} retry=${loaded.reload} />` : html`<${Loading} rows=${6} />`;
  const { turns } = loaded.data;
  return html`${turns.map((turn, number) => html`<${Turn} key=${turn.span_id} turn=${turn} number=${number + 1} />`)}
    ${turns.length === 0 && html`<p class="muted">This session has no calls to a model. Open it to see its traces.</p>`}
    ${loaded.next && html`<p class="muted">The first ${count(turns.length)} turns are shown. Open the session for the others.</p>`}`;
}

function Item({ item, target, score }) {
  if (target === "sessions") {
    return html`<article class="queue-item">
      <${Head} item=${item} place=${href(`/session/${encodeURIComponent(item.session_id)}`)} title="Session" id=${item.session_id} />
      ${score && html`<p class="said-score">${visible(score)}</p>`}
      <${SessionItem} key=${item.session_id} item=${item} />
    </article>`;
  }
  const source = { trace: item.trace_id, span: item.span_id };
  const [input, output] = item.is_call ? ["input_messages", "output_messages"] : ["input", "output"];
  const nothing = item.input === null && item.output === null;
  return html`<article class="queue-item">
    <${Head} item=${item} place=${href(`/trace/${encodeURIComponent(item.trace_id)}`, { span: item.span_id })} title=${item.name ?? "trace"} id=${item.span_id ?? item.trace_id} />
    ${score && html`<p class="said-score">${visible(score)}</p>`}
    <${Scores} scores=${item.scores} />
    <${Content} title="Input" value=${parsed(item.input)} source=${{ ...source, field: input }} />
    <${Content} title="Output" value=${parsed(item.output)} source=${{ ...source, field: output }} />
    ${nothing && html`<p class="muted">The store has no content of this ${item.span_id ? "span" : "trace"}. Open it to see ${item.span_id ? "its trace" : "its spans"}.</p>`}
  </article>`;
}

/** Send one score after the other: a quick hand loses none, and an undo comes after what it undoes. */
function useSender() {
  const chain = useRef(Promise.resolve());
  const [waiting, setWaiting] = useState(0);
  const [error, setError] = useState(null);
  const send = (work) => {
    setWaiting((value) => value + 1);
    chain.current = chain.current.then(work).then(() => setError(null), setError).then(() => setWaiting((value) => value - 1));
  };
  return { send, waiting, error };
}

export default function Queue({ route, server }) {
  const filters = filtersOf(route.query);
  const name = route.query.get("judge") || "quality";
  const by = route.query.get("by") ?? "";
  const ask = new URLSearchParams(filters);
  const target = TARGETS.some(([value]) => value === route.query.get("target")) ? route.query.get("target") : "traces";
  const noun = TARGETS.find(([value]) => value === target)[1].toLowerCase();
  ask.set("judge", name);
  ask.set("target", target);
  ask.set("limit", "50");
  if (by) ask.set("by", by);
  const loaded = useApi("queue", ask);
  const shown = loaded.data?.target === target ? loaded.data : null; // a key must not judge what another choice gave
  const items = shown?.rows ?? [];
  // Keys come faster than the page is drawn: the place is known at once, and drawn later.
  const place = useRef(0);
  const [at, setDrawn] = useState(0);
  const setAt = (next) => {
    place.current = next;
    setDrawn(next);
  };
  const [given, setGiven] = useState({});
  const [said, setSaid] = useState("");
  const done = useRef([]);
  const sender = useSender();
  useEffect(() => { setAt(0); setGiven({}); done.current = []; }, [ask.toString()]);
  const item = items[at];
  const move = (by) => setAt(Math.max(0, Math.min(items.length, place.current + by)));
  const give = (value, text) => {
    const now = items[place.current];
    if (!now || server.read_only) return;
    const key = keyOf(now);
    const entry = { key, at: place.current, target: now.score_target, name, by };
    done.current.push(entry);
    setGiven((before) => ({ ...before, [key]: `${name}: ${text}` }));
    setSaid(`${name} ${text} for item ${entry.at + 1}`);
    sender.send(async () => {
      try {
        await sendScore(entry.target, name, value, { by });
      } catch (error) {
        setGiven(({ [key]: _, ...others }) => others); // it is not stored: show the item as open again
        throw error;
      }
    });
    move(1);
  };
  const undo = () => {
    const entry = done.current.pop();
    if (!entry) return setSaid("Nothing to undo");
    setGiven(({ [entry.key]: _, ...others }) => others);
    setAt(entry.at);
    setSaid(`Took back the score of item ${entry.at + 1}`);
    return sender.send(() => undoScore(entry.target, entry.name, { by: entry.by }));
  };
  const scores = Object.fromEntries([1, 2, 3, 4, 5].map((value) => [String(value), () => give(value, String(value))]));
  useKeys({ ...scores, y: () => give(true, "yes"), n: () => give(false, "no"), j: () => move(1), k: () => move(-1), u: undo });
  const scored = Object.keys(given).length;
  return html`
    <${Heading} title="Annotate" subtitle=${html`A key scores an item and shows the next one. Scores are stored as ${visible(loaded.data?.source ?? "ui:you")}.`} />
    <${FilterBar}>
      <label class="field"><span>Judge</span><select value=${target} onChange=${(event) => setQuery({ target: event.target.value === "traces" ? null : event.target.value })}>
        ${TARGETS.map(([value, label]) => html`<option value=${value}>${label}</option>`)}</select></label>
      <label class="field"><span>Score name</span><${Input} type="text" maxlength="100" value=${name} onChange=${(event) => setQuery({ judge: event.target.value.trim() || null })} /></label>
      <label class="field"><span>Your name</span><${Input} type="text" maxlength="60" placeholder="your account" value=${by} onChange=${(event) => setQuery({ by: event.target.value.trim() || null })} /></label>
    <//>
    <${Source} sql=${loaded.sql} command=${loaded.command} />
    <${Failure} error=${loaded.error ?? sender.error} retry=${loaded.error ? loaded.reload : undefined} />
    <${Notes} notes=${loaded.notes} />
    ${server.read_only && !server.loading && html`<p class="notes">The server is read only: scores are not stored.</p>`}
    ${!shown ? !loaded.error && html`<${Loading} rows=${8} />` : items.length === 0 ? html`<${Empty} title="Nothing to annotate."><p>None of the ${noun} without your score “${visible(name)}” fits. Choose a longer time, another filter, or another score name.</p><//>` : html`
      <div class="queue-bar">
        <span class="queue-count" role="status">${at < items.length ? `${at + 1} of ${count(items.length)}` : `All ${count(items.length)} seen`} · ${scored} scored${sender.waiting ? ` · saving ${sender.waiting}` : ""}<span class="offscreen"> ${said}</span></span>
        <progress max=${items.length} value=${scored} aria-label="Items scored"></progress>
        <div class="buttons" role="group" aria-label=${`Score ${visible(name)}`}>
          ${[1, 2, 3, 4, 5].map((value) => html`<button type="button" disabled=${server.read_only || !item} aria-label=${`Score ${value} of 5`} onClick=${() => give(value, String(value))}>${value}</button>`)}
          <button type="button" disabled=${server.read_only || !item} onClick=${() => give(true, "yes")}><kbd>y</kbd> Yes</button>
          <button type="button" disabled=${server.read_only || !item} onClick=${() => give(false, "no")}><kbd>n</kbd> No</button>
        </div>
        <div class="buttons">
          <button type="button" disabled=${at === 0} onClick=${() => move(-1)}><kbd>k</kbd> Back</button>
          <button type="button" disabled=${!item} onClick=${() => move(1)}><kbd>j</kbd> Skip</button>
          <button type="button" disabled=${!scored} onClick=${undo}><kbd>u</kbd> Undo</button>
        </div>
      </div>
      ${item ? html`<${Item} key=${keyOf(item)} item=${item} target=${target} score=${given[keyOf(item)]} />` : html`<${Empty} title="That was the last item."><p>${scored} scored.</p>
        <button type="button" onClick=${() => { setAt(0); setGiven({}); loaded.reload(); }}>Load more items</button><//>`}`}
    <p class=${classes("muted", "hint")}>Keys: <kbd>1</kbd>–<kbd>5</kbd>, <kbd>y</kbd> yes, <kbd>n</kbd> no, <kbd>j</kbd> skip, <kbd>k</kbd> back, <kbd>u</kbd> undo.</p>`;
}

// A session as a conversation: of each turn only what is new.
import { href, html, useState } from "../parts/base.js";
import { Message, ScoreForm, Scores } from "../parts/conversation.js";
import { Badge, Empty, Failure, Heading, Loading, Notes, Source, Status } from "../parts/frame.js";
import { get, useApi, useLive } from "../parts/server.js";
import { Facts } from "../parts/table.js";
import { count, Line, seconds, shortId, Text, time, usd, utc, visible } from "../parts/text.js";

const TURNS = 50; // long conversations come in parts: the browser lays out every message

export function Turn({ turn, number }) {
  const source = { trace: turn.trace_id, span: turn.span_id, field: "input_messages", inner: true };
  const { said = [], answered = [] } = turn;
  return html`<section class="turn" aria-label=${`Turn ${number}`}>
    <header class="turn-head">
      <a class="id" href=${href(`/trace/${encodeURIComponent(turn.trace_id)}`, { span: turn.span_id })} title=${visible(turn.trace_id)}>${visible(shortId(turn.trace_id))}</a>
      <time class="muted" datetime=${turn.start_time} title=${utc(turn.start_time)}>${time(turn.start_time)}</time>
      <${Status} status=${turn.status} error=${turn.error_type} />
      <span class="muted num">${seconds(turn.duration_s)}</span><span class="muted num">${usd(turn.cost_usd)}</span>
      ${turn.model && html`<span class="muted models"><${Line} text=${turn.model} /></span>`}
      ${turn.cache && html`<${Badge} kind="note" title="Answered from the cache">cache ${visible(turn.cache)}<//>`}
      ${turn.simulated && html`<${Badge} kind="note">simulated<//>`}
      <${Scores} scores=${turn.scores} />
    </header>
    ${turn.repeated > 0 && html`<p class="muted hint-line">${count(turn.repeated)} earlier ${turn.repeated === 1 ? "message was" : "messages were"} sent again</p>`}
    ${said.map((message) => html`<${Message} message=${message} source=${source} />`)}
    ${answered.map((message) => html`<${Message} message=${message} source=${{ ...source, field: "output_messages" }} />`)}
    ${turn.error_message && html`<div class="bad"><${Text} value=${turn.error_message} source=${{ ...source, field: "status_message" }} rendered=${false} /></div>`}
    ${!said.length && !answered.length && !turn.error_message && html`<p class="muted">This turn has no message in the store. Capture of content may be off.</p>`}
  </section>`;
}

export default function Session({ route }) {
  const id = route.parts[1] ?? "";
  const loaded = useApi(`session/${encodeURIComponent(id)}`, { limit: TURNS });
  const [busy, setBusy] = useState(false);
  useLive(Boolean(loaded.data), (message) => message.type === "changed" && loaded.reload()); // what was pruned goes away
  const { data } = loaded;
  const summary = data?.summary ?? {};
  const more = async () => {
    setBusy(true);
    try {
      const body = await get(`session/${encodeURIComponent(id)}`, { limit: TURNS, cursor: loaded.next });
      loaded.set((last) => ({ ...last, data: { ...last.data, turns: [...last.data.turns, ...body.data.turns] }, next: body.next }));
    } catch (error) {
      loaded.set((last) => ({ ...last, error }));
    }
    setBusy(false);
  };
  return html`
    <${Heading} title="Session" subtitle=${html`<span class="id"><${Line} text=${id} /></span>`} />
    <${Source} sql=${loaded.sql} command=${loaded.command} />
    <${Failure} error=${loaded.error} retry=${loaded.reload} />
    <${Notes} notes=${loaded.notes} />
    ${!data ? !loaded.error && html`<${Loading} rows=${10} />` : html`
      <${Facts} facts=${[
        { label: "Turns", value: loaded.next ? null : data.turns.length, kind: "count" },
        { label: "Traces", value: summary.traces ?? null, kind: "count" },
        { label: "Errors", value: summary.errors ?? null, kind: "count" },
        { label: "Cost", value: summary.cost_usd ?? null, kind: "usd" },
        { label: "Tokens", value: summary.tokens ?? null, kind: "tokens" },
        { label: "User", value: summary.user_id ?? null, kind: "text" },
        { label: "First", value: summary.start_time ?? null, kind: "time" },
      ]} />
      <${Scores} scores=${data.scores} />
      ${data.turns.length === 0 ? html`<${Empty} title="The store has no turn of this session." />` : data.turns.map((turn, at) => html`<${Turn} key=${turn.trace_id + turn.span_id} turn=${turn} number=${at + 1} />`)}
      ${loaded.next && html`<p class="more"><button type="button" disabled=${busy} onClick=${more}>More turns</button> <span class="muted">${count(data.turns.length)} shown</span></p>`}
      <${ScoreForm} target=${{ session_id: id }} label="Score this session" onScored=${loaded.reload} />`}`;
}

// Send a stored call again with another model or other options. What it will cost stands on the button.
import { html, useMemo, useState } from "../parts/html.js";
import { post, useApi } from "../parts/api.js";
import { Content, Conversation } from "../parts/conversation.js";
import { wordDiff } from "../parts/diff.js";
import { visible } from "../parts/escape.js";
import { count, shortId, usd } from "../parts/format.js";
import { Empty, Failure, Heading, Input, Loading, Notes, Source } from "../parts/frame.js";
import { href, setQuery } from "../parts/router.js";
import { Facts } from "../parts/table.js";

function textOf(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(textOf).join("\n");
  if (typeof value.text === "string") return value.text;
  return value.content !== undefined ? textOf(value.content) : JSON.stringify(value);
}

function Diff({ before, after }) {
  const parts = useMemo(() => wordDiff(before, after), [before, after]);
  return html`<pre class="raw diff">${parts.map(([kind, text]) => (kind === "same" ? visible(text) : kind === "added" ? html`<ins>${visible(text)}</ins>` : html`<del>${visible(text)}</del>`))}</pre>`;
}

function Results({ results, original }) {
  const ids = results.trace_ids ?? [];
  const outputs = results.outputs ?? ids.map(() => null);
  return html`<section class="block" aria-live="polite"><h2>${ids.length === 1 ? "Answer" : `${count(ids.length)} answers`}</h2>
    ${outputs.map((output, at) => html`<div class="message assistant"><p class="role">${ids[at] ? html`Trace <a class="id" href=${href(`/trace/${encodeURIComponent(ids[at])}`)} title=${visible(ids[at])}>${visible(shortId(ids[at]))}</a>` : "answer"} · against the original</p>
      <${Diff} before=${textOf(original)} after=${textOf(output)} /></div>`)}</section>`;
}

export default function Replay({ route }) {
  const [, traceId = "", spanId = ""] = route.parts;
  const model = route.query.get("model");
  const n = Math.max(1, Math.min(10, Number(route.query.get("n")) || 1));
  const loaded = useApi(traceId && spanId ? `replay/${encodeURIComponent(traceId)}/${encodeURIComponent(spanId)}` : null, { model, n: n === 1 ? null : n });
  const { data } = loaded;
  const original = data?.original ?? {};
  const [temperature, setTemperature] = useState("");
  const [state, setState] = useState({});
  const chosen = model ?? data?.estimate?.model ?? original.model ?? "";
  const send = async (event) => {
    event.preventDefault();
    setState({ busy: true });
    try {
      const body = { trace_id: traceId, span_id: spanId, model: chosen, n };
      if (temperature !== "") body.temperature = Number(temperature);
      setState({ results: (await post("replay", body)).data });
    } catch (error) {
      setState({ error });
    }
  };
  const price = data?.estimate?.usd;
  const cost = price === 0 ? "free" : price === null || price === undefined ? "cost unknown" : `about ${usd(price)}`;
  if (!traceId || !spanId) return html`<${Heading} title="Replay" /><${Empty} title="Choose a call."><p>Open a trace, select a model call, and press Replay.</p><a href=${href("/traces", { kind: "llm" })}>Traces with model calls</a><//>`;
  return html`
    <${Heading} title="Replay" subtitle=${html`Span <a class="id" href=${href(`/trace/${encodeURIComponent(traceId)}`, { span: spanId })}>${visible(shortId(spanId))}</a>`} />
    <${Source} sql=${loaded.sql} command=${loaded.command} />
    <${Failure} error=${loaded.error ?? state.error} retry=${loaded.error ? loaded.reload : undefined} />
    <${Notes} notes=${loaded.notes} />
    ${!data ? !loaded.error && html`<${Loading} rows=${8} />` : html`
      <${Facts} facts=${[{ label: "Model", value: original.model ?? null, kind: "text" }, { label: "Cost then", value: original.cost_usd ?? null, kind: "usd" }, { label: "Input tokens, estimated", value: data.estimate?.input_tokens ?? null, kind: "tokens" }, { label: "Limit", value: data.max_cost_usd ?? null, kind: "usd" }]} />
      ${data.enabled === false ? html`<${Empty} title="Replay is off."><p>It calls a real model. Turn it on in <code>llmops.toml</code>: <code>[ui] replay = true</code>, and start <code>llmops ui</code> again.</p><//>` : html`
      <form class="filter-row filters" onSubmit=${send} aria-label="How to replay">
        <label class="field grow"><span>Model</span><${Input} type="text" maxlength="200" list="models" value=${chosen} onChange=${(event) => setQuery({ model: event.target.value.trim() }, { replace: true })} />
          <datalist id="models">${(data.models ?? []).map((one) => html`<option value=${one}></option>`)}</datalist></label>
        <label class="field"><span>Temperature</span><input type="number" min="0" max="2" step="0.1" placeholder=${original.options?.temperature ?? "as before"} value=${temperature} onInput=${(event) => setTemperature(event.target.value)} /></label>
        <label class="field"><span>Answers</span><${Input} type="number" min="1" max="10" value=${n} onChange=${(event) => setQuery({ n: event.target.value === "1" ? null : event.target.value }, { replace: true })} /></label>
        <button type="submit" class="primary" disabled=${state.busy || loaded.loading}>${state.busy ? "Sending …" : `Send ${n === 1 ? "1 call" : `${n} calls`} to ${visible(chosen)}, ${cost}`}</button>
      </form>`}
      ${state.results && html`<${Results} results=${state.results} original=${original.output} />`}
      ${original.messages?.length ? html`<${Conversation} title="Original input" messages=${original.messages} source=${{ trace: traceId, span: spanId, field: "input" }} />` : html`<${Content} title="Original input" value=${original.input} source=${{ trace: traceId, span: spanId, field: "input" }} />`}
      <${Content} title="Original output" value=${original.output} source=${{ trace: traceId, span: spanId, field: "output" }} />`}`;
}

// Send a stored call again with another model or other options. What it will cost stands on the button.
import { html, useEffect, useMemo, useState } from "../parts/html.js";
import { post, useApi } from "../parts/api.js";
import { Content } from "../parts/conversation.js";
import { wordDiff } from "../parts/diff.js";
import { visible } from "../parts/escape.js";
import { count, shortId, usd } from "../parts/format.js";
import { Empty, Failure, Heading, Input, Loading, Notes, Source } from "../parts/frame.js";
import { href, setQuery } from "../parts/router.js";
import { Facts } from "../parts/table.js";
import { Json } from "../parts/text.js";

function textOf(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(textOf).join("\n");
  if (typeof value.text === "string") return value.text;
  if (value.content !== undefined) return textOf(value.content);
  return value.type === "tool_call" ? "" : JSON.stringify(value);
}

function Diff({ before, after }) {
  const parts = useMemo(() => wordDiff(before, after), [before, after]);
  return html`<pre class="raw diff">${parts.map(([kind, text]) => (kind === "same" ? visible(text) : kind === "added" ? html`<ins>${visible(text)}</ins>` : html`<del>${visible(text)}</del>`))}</pre>`;
}

const textOfMessages = (messages) => (Array.isArray(messages) ? messages.map((message) => textOf(message.parts ?? message.content ?? message)).join("\n") : textOf(messages));

function Results({ results, original }) {
  return html`<section class="block" aria-live="polite"><h2>${results.length === 1 ? "Answer" : `${count(results.length)} answers`}</h2>
    ${results.map((one) => html`<div class="message assistant"><p class="role">Trace <a class="id" href=${href(`/trace/${encodeURIComponent(one.trace_id)}`)} title=${visible(one.trace_id)}>${visible(shortId(one.trace_id))}</a>
        ${one.model && ` · ${visible(one.model)}`}${one.cost_usd !== undefined && ` · ${usd(one.cost_usd)}`} · against the original</p>
      ${one.error ? html`<p class="bad failure-text">${visible(one.error)}</p>` : html`<${Diff} before=${textOfMessages(original?.output)} after=${textOf(one.text)} />`}
      ${one.tool_calls?.map((call) => html`<div class="tool-call"><p><span class="badge">tool call</span> <code>${visible(call.name)}</code></p><${Json} value=${call.arguments} label="arguments" /></div>`)}</div>`)}</section>`;
}

/** The estimate of what the fields say; asked again when they change. */
function useEstimate(body) {
  const [state, set] = useState({ loading: true });
  useEffect(() => {
    if (!body) return undefined;
    const leave = new AbortController();
    set((last) => ({ ...last, loading: true, error: undefined }));
    post("replay", body, leave.signal).then(
      (answer) => set({ ...answer.data, loading: false }),
      (error) => error.name !== "AbortError" && set({ loading: false, error }),
    );
    return () => leave.abort();
  }, [JSON.stringify(body)]);
  return state;
}

function Fields({ body, estimate, state, temperature, setTemperature, send }) {
  const price = estimate?.estimated_usd;
  const cost = price === 0 ? "free" : price === null || price === undefined ? "cost unknown" : `about ${usd(price)}`;
  const n = body.variants;
  return html`<form class="filter-row filters" onSubmit=${send} aria-label="How to replay">
    <label class="field grow"><span>Model</span><${Input} type="text" maxlength="200" value=${body.model ?? estimate?.model ?? ""} onChange=${(event) => setQuery({ model: event.target.value.trim() || null }, { replace: true })} /></label>
    <label class="field"><span>Temperature</span><${Input} type="number" min="0" max="2" step="0.1" placeholder="as before" value=${temperature} onChange=${(event) => setTemperature(event.target.value)} /></label>
    <label class="field"><span>Answers</span><${Input} type="number" min="1" max="5" value=${n} onChange=${(event) => setQuery({ n: event.target.value === "1" ? null : event.target.value }, { replace: true })} /></label>
    <button type="submit" class="primary" disabled=${state.busy || !estimate || price === null}>${state.busy ? "Sending …" : `Send ${n === 1 ? "1 call" : `${n} calls`} to ${visible(estimate?.model ?? "…")}, ${cost}`}</button>
  </form>`;
}

export default function Replay({ route }) {
  const [, traceId = "", spanId = ""] = route.parts;
  const [temperature, setTemperature] = useState("");
  const [state, setState] = useState({});
  const chosen = traceId && spanId;
  const span = useApi(chosen ? `span/${encodeURIComponent(traceId)}/${encodeURIComponent(spanId)}` : null, "");
  const n = Math.max(1, Math.min(5, Number(route.query.get("n")) || 1));
  const body = { trace_id: traceId, span_id: spanId, variants: n };
  if (route.query.get("model")) body.model = route.query.get("model");
  if (temperature !== "") body.temperature = Number(temperature);
  const answer = useEstimate(chosen ? body : null);
  const { estimate } = answer;
  const call = span.data?.call;
  const send = async (event) => {
    event.preventDefault();
    setState({ busy: true });
    try {
      setState({ done: (await post("replay", { ...body, max_cost: estimate.estimated_usd ?? 0 })).data });
    } catch (error) {
      setState({ error });
    }
  };
  if (!chosen) return html`<${Heading} title="Replay" /><${Empty} title="Choose a call."><p>Open a trace, select a model call, and press Replay.</p><a href=${href("/traces", { kind: "llm" })}>Traces with model calls</a><//>`;
  const off = answer.error?.status === 403;
  return html`
    <${Heading} title="Replay" subtitle=${html`Span <a class="id" href=${href(`/trace/${encodeURIComponent(traceId)}`, { span: spanId })}>${visible(shortId(spanId))}</a>`} />
    <${Source} sql=${span.sql} command=${span.command} />
    <${Failure} error=${span.error ?? state.error ?? (off ? undefined : answer.error)} retry=${span.error ? span.reload : undefined} />
    ${off && html`<${Empty} title="This replay is refused."><p>${visible(answer.error.message)}</p><p>A replay calls a model, which may cost money and sends content: that is off unless <code>llmops.toml</code> has <code>[ui] replay = true</code>.</p><//>`}
    ${!off && (!span.data || (!estimate && answer.loading) ? !span.error && html`<${Loading} rows=${6} />` : html`
      <${Facts} facts=${[{ label: "Model then", value: call?.model ?? null, kind: "text" }, { label: "Cost then", value: call?.cost ?? null, kind: "usd" }, { label: "Messages", value: estimate?.messages ?? null, kind: "count" }, { label: "Tools", value: estimate?.tools ?? null, kind: "count" },
        { label: "Input tokens", value: estimate?.input_tokens ?? null, kind: "tokens", hint: "estimated" }, { label: "Output tokens", value: estimate?.output_tokens ?? null, kind: "tokens", hint: "at most" }, { label: "Most it may cost", value: estimate?.max_cost ?? null, kind: "usd", hint: "[ui] max_cost" }]} />
      <${Fields} body=${body} estimate=${estimate} state=${state} temperature=${temperature} setTemperature=${setTemperature} send=${send} />
      ${state.done && html`<${Results} results=${state.done.results} original=${state.done.original} />`}`)}
    ${call?.messages && html`<${Content} title="Original input" value=${call.messages.input} source=${{ trace: traceId, span: spanId, field: "input_messages" }} />
      <${Content} title="Original output" value=${call.messages.output} source=${{ trace: traceId, span: spanId, field: "output_messages" }} />`}`;
}

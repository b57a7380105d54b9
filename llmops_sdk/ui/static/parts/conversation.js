// Messages as a conversation, scores that a person gives, and the difference of two texts.
import { classes, href, html, useState } from "./base.js";
import { post, useServer } from "./server.js";
import { Json, number, Text, visible } from "./text.js";

// Images come only from the store; the name is the digest of the content.
const STORED = /^blobs\/([0-9a-f]{64}\.(?:png|jpe?g|gif|webp))$/;

const isText = (value) => typeof value === "string" || (value !== null && typeof value === "object" && value.cut === true);

function Part({ part, source, rendered }) {
  if (isText(part)) return html`<${Text} value=${part} source=${source} rendered=${rendered} />`;
  if (isText(part?.text)) return html`<${Text} value=${part.text} source=${source} rendered=${rendered} />`;
  if (isText(part?.content) && Object.keys(part).every((key) => key === "type" || key === "content") && (part.type ?? "text") === "text") return html`<${Text} value=${part.content} source=${source} rendered=${rendered} />`;
  const type = typeof part?.type === "string" ? part.type : "part";
  const stored = STORED.exec(part?.uri ?? part?.path ?? "");
  if (stored) return html`<figure class="stored"><img src=${href(`/blob/${stored[1]}`)} alt="Stored image" loading="lazy" /><figcaption class="muted id">${stored[1].slice(0, 12)}…</figcaption></figure>`;
  if (type === "tool_call") return html`<${ToolCall} call=${part} source=${source} />`;
  if (type === "tool_call_response" || type === "tool_result") return html`<${ToolResult} part=${part} source=${source} rendered=${rendered} />`;
  if (type === "reasoning" && isText(part.content)) return html`<details class="part"><summary>reasoning</summary><${Text} value=${part.content} source=${source} rendered=${rendered} /></details>`;
  return html`<details class="part"><summary>${visible(type)}</summary><${Json} value=${part} source=${source} /></details>`;
}

function ToolResult({ part, source, rendered }) {
  const value = part.response ?? part.result ?? part.content;
  return html`<div class="tool-call"><p><span class="badge">tool result</span>${part.id && html` <span class="id muted" title=${visible(part.id)}>${visible(String(part.id).slice(0, 12))}</span>`}</p>
    ${isText(value) ? html`<${Text} value=${value} source=${source} rendered=${rendered} />` : html`<${Json} value=${value} source=${source} label="result" />`}</div>`;
}

function ToolCall({ call, source }) {
  const called = call.function ?? call;
  let value = called.arguments ?? called.input ?? {};
  if (typeof value === "string" && value.length < 20000) {
    try {
      value = JSON.parse(value);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error; // arguments that are no JSON are shown as they came
    }
  }
  return html`<div class="tool-call"><p><span class="badge">tool call</span> <code>${visible(called.name ?? "?")}</code>${call.id && html` <span class="id muted" title=${visible(call.id)}>${visible(String(call.id).slice(0, 12))}</span>`}</p>
    <${Json} value=${value} source=${source} label="arguments" /></div>`;
}

export function Message({ message, source, rendered = true }) {
  if (message === null || typeof message !== "object" || isText(message)) return html`<div class="message"><${Part} part=${message} source=${source} rendered=${rendered} /></div>`;
  const role = String(message.role ?? message.type ?? "message");
  const content = message.content ?? message.parts ?? message.text;
  const parts = content === null || content === undefined ? [] : Array.isArray(content) ? content : [content];
  const known = ["user", "assistant", "system", "tool"].includes(role) ? role : "other";
  return html`<article class=${classes("message", known)} aria-label=${`Message of ${visible(role)}`}>
    <p class="role">${visible(role)}${message.name && html` <code>${visible(message.name)}</code>`}${message.tool_call_id && html` <span class="id muted" title=${visible(message.tool_call_id)}>${visible(String(message.tool_call_id).slice(0, 12))}</span>`}</p>
    ${message.reasoning_content && html`<details class="part"><summary>reasoning</summary><${Part} part=${message.reasoning_content} source=${source} rendered=${rendered} /></details>`}
    ${parts.map((part) => html`<${Part} part=${part} source=${source} rendered=${rendered} />`)}
    ${(message.tool_calls ?? []).map((call) => html`<${ToolCall} call=${call} source=${source} />`)}
  </article>`;
}

/** A list of messages, with the choice between Markdown and the text as written. */
export function Conversation({ messages, source, title }) {
  const [rendered, setRendered] = useState(true);
  const [limit, setLimit] = useState(100);
  return html`<section class="conversation">
    <div class="section-head"><h3>${title}</h3>
      <button type="button" class="link" aria-pressed=${!rendered} onClick=${() => setRendered(!rendered)}>${rendered ? "As written" : "As Markdown"}</button></div>
    ${messages.slice(0, limit).map((message) => html`<${Message} message=${message} source=${source} rendered=${rendered} />`)}
    ${messages.length > limit && html`<button type="button" onClick=${() => setLimit(limit + 200)}>Show more messages (${limit} of ${messages.length})</button>`}
  </section>`;
}

const looksLikeMessages = (value) => Array.isArray(value) && value.length > 0 && value.every((one) => one && typeof one === "object" && "role" in one);

/** The input or output of a span, whatever it is. */
export function Content({ value, title, source }) {
  if (value === null || value === undefined) return null;
  const messages = looksLikeMessages(value) ? value : looksLikeMessages(value?.messages) ? value.messages : null;
  const inside = { ...source, inner: true }; // the text is a part of the stored JSON
  if (messages) return html`<${Conversation} messages=${messages} title=${title} source=${inside} />`;
  if (value?.role) return html`<${Conversation} messages=${[value]} title=${title} source=${inside} />`;
  if (!isText(value) && isText(value.text) && value.text) {
    return html`<section class="conversation"><h3>${title}</h3><div class="message"><${Text} value=${value.text} source=${inside} /></div>
      <details class="part"><summary>All fields</summary><${Json} value=${value} source=${source} label=${title} /></details></section>`;
  }
  return html`<section class="conversation"><h3>${title}</h3>${isText(value)
    ? html`<div class="message"><${Text} value=${value} source=${source} /></div>`
    : html`<${Json} value=${value} source=${source} label=${title} />`}</section>`;
}

// Scores that a person gives: a value for a trace, a span or a session, and the way to take it back.

const bodyOf = ({ trace_id, span_id, session_id }, name) => ({ trace_id: trace_id ?? null, span_id: span_id ?? null, session_id: session_id ?? null, name });

/** Store a score. The later one of a person replaces the earlier one. */
export const sendScore = (target, name, value, more = {}) => post("scores", { ...bodyOf(target, name), value, ...more });
/** Take back the score of this person. */
export const undoScore = (target, name, more = {}) => post("scores", { ...bodyOf(target, name), undo: true, ...more });

export const scoreText = (score) => {
  const value = ["true", "false"].includes(score.label) ? (score.label === "true" ? "yes" : "no") : (score.value ?? score.label);
  return `${visible(score.name)} ${typeof value === "number" ? number(value) : visible(value)}`;
};

/** Scores are records, or an object of values by name. */
const listed = (scores) => (Array.isArray(scores) ? scores : Object.entries(scores ?? {}).map(([name, value]) => ({ name, value })));

export function Scores({ scores }) {
  const all = listed(scores);
  if (!all.length) return null;
  return html`<ul class="scores" aria-label="Scores">${all.slice(0, 20).map((score) => html`<li class="badge" title=${visible([score.source, score.comment].filter(Boolean).join(" · ") || "score")}>${scoreText(score)}</li>`)}</ul>`;
}

/** Buttons that score a target. `onScored` is called after the server has it. */
export function ScoreForm({ target, label, onScored }) {
  const server = useServer();
  const [name, setName] = useState("quality");
  const [comment, setComment] = useState("");
  const [said, setSaid] = useState("");
  const [last, setLast] = useState(null);
  if (server.read_only) return null;
  const run = async (work, done) => {
    setSaid("Saving …");
    try {
      setLast(await work());
      setSaid(done);
      onScored?.();
    } catch (error) {
      setSaid(error.message);
    }
  };
  const give = (value, text) => run(async () => { await sendScore(target, name, value, comment ? { comment } : {}); return name; }, `${name}: ${text}`);
  const undo = () => run(async () => { await undoScore(target, last); return null; }, "Taken back");
  return html`<form class="score-form" onSubmit=${(event) => event.preventDefault()} aria-label=${label}>
    <label class="field"><span>${label}</span><input type="text" maxlength="100" value=${name} onInput=${(event) => setName(event.target.value)} /></label>
    <div class="buttons" role="group" aria-label="Value">
      ${[1, 2, 3, 4, 5].map((value) => html`<button type="button" disabled=${!name.trim()} aria-label=${`Score ${value} of 5`} onClick=${() => give(value, String(value))}>${value}</button>`)}
      <button type="button" disabled=${!name.trim()} onClick=${() => give(true, "yes")}>Yes</button>
      <button type="button" disabled=${!name.trim()} onClick=${() => give(false, "no")}>No</button>
    </div>
    <label class="field grow"><span class="offscreen">Comment</span><input type="text" maxlength="1000" placeholder="Comment (optional)" value=${comment} onInput=${(event) => setComment(event.target.value)} /></label>
    ${last && html`<button type="button" class="link" onClick=${undo}>Undo</button>`}
    <span class="said" role="status">${visible(said)}</span>
  </form>`;
}

// The difference of two texts by words: pairs of a kind ("same", "added", "removed") and a text.
const MOST_WORDS = 1500;

export function wordDiff(a, b) {
  const left = a.match(/\s+|\S+/g) ?? [];
  const right = b.match(/\s+|\S+/g) ?? [];
  let from = 0;
  while (from < left.length && from < right.length && left[from] === right[from]) from += 1;
  let end = 0;
  while (end < left.length - from && end < right.length - from && left[left.length - 1 - end] === right[right.length - 1 - end]) end += 1;
  const middle = diffMiddle(left.slice(from, left.length - end), right.slice(from, right.length - end));
  return joined([["same", left.slice(0, from).join("")], ...middle, ["same", left.slice(left.length - end).join("")]]);
}

// The longest common subsequence costs words times words, so larger texts are one change as a whole.
function diffMiddle(left, right) {
  if (left.length > MOST_WORDS || right.length > MOST_WORDS) return [["removed", left.join("")], ["added", right.join("")]];
  const width = right.length + 1;
  const lengths = new Uint16Array((left.length + 1) * width);
  for (let i = left.length - 1; i >= 0; i -= 1) {
    for (let j = right.length - 1; j >= 0; j -= 1) {
      lengths[i * width + j] = left[i] === right[j] ? lengths[(i + 1) * width + j + 1] + 1 : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
    }
  }
  const parts = [];
  let i = 0;
  let j = 0;
  while (i < left.length || j < right.length) {
    if (i < left.length && j < right.length && left[i] === right[j]) {
      parts.push(["same", left[i]]);
      i += 1;
      j += 1;
    } else if (j >= right.length || (i < left.length && lengths[(i + 1) * width + j] >= lengths[i * width + j + 1])) {
      parts.push(["removed", left[i]]);
      i += 1;
    } else {
      parts.push(["added", right[j]]);
      j += 1;
    }
  }
  return parts;
}

function joined(parts) {
  const all = [];
  for (const [kind, text] of parts) {
    if (!text) continue;
    const before = all[all.length - 1];
    if (before?.[0] === kind) before[1] += text;
    else all.push([kind, text]);
  }
  return all;
}

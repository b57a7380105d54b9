// Messages as a conversation: roles, tool calls with their arguments, results of tools, and parts that are not text.
import { classes, html, useState } from "./html.js";
import { visible } from "./escape.js";
import { Json, Text } from "./text.js";

const isText = (value) => typeof value === "string" || (value !== null && typeof value === "object" && value.cut === true);

function Part({ part, source, rendered }) {
  if (isText(part)) return html`<${Text} value=${part} source=${source} rendered=${rendered} />`;
  if (isText(part?.text)) return html`<${Text} value=${part.text} source=${source} rendered=${rendered} />`;
  if (isText(part?.content) && Object.keys(part).every((key) => key === "type" || key === "content") && (part.type ?? "text") === "text") return html`<${Text} value=${part.content} source=${source} rendered=${rendered} />`;
  const type = typeof part?.type === "string" ? part.type : "part";
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

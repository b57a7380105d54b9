// Text of users, models and tools. It is hostile: nothing of it becomes markup, and what is invisible is shown.
import { html, useCallback, useEffect, useMemo, useRef, useState } from "./html.js";
import { get } from "./api.js";
import { bytes, count } from "./format.js";
import { CopyButton } from "./copy.js";
import { shown, visible } from "./escape.js";
import { markdown } from "./markdown.js";

/** One line of text, cut by the layout; the whole stands in the title, up to 2,000 characters. */
export function Line({ text, length = 300 }) {
  const whole = typeof text === "object" && text !== null ? (text.text ?? JSON.stringify(text)) : String(text ?? "");
  const first = whole.length > length ? `${whole.slice(0, length)}…` : whole;
  return html`<span class="line" title=${whole.length > 40 ? visible(whole.slice(0, 2000)) : undefined}>${shown(first.replace(/\s+/g, " "))}</span>`;
}

// The server counts characters; JavaScript counts an emoji as two.
const characters = (text) => text.length - (text.match(/[\uD800-\uDBFF][\uDC00-\uDFFF]/g) ?? []).length;
const isCut = (value) => typeof value === "object" && value !== null && value.cut === true && typeof value.text === "string";

/** Text with line breaks, as Markdown or as it was written. `source` says where the rest of a cut text is. */
export function Text({ value, source, rendered = true }) {
  const text = isCut(value) ? value.text : typeof value === "string" ? value : JSON.stringify(value, null, 2);
  const nodes = useMemo(() => (rendered ? markdown(text) : null), [text, rendered]);
  return html`
    ${nodes ? html`<div class="markdown" dir="auto">${nodes}</div>` : html`<pre class="raw" dir="auto">${shown(text)}</pre>`}
    ${isCut(value) && html`<${Rest} value=${value} source=${source} />`}`;
}

const PIECE = 200_000;
const MOST_PIECES = 2_000;

/** Read a stored text in pieces from an offset; `onPiece` gets each, where it ends, and the length of the text. */
async function read(source, offset, signal, onPiece) {
  let [at, chars] = [offset, Infinity];
  for (let turn = 0; turn < MOST_PIECES && at < chars; turn += 1) {
    const { data } = await get("text", { trace: source.trace, span: source.span, field: source.field, offset: at }, signal);
    if (!data.text) break;
    at += characters(data.text);
    chars = data.chars;
    onPiece(data.text, at, chars);
    await new Promise(requestAnimationFrame);
  }
}

/** Find the whole of a cut text in a parsed value: the string of its length that begins like it. */
function whole(value, cutText) {
  const waiting = [value];
  while (waiting.length) {
    const one = waiting.pop();
    if (typeof one === "string") {
      if (one.startsWith(cutText.text) && characters(one) === cutText.chars) return one;
    } else if (one !== null && typeof one === "object") waiting.push(...Object.values(one));
  }
  return null;
}

/** Read the stored JSON around a cut text, and return what is missing of the text. */
async function readInside(source, value, signal, onProgress) {
  const texts = [];
  await read(source, 0, signal, (text, at, chars) => {
    texts.push(text);
    onProgress(`${bytes(at)} of ${bytes(chars)} read`);
  });
  const found = whole(JSON.parse(texts.join("")), value);
  if (found === null) throw new Error("The rest of this text is not stored. The command above shows what is.");
  return found.slice(value.text.length);
}

// The rest of a cut text comes in pieces, each in a block of its own: one line of megabytes would stop the layout.
function Rest({ value, source }) {
  const [pieces, setPieces] = useState([]);
  const [state, setState] = useState("cut");
  const leave = useRef(null);
  useEffect(() => () => leave.current?.abort(), []);
  const loaded = characters(value.text) + pieces.reduce((sum, piece) => sum + characters(piece), 0);
  const add = (text) => setPieces((before) => [...before, text]);
  const load = useCallback(async () => {
    leave.current = new AbortController();
    const { signal } = leave.current;
    setState("loading");
    try {
      if (source.inner) {
        const rest = await readInside(source, value, signal, (said) => setState(said));
        for (let at = 0; at < rest.length; at += PIECE) add(rest.slice(at, at + PIECE));
      } else await read(source, loaded, signal, add);
      setState("whole");
    } catch (error) {
      setState(error.name === "AbortError" ? "cut" : error.message);
    }
  }, [loaded, value, source]);
  const busy = state === "loading" || state.endsWith(" read");
  return html`
    ${pieces.map((piece, index) => html`<pre class="raw piece" key=${index}>${shown(piece)}</pre>`)}
    <p class="cut-note" role="status">
      ${state === "whole" ? `All ${count(value.chars)} characters are shown.` : `${count(loaded)} of ${count(value.chars)} characters are shown. `}
      ${busy
        ? html`<button type="button" onClick=${() => leave.current.abort()}>Stop</button>`
        : state !== "whole" && html`<button type="button" onClick=${load}>Show all (${bytes(value.chars)})</button>`}
      ${state !== "cut" && state !== "loading" && state !== "whole" && html` <span class=${busy ? "muted" : "bad"}>${state}</span>`}
    </p>`;
}

/** A value as JSON with a copy button. Strings that are cut can be shown whole. */
export function Json({ value, source, label = "JSON" }) {
  if (isCut(value)) return html`<${Text} value=${value} source=${source} rendered=${false} />`;
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return html`<div class="json"><${CopyButton} text=${text} label=${`Copy ${label}`} /><pre class="raw" dir="auto">${shown(text)}</pre></div>`;
}

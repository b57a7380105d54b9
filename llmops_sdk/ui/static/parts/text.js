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

// The rest of a cut text comes in pieces, each in a block of its own: one line of megabytes would stop the layout.
function Rest({ value, source }) {
  const [pieces, setPieces] = useState([]);
  const [state, setState] = useState("cut");
  const leave = useRef(null);
  useEffect(() => () => leave.current?.abort(), []);
  const loaded = characters(value.text) + pieces.reduce((sum, piece) => sum + characters(piece), 0);
  const load = useCallback(async () => {
    leave.current = new AbortController();
    setState("loading");
    try {
      let offset = loaded;
      while (offset < value.chars) {
        const { data } = await get("text", { ...source, field: value.field ?? source.field, offset }, leave.current.signal);
        if (!data.text) break;
        offset += characters(data.text);
        setPieces((before) => [...before, data.text]);
        await new Promise(requestAnimationFrame);
      }
      setState("whole");
    } catch (error) {
      setState(error.name === "AbortError" ? "cut" : error.message);
    }
  }, [loaded, value, source]);
  return html`
    ${pieces.map((piece, index) => html`<pre class="raw piece" key=${index}>${shown(piece)}</pre>`)}
    <p class="cut-note" role="status">
      ${state === "whole" ? `All ${count(value.chars)} characters are shown.` : `${count(loaded)} of ${count(value.chars)} characters are shown. `}
      ${state === "loading"
        ? html`<button type="button" onClick=${() => leave.current.abort()}>Stop</button>`
        : state !== "whole" && html`<button type="button" onClick=${load}>Show all (${bytes(value.chars)})</button>`}
      ${state !== "cut" && state !== "loading" && state !== "whole" && html` <span class="bad">${state}</span>`}
    </p>`;
}

/** A value as JSON with a copy button. Strings that are cut can be shown whole. */
export function Json({ value, source, label = "JSON" }) {
  if (isCut(value)) return html`<${Text} value=${value} source=${source} rendered=${false} />`;
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  return html`<div class="json"><${CopyButton} text=${text} label=${`Copy ${label}`} /><pre class="raw" dir="auto">${shown(text)}</pre></div>`;
}

// Text of users, models and tools is hostile: it becomes DOM nodes, never markup. Numbers, times and ids as people read them.
import { html, useCallback, useEffect, useMemo, useRef, useState } from "./base.js";
import { get } from "./server.js";

// Characters that are not visible can spoof a page or carry hidden text. They are shown as escapes.

// Controls, bidirectional marks, zero-width characters, tags, variation selectors beyond emoji, lone surrogates.
const HIDDEN = new RegExp(
  "[\\u0000-\\u0008\\u000B-\\u001F\\u007F-\\u009F\\u00AD\\u034F\\u061C\\u115F\\u1160\\u17B4\\u17B5\\u180B-\\u180F\\u200B-\\u200F" +
  "\\u2028-\\u202E\\u2060-\\u206F\\u3164\\uFE00-\\uFE0E\\uFEFF\\uFFA0\\uFFF0-\\uFFFB\\u{E0000}-\\u{E0FFF}\\p{Cs}]", "gu");
const EMOJI = /\p{Extended_Pictographic}|\uFE0F|\p{Emoji_Modifier}/u;

function escaped(character) {
  const code = character.codePointAt(0);
  const digits = code.toString(16).padStart(4, "0");
  return code > 0xffff ? `\\u{${digits}}` : code < 0x100 ? `\\x${digits.slice(2)}` : `\\u${digits}`;
}

// A joiner between two emoji makes one picture; everywhere else it is hidden text.
function joinsEmoji(text, at) {
  return text[at] === "\u200D" && EMOJI.test(text.slice(Math.max(0, at - 2), at)) && EMOJI.test(text.slice(at + 1, at + 3));
}

/** Return the text with each hidden character written as an escape: for titles, labels and options. */
export function visible(value) {
  const text = String(value ?? "");
  return text.replace(HIDDEN, (character, at) => (joinsEmoji(text, at) ? character : escaped(character)));
}

/** Return nodes of the text in which each hidden character is a marked escape. Past 200 of them they are not marked. */
export function shown(value) {
  const text = String(value ?? "");
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(HIDDEN)) {
    if (joinsEmoji(text, match.index)) continue;
    if (nodes.length > 400) return [...nodes, visible(text.slice(from))];
    nodes.push(text.slice(from, match.index), html`<span class="escape" title="A character that is not visible">${escaped(match[0])}</span>`);
    from = match.index + match[0].length;
  }
  return nodes.length ? [...nodes, text.slice(from)] : text;
}

// A button that copies a text and says so.

async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea"); // an address that is not secure has no clipboard object
  field.value = text;
  field.className = "offscreen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new DOMException("The browser refuses to copy.", "NotAllowedError");
  return undefined;
}

export function CopyButton({ text, label, small = false, word = "Copy" }) {
  const [said, setSaid] = useState("");
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  const onClick = async () => {
    try {
      await copy(text);
      setSaid("Copied");
    } catch (error) {
      setSaid(error instanceof DOMException ? "Not copied" : "Error");
    }
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setSaid(""), 1500);
  };
  return html`<button type="button" class=${small ? "copy small" : "copy"} aria-label=${label} title=${label} onClick=${onClick}>
    <span aria-hidden="true">${said || word}</span><span class="offscreen" role="status">${said}</span></button>`;
}

// Markdown of messages to DOM nodes: headings, paragraphs, lists, quotes, code, tables. No HTML, no images, no links:
// an image or a link is its text and its address, which a button copies. Every rule reads the text once, in one pass.

const MAX_BLOCKS = 2000;
const MAX_MARKS = 4000;
const INLINE = /(`[^`\n]{1,2000}`)|(\*\*[^*\n]{1,2000}\*\*)|(\*[^*\s][^*\n]{0,2000}\*)|(!?\[[^[\]\n]{0,500}\]\([^()\s]{1,2000}\))|(\b(?:https?|javascript|data|file|ftp):[^\s<>"'`)\]]{1,2000})/gi;

export function markdown(text) {
  const lines = text.split("\n");
  const marks = { left: MAX_MARKS };
  const blocks = [];
  let at = 0;
  while (at < lines.length) {
    if (blocks.length >= MAX_BLOCKS) {
      blocks.push(html`<pre class="raw">${shown(lines.slice(at).join("\n"))}</pre>`);
      break;
    }
    const [block, next] = readBlock(lines, at, marks);
    if (block) blocks.push(block);
    at = next;
  }
  return blocks;
}

function readBlock(lines, at, marks) {
  const line = lines[at];
  const inline = (part) => inlines(part, marks);
  if (!line.trim()) return [null, at + 1];
  if (/^\s{0,3}```/.test(line)) return readCode(lines, at);
  const heading = /^(#{1,6})\s+(.*)$/.exec(line);
  if (heading) return [html`<p class=${`heading heading-${Math.min(heading[1].length, 4)}`}>${inline(heading[2])}</p>`, at + 1];
  if (/^\s{0,3}([-*_])(\s*\1){2,}\s*$/.test(line)) return [html`<hr />`, at + 1];
  if (isTable(lines, at)) return readTable(lines, at, inline);
  if (/^\s{0,3}>/.test(line)) {
    const end = endOf(lines, at, (next) => /^\s{0,3}>/.test(next));
    const quoted = lines.slice(at, end).map((one) => one.replace(/^\s{0,3}>\s?/, ""));
    return [html`<blockquote>${quoted.map((one) => html`<p>${inline(one)}</p>`)}</blockquote>`, end];
  }
  const item = /^\s{0,12}([-*+]|\d{1,9}[.)])\s+/;
  if (item.test(line)) return readList(lines, at, item, inline);
  const end = endOf(lines, at, (next) => next.trim() && !/^(\s{0,3}```|#{1,6}\s|\s{0,3}>|\s{0,12}([-*+]|\d{1,9}[.)])\s)/.test(next));
  return [html`<p class="paragraph">${inline(lines.slice(at, end).join("\n"))}</p>`, end];
}

function endOf(lines, at, belongs) {
  let end = at + 1;
  while (end < lines.length && belongs(lines[end])) end += 1;
  return end;
}

function readCode(lines, at) {
  const end = endOf(lines, at, (next) => !/^\s{0,3}```\s*$/.test(next));
  const code = lines.slice(at + 1, end).join("\n");
  return [html`<div class="json"><${CopyButton} text=${code} label="Copy code" /><pre class="raw code">${shown(code)}</pre></div>`, end + 1];
}

function readList(lines, at, item, inline) {
  const ordered = /^\s*\d/.test(lines[at]);
  const end = endOf(lines, at, (next) => item.test(next) || /^\s{2,}\S/.test(next));
  const items = [];
  for (const line of lines.slice(at, end)) {
    if (item.test(line)) items.push({ depth: Math.min(3, Math.floor((line.length - line.trimStart().length) / 2)), text: line.replace(item, "") });
    else items[items.length - 1].text += ` ${line.trim()}`;
  }
  const rows = items.map((one) => html`<li class=${`depth-${one.depth}`}>${inline(one.text)}</li>`);
  return [ordered ? html`<ol start=${parseInt(lines[at], 10)}>${rows}</ol>` : html`<ul>${rows}</ul>`, end];
}

const isTable = (lines, at) =>
  lines[at].includes("|") && at + 1 < lines.length && lines[at + 1].length < 2000 && /^[\s|:-]*-[\s|:-]*$/.test(lines[at + 1]) && lines[at + 1].includes("|");

const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

function readTable(lines, at, inline) {
  const end = endOf(lines, at + 1, (next) => next.includes("|"));
  const rows = lines.slice(at + 2, end).map(cells);
  return [
    html`<div class="scroll-x" tabindex="0" role="region" aria-label="Table in the text"><table>
      <thead><tr>${cells(lines[at]).map((cell) => html`<th scope="col">${inline(cell)}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${inline(cell)}</td>`)}</tr>`)}</tbody>
    </table></div>`,
    end,
  ];
}

function inlines(text, marks) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    if (marks.left <= 0) break;
    marks.left -= 1;
    nodes.push(shown(text.slice(from, match.index)), inlineNode(match));
    from = match.index + match[0].length;
  }
  nodes.push(shown(text.slice(from)));
  return nodes;
}

function inlineNode([whole, code, bold, italic, link]) {
  if (code) return html`<code>${shown(code.slice(1, -1))}</code>`;
  if (bold) return html`<strong>${shown(bold.slice(2, -2))}</strong>`;
  if (italic) return html`<em>${shown(italic.slice(1, -1))}</em>`;
  if (!link) return html`<${Address} address=${whole} />`;
  const image = link.startsWith("!");
  const middle = link.lastIndexOf("](");
  const label = link.slice(image ? 2 : 1, middle);
  return html`<span class="reference">${image ? "image: " : ""}${shown(label)} <${Address} address=${link.slice(middle + 2, -1)} /></span>`;
}

const Address = ({ address }) =>
  html`<span class="address"><span>${shown(address)}</span><${CopyButton} text=${address} label="Copy address" small=${true} /></span>`;

// Numbers, times and ids as people read them. Null is a dash: what is unknown is not zero.
const NONE = "–";
const counts = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
const day = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short" });
const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function usd(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return "$0";
  if (size < 0.0001) return `$${value.toPrecision(2)}`;
  if (size < 0.1) return `$${value.toFixed(4)}`;
  if (size < 1000) return `$${value.toFixed(2)}`;
  return `$${counts.format(value)}`;
}

export function seconds(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return "0 ms";
  if (size < 0.000001) return `${(value * 1e9).toFixed(0)} ns`;
  if (size < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  if (size < 0.01) return `${(value * 1e3).toFixed(1)} ms`;
  if (size < 1) return `${(value * 1e3).toFixed(0)} ms`;
  if (size < 60) return `${value.toFixed(2)} s`;
  if (size < 3600) return `${Math.floor(value / 60)} m ${Math.floor(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} m`;
}

export const count = (value) => (isNumber(value) ? counts.format(value) : value === null || value === undefined ? NONE : String(value));
export const brief = (value) => (isNumber(value) ? (Math.abs(value) < 1000 ? plain.format(value) : short.format(value)) : NONE);
export const share = (value) => (isNumber(value) ? `${(value * 100).toFixed(Math.abs(value) < 0.1 ? 1 : 0)} %` : NONE);
export const number = (value) => (isNumber(value) ? plain.format(value) : NONE);
export const bytes = (value) => (value < 1e6 ? `${counts.format(Math.ceil(value / 1e3))} KB` : `${(value / 1e6).toFixed(1)} MB`);

/** Local time; the year stands only when it is another one. */
export function time(value) {
  const date = new Date(value);
  if (value === null || value === undefined || Number.isNaN(date.getTime())) return NONE;
  const which = date.getFullYear() === new Date().getFullYear() ? day : dayOfYear;
  return `${which.format(date)} ${clock.format(date)}`;
}

export const utc = (value) => (value ? `${String(value).replace("T", " ").replace("Z", "")} UTC` : undefined);
/** The ends of an id: ids that begin with a time have the same beginning. */
export const shortId = (id) => (id && id.length > 14 ? `${id.slice(0, 4)}…${id.slice(-6)}` : (id ?? NONE));
/** Cut a text; half a surrogate pair is left out too. */
export const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1).replace(/[\uD800-\uDBFF]$/, "")}…` : text);

/** The format of each kind of value, and whether it is a number, which stands on the right. */
const FORMATS = { usd, seconds, ms: (value) => seconds(value / 1000), share, tokens: count, count, number, figure: String };
export const isNumeric = (kind) => kind in FORMATS;
export const formatted = (kind, value) => (FORMATS[kind] ?? String)(value);
export const axis = (kind) => (kind === "usd" || kind === "seconds" || kind === "share" ? FORMATS[kind] : brief);

// Text of users, models and tools. It is hostile: nothing of it becomes markup, and what is invisible is shown.

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
    ${isCut(value) && (source?.span ? html`<${Rest} value=${value} source=${source} />`
      : html`<p class="cut-note">The first ${count(characters(value.text))} characters are shown.</p>`)}`;
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

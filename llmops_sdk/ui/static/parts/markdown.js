// Markdown of messages to DOM nodes: headings, paragraphs, lists, quotes, code, tables. No HTML, no images, no links:
// an image or a link is its text and its address, which a button copies. Every rule reads the text once, in one pass.
import { html } from "./html.js";
import { CopyButton } from "./copy.js";
import { shown } from "./escape.js";

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

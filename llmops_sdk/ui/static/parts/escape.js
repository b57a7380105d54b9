// Characters that are not visible can spoof a page or carry hidden text. They are shown as escapes.
import { html } from "./html.js";

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

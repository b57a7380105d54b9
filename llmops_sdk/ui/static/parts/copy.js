// A button that copies a text and says so.
import { html, useEffect, useRef, useState } from "./html.js";

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

// Scores that a person gives: a value for a trace, a span or a session, and the way to take it back.
import { html, useState } from "./html.js";
import { post } from "./api.js";
import { visible } from "./escape.js";
import { number } from "./format.js";
import { useServer } from "./server.js";

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

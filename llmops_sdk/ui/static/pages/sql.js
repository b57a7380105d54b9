// SQL over the views of the store. The query stands in the address; Ctrl+Enter runs it.
import { html, useRef } from "../parts/html.js";
import { useApi } from "../parts/api.js";
import { CopyButton } from "../parts/copy.js";
import { visible } from "../parts/escape.js";
import { seconds } from "../parts/format.js";
import { Empty, Failure, Heading, Loading, Notes, Source } from "../parts/frame.js";
import { setQuery } from "../parts/router.js";
import { Table } from "../parts/table.js";

const EXAMPLE = "SELECT name, count(*) AS n, avg(duration_ns) / 1e9 AS seconds\nFROM spans\nWHERE start_time > now() - INTERVAL 1 DAY\nGROUP BY ALL ORDER BY n DESC LIMIT 20";

function Views({ views }) {
  if (!views?.length) return null;
  return html`<details class="part"><summary>Views and columns</summary><dl class="views">${views.map((view) => html`<div><dt><code>${visible(view.name)}</code></dt>
    <dd>${(view.columns ?? []).map((column) => html`<code>${visible(column.name ?? column)}</code> `)}</dd></div>`)}</dl></details>`;
}

export default function Sql({ route }) {
  const q = route.query.get("q") ?? "";
  const loaded = useApi(q ? "sql" : null, { q });
  const help = useApi("sql", "");
  const field = useRef(null);
  const run = (event) => {
    event.preventDefault();
    const text = field.current.value.trim();
    if (!text) return;
    if (text === q) loaded.reload();
    else setQuery({ q: text });
  };
  const { data } = loaded;
  return html`
    <${Heading} title="SQL" subtitle="Read only, one query at a time." />
    <form class="sql" onSubmit=${run}>
      <label class="field"><span>Query</span><textarea id="search" key=${q} ref=${field} rows="7" spellcheck=${false} maxlength="20000" placeholder=${EXAMPLE} defaultValue=${q}
        onKeyDown=${(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event); }}></textarea></label>
      <div class="buttons"><button type="submit" class="primary">Run</button><span class="muted"><kbd>Ctrl</kbd> <kbd>Enter</kbd></span>
        ${!q && html`<button type="button" class="link" onClick=${() => { field.current.value = EXAMPLE; field.current.focus(); }}>Use an example</button>`}
        ${data?.rows?.length > 0 && html`<${CopyButton} text=${tsv(data)} label="Copy the rows as text with tabs" />`}</div>
    </form>
    <${Source} sql=${q || help.sql} command=${loaded.command ?? help.command} />
    <${Views} views=${help.data?.views} />
    <${Failure} error=${loaded.error ?? (q ? undefined : help.error)} retry=${loaded.reload} />
    <${Notes} notes=${loaded.notes} />
    ${q && loaded.loading && html`<${Loading} rows=${6} label="The query runs" />`}
    ${!loaded.loading && data?.columns && html`<p class="muted" role="status">${data.rows.length} ${data.rows.length === 1 ? "row" : "rows"}${data.cut ? ", cut" : ""}${typeof data.seconds === "number" ? ` in ${seconds(data.seconds)}` : ""}</p>
      <${Table} title="Rows" columns=${data.columns} rows=${data.rows} empty="The query gives no rows." />`}
    ${!q && html`<${Empty} title="Write a query."><p>The views are below “Views and columns”. <code>llmops schema</code> describes them.</p><//>`}`;
}

const tsv = (data) => [data.columns.map((column) => column.name), ...data.rows].map((row) => row.map((value) => visible(value === null ? "" : typeof value === "object" ? JSON.stringify(value) : value).replace(/[\t\n]/g, " ")).join("\t")).join("\n");

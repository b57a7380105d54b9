// The page: navigation, the theme, and the component of the path in the address.
import { classes, go, href, html, render, useEffect, useLayoutEffect, useRef, useRoute, useState } from "./parts/base.js";
import { Failure, Heading, Loading, useKeys } from "./parts/frame.js";
import { loadServer, useServer } from "./parts/server.js";
import { visible } from "./parts/text.js";

// Pages with a component of their own; every other page of the server is drawn by the generic one.
const PAGES = {
  traces: () => import("./pages/traces.js"),
  trace: () => import("./pages/trace.js"),
  session: () => import("./pages/session.js"),
  queue: () => import("./pages/queue.js"),
  compare: async () => ({ default: (await import("./pages/compare.js")).Compare }),
  replay: async () => ({ default: (await import("./pages/compare.js")).Replay }),
  sql: async () => ({ default: (await import("./pages/generic.js")).Sql }),
};
const generic = () => import("./pages/generic.js");
const THEMES = ["system", "light", "dark"];

function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch (error) {
    if (error instanceof DOMException) return null; // storage is turned off
    throw error;
  }
}

function ThemeButton() {
  const [theme, setTheme] = useState(THEMES.includes(stored("llmops-theme")) ? stored("llmops-theme") : "system");
  useLayoutEffect(() => { // with the new text of the button, not after it
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    if (stored("llmops-theme") !== theme) localStorage.setItem("llmops-theme", theme);
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  return html`<button type="button" class="link" onClick=${() => setTheme(next)} aria-label=${`Theme: ${theme}. Change to ${next}.`}>Theme: ${theme}</button>`;
}

function Navigation({ server, route }) {
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [route.path]);
  const listed = server.pages.filter((page) => page.group && !page.path.includes("{")); // others need an id: links lead there
  const groups = [...new Set(listed.map((page) => page.group))];
  const here = route.parts[0] ?? "traces";
  const isHere = (page) => page.path === `/${here}` || (here === "trace" && page.name === "traces") || (here === "session" && page.name === "sessions");
  return html`<div class=${classes("side", open && "open")}>
    <header class="brand"><a href=${href("/traces")}>llmops</a>
      <button type="button" class="menu" aria-expanded=${open} aria-controls="navigation" onClick=${() => setOpen(!open)}>Menu</button></header>
    <nav id="navigation" aria-label="Pages">
      ${groups.map((group) => html`<p class="group">${visible(group)}</p><ul>${listed.filter((page) => page.group === group).map((page) => html`<li>
        <a href=${href(page.path)} class=${classes(isHere(page) && "here")} aria-current=${isHere(page) ? "page" : undefined}>${visible(page.title)}</a></li>`)}</ul>`)}
      <div class="side-foot"><${ThemeButton} /><p class="muted line" title=${visible(server.store ?? "")}>${server.read_only && !server.loading ? "Read only · " : ""}${visible(server.version ?? "")}</p></div>
    </nav>
  </div>`;
}

const KEYS = [
  ["/", "Search"], ["j k", "Next, previous row"], ["Enter", "Open the row"], ["x", "Select the row"], ["n", "Next page of rows"],
  ["← →", "Close, open a span's children"], ["1–5, y, n", "Score (in the queue)"], ["u", "Undo a score (in the queue)"], ["?", "This help"],
];

function KeyHelp({ open, onClose }) {
  const dialog = useRef(null);
  useEffect(() => { if (open && !dialog.current.open) dialog.current.showModal(); }, [open]);
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby="keys-title">
    <h2 id="keys-title">Keys</h2>
    <dl class="keys">${KEYS.map(([key, text]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${text}</dd></div>`)}</dl>
    <form method="dialog"><button>Close</button></form>
  </dialog>`;
}

// The server reads the address first: a parameter that nothing reads would show the answer to another question.
const { problem, without } = document.documentElement.dataset;
const refused = problem ? location.pathname + location.search : null;

function Refused() {
  return html`<${Heading} title="Unknown parameter" /><${Failure} error=${{ message: problem }} />
    <p><a class="button" href=${location.pathname + without.replace(/^\?$/, "")}>Open the page without it</a></p>`;
}

function Page({ route, server }) {
  const name = route.parts[0] ?? "traces";
  const key = name in PAGES ? name : "generic";
  const [loaded, setLoaded] = useState({});
  useEffect(() => {
    let here = true;
    (PAGES[name] ?? generic)().then(
      (module) => here && setLoaded({ key, Component: module.default }),
      () => here && setLoaded({ key, error: { message: "A part of this page could not be loaded. Is `llmops ui` still running?" } }),
    );
    return () => { here = false; };
  }, [key]);
  const page = server.pages.find((one) => one.path === `/${name}`);
  if (loaded.error) return html`<${Heading} title="llmops" /><${Failure} error=${loaded.error} retry=${() => location.reload()} />`;
  if (loaded.key !== key) return html`<${Loading} />`;
  return html`<${loaded.Component} key=${name} route=${route} server=${server} page=${page} />`;
}

function App() {
  const route = useRoute();
  const server = useServer();
  const [help, setHelp] = useState(false);
  useEffect(() => { loadServer(); }, []);
  useEffect(() => { if (route.path === "/") go(href("/traces", route.query), { replace: true }); }, [route.path]);
  useKeys({
    "?": () => setHelp(true),
    "/": () => {
      const field = document.getElementById("search");
      if (!field) return false;
      field.focus();
      return true;
    },
  });
  return html`<a class="skip" href="#main">Skip to the content</a>
    <${Navigation} server=${server} route=${route} />
    <main id="main" tabindex="-1">
      ${server.error && html`<${Failure} error=${server.error} retry=${loadServer} />`}
      ${refused === location.pathname + location.search ? html`<${Refused} />` : route.path !== "/" && html`<${Page} route=${route} server=${server} />`}
    </main>
    <${KeyHelp} open=${help} onClose=${() => setHelp(false)} />`;
}

const place = document.getElementById("app");
place.replaceChildren();
render(html`<${App} />`, place);

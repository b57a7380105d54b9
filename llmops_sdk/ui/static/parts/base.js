// What every module stands on: htm bound to Preact, and the address as the state of the page.
import { h } from "../vendor/preact.js";
import { useEffect, useState } from "../vendor/hooks.js";
import htm from "../vendor/htm.js";

export { Fragment, render } from "../vendor/preact.js";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.js";
// The one place that binds htm to Preact. Templates become DOM nodes; no text is ever parsed as HTML.
export const html = htm.bind(h);

/** Join class names; false and null are left out. */
export const classes = (...names) => names.filter(Boolean).join(" ");

// The address is the state: a page is a path, and its filters are the query.

/** The path below which the application is mounted, "" for the root. */
export const BASE = new URL("../../", import.meta.url).pathname.replace(/\/$/, "");

history.scrollRestoration = "manual";
const listeners = new Set();
let route = read();
let pendingScroll = null;

function read() {
  const path = location.pathname.slice(BASE.length) || "/";
  return { path, parts: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(location.search) };
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
}

function changed(samePage) {
  route = read();
  for (const listener of listeners) listener(route);
  if (!samePage) document.getElementById("main")?.focus({ preventScroll: true });
}

/** Write the address of a page. Empty filters are left out. */
export function href(path, query = {}) {
  const pairs = query instanceof URLSearchParams ? [...query] : Object.entries(query);
  const kept = new URLSearchParams(pairs.filter(([, value]) => value !== null && value !== undefined && value !== ""));
  const text = kept.toString();
  return BASE + path + (text ? `?${text}` : "");
}

/** Go to an address of this application. */
export function go(target, { replace = false } = {}) {
  const before = location.pathname;
  saveScroll();
  history[replace ? "replaceState" : "pushState"](replace ? history.state : {}, "", target);
  const samePage = before === location.pathname;
  pendingScroll = null;
  changed(samePage);
  if (!samePage) scrollTo(0, 0);
}

/** Change some filters of this page; null removes one. Arrays give one pair for each value. */
export function setQuery(changes, options) {
  const query = new URLSearchParams(route.query);
  query.delete("cursor");
  for (const [name, value] of Object.entries(changes)) {
    query.delete(name);
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") query.append(name, one);
    }
  }
  go(href(route.path, query), options);
}

/** Keep something beside the address, for the way back: how many rows were shown, for example. */
export function remember(values) {
  history.replaceState({ ...history.state, ...values }, "");
}

export const remembered = (name) => history.state?.[name];

export function useRoute() {
  const [value, set] = useState(route);
  useEffect(() => {
    listeners.add(set);
    set(route);
    return () => listeners.delete(set);
  }, []);
  return value;
}

function saveScroll() {
  const panes = {};
  for (const pane of document.querySelectorAll("[data-scroll]")) panes[pane.dataset.scroll] = pane.scrollTop;
  history.replaceState({ ...history.state, scroll: scrollY, panes }, "");
}

function restoreScroll() {
  if (pendingScroll === null) return;
  if (document.documentElement.scrollHeight - innerHeight >= pendingScroll - 1) {
    scrollTo(0, pendingScroll);
    pendingScroll = null;
  }
}

let scrollTimer = 0;
addEventListener("scroll", () => {
  if (pendingScroll !== null) return;
  clearTimeout(scrollTimer);
  scrollTimer = setTimeout(saveScroll, 120);
}, { passive: true });

addEventListener("popstate", () => {
  clearTimeout(scrollTimer);
  const samePage = route.path === location.pathname.slice(BASE.length);
  changed(samePage);
  pendingScroll = history.state?.scroll ?? 0;
  requestAnimationFrame(restoreScroll); // and again whenever the page grows, until its rows are there
});
new ResizeObserver(restoreScroll).observe(document.body);
for (const name of ["wheel", "keydown", "pointerdown", "touchmove"]) {
  addEventListener(name, () => { pendingScroll = null; }, { passive: true });
}

// Plain links serve everywhere: open in a new tab, copy, middle click. A plain click stays in this document.
addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!link || link.origin !== location.origin || link.target || link.hasAttribute("download")) return;
  if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (!(link.pathname === BASE || link.pathname.startsWith(`${BASE}/`)) || link.pathname.startsWith(`${BASE}/static/`)) return;
  if (link.pathname === location.pathname && link.search === location.search && link.hash) return;
  event.preventDefault();
  go(link.pathname + link.search);
});

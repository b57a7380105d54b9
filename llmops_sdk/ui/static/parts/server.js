// Talk with the server: JSON of /api/v1, what the server says about itself, and one live stream for all tabs.
import { BASE, useCallback, useEffect, useRef, useState } from "./base.js";

// JSON of /api/v1. A request ends when its page goes away; the server then interrupts the query.

export class ApiError extends Error {
  constructor(type, message, status) {
    super(message);
    this.type = type;
    this.status = status;
  }
}

export const url = (name, query = "") => {
  const text = new URLSearchParams(query instanceof URLSearchParams ? query : clean(query)).toString();
  return `${BASE}/api/v1/${name}${text ? `?${text}` : ""}`;
};

function clean(query) {
  if (typeof query === "string") return query;
  return Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
}

async function answer(response) {
  let body = null;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (response.ok && body) return body;
  const said = body?.error ?? {};
  throw new ApiError(said.type ?? "Error", said.message ?? fallback(response.status), response.status);
}

function fallback(status) {
  if (status === 401) return "This browser is not signed in. Open the address that `llmops ui` printed.";
  if (status === 403) return "The server refuses this request.";
  return `The server answered with status ${status}.`;
}

async function request(address, options) {
  try {
    return await fetch(address, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("ConnectionError", "The server does not answer. Is `llmops ui` still running?", 0);
  }
}

export async function get(name, query, signal) {
  return answer(await request(url(name, query), { signal, headers: { Accept: "application/json" } }));
}

export async function post(name, body, signal) {
  const headers = { "Content-Type": "application/json", "X-LLMOps": "1" };
  return answer(await request(url(name), { method: "POST", headers, body: JSON.stringify(body), signal }));
}

/**
 * Load one name of the API again whenever the query changes. While it loads, the last answer stays, so that nothing
 * jumps. `name` null loads nothing.
 */
export function useApi(name, query) {
  const address = name === null ? null : url(name, query);
  const [state, set] = useState({ loading: name !== null });
  const [turn, setTurn] = useState(0);
  const loadedName = useRef(null);
  useEffect(() => {
    if (address === null) return undefined;
    const leave = new AbortController();
    const sameName = loadedName.current === name;
    set((last) => ({ ...(sameName ? last : {}), loading: true, error: undefined }));
    get(name, query, leave.signal).then(
      (body) => {
        loadedName.current = name;
        set({ ...body, loading: false });
      },
      (error) => {
        if (error.name !== "AbortError") set({ loading: false, error });
      },
    );
    return () => leave.abort();
  }, [address, turn]);
  const reload = useCallback(() => setTurn((count) => count + 1), []);
  return { ...state, reload, set };
}

// What the server says about itself: its pages, and whether it takes scores, data sets and replays.

let known = { pages: [], read_only: true, replay: false, replay_refusal: null, loading: true };
const watchers = new Set();

function set(values) {
  known = values;
  for (const listener of watchers) listener(known);
}

export async function loadServer() {
  try {
    set({ read_only: false, replay: false, ...(await get("pages")).data });
  } catch (error) {
    set({ ...known, loading: false, error });
  }
}

export function useServer() {
  const [value, update] = useState(known);
  useEffect(() => {
    watchers.add(update);
    update(known);
    return () => watchers.delete(update);
  }, []);
  return value;
}

// One stream for all tabs of this browser. HTTP/1.1 gives a browser six connections to a host, so the tab that holds the
// lock has the stream and tells the others. A hidden tab gives the lock back.

const NAME = `llmops-live${BASE}`;
const listeners = new Set();
let channel = null;
let leaving = null;
let lastId = "";

function tell(message) {
  if (message.id) lastId = message.id;
  for (const listener of listeners) listener(message);
}

function lead(signal) {
  return new Promise((resolve) => {
    const source = new EventSource(url("live", lastId ? { position: lastId } : {}));
    const forward = (message) => {
      tell(message);
      channel?.postMessage(message);
    };
    source.addEventListener("traces", (event) => forward({ type: "traces", id: event.lastEventId, data: JSON.parse(event.data) }));
    // After a gap the list has what the stream has not.
    for (const name of ["gap", "changed"]) source.addEventListener(name, (event) => forward({ type: "changed", id: event.lastEventId }));
    source.addEventListener("position", (event) => forward({ type: "position", id: event.lastEventId }));
    source.addEventListener("ready", (event) => forward({ type: "state", connected: true, id: event.lastEventId }));
    source.onopen = () => forward({ type: "state", connected: true });
    source.onerror = () => forward({ type: "state", connected: false });
    signal.addEventListener("abort", () => {
      source.close();
      resolve();
    });
  });
}

async function stand(signal) {
  if (!navigator.locks) return lead(signal); // not a secure address: each tab has its own stream while it is visible
  try {
    return await navigator.locks.request(NAME, { signal }, () => lead(signal));
  } catch (error) {
    if (error.name !== "AbortError") throw error;
    return undefined;
  }
}

function update() {
  const wanted = listeners.size > 0 && document.visibilityState === "visible";
  if (wanted && !leaving) {
    leaving = new AbortController();
    channel ??= "BroadcastChannel" in globalThis ? new BroadcastChannel(NAME) : null;
    if (channel) channel.onmessage = (event) => tell(event.data);
    stand(leaving.signal);
  } else if (!wanted && leaving) {
    leaving.abort();
    leaving = null;
    channel?.close();
    channel = null;
  }
}
document.addEventListener("visibilitychange", update);
addEventListener("pagehide", () => {
  leaving?.abort();
  leaving = null;
});
addEventListener("pageshow", update);

/** Call `onMessage` with each message of the stream while `on` is true. Return whether the stream is connected. */
export function useLive(on, onMessage) {
  const handler = useRef(onMessage);
  handler.current = onMessage; // "traces" with rows, or "changed": the store was pruned or compacted, so read anew
  const [connected, setConnected] = useState(true);
  useEffect(() => {
    if (!on) return undefined;
    const listener = (message) => (message.type === "state" ? setConnected(message.connected) : handler.current(message));
    listeners.add(listener);
    update();
    return () => {
      listeners.delete(listener);
      update();
    };
  }, [on]);
  return connected;
}

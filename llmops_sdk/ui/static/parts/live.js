// One stream for all tabs of this browser. HTTP/1.1 gives a browser six connections to a host, so the tab that holds the
// lock has the stream and tells the others. A hidden tab gives the lock back.
import { useEffect, useRef, useState } from "./html.js";
import { url } from "./api.js";
import { BASE } from "./router.js";

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

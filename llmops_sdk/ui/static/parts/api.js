// JSON of /api/v1. A request ends when its page goes away; the server then interrupts the query.
import { useCallback, useEffect, useRef, useState } from "./html.js";
import { BASE } from "./router.js";

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

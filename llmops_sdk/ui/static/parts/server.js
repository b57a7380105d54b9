// What the server says about itself: its pages, and whether it takes scores, data sets and replays.
import { useEffect, useState } from "./html.js";
import { get } from "./api.js";

let known = { pages: [], read_only: true, replay: false, loading: true };
const listeners = new Set();

function set(values) {
  known = values;
  for (const listener of listeners) listener(known);
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
    listeners.add(update);
    update(known);
    return () => listeners.delete(update);
  }, []);
  return value;
}

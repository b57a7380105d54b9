// Numbers, times and ids as people read them. Null is a dash: what is unknown is not zero.
const NONE = "–";
const counts = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 4 });
const day = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short" });
const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

export function usd(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return "$0";
  if (size < 0.0001) return `$${value.toPrecision(2)}`;
  if (size < 0.1) return `$${value.toFixed(4)}`;
  if (size < 1000) return `$${value.toFixed(2)}`;
  return `$${counts.format(value)}`;
}

export function seconds(value) {
  if (!isNumber(value)) return NONE;
  const size = Math.abs(value);
  if (size === 0) return "0 ms";
  if (size < 0.000001) return `${(value * 1e9).toFixed(0)} ns`;
  if (size < 0.001) return `${(value * 1e6).toFixed(0)} µs`;
  if (size < 0.01) return `${(value * 1e3).toFixed(1)} ms`;
  if (size < 1) return `${(value * 1e3).toFixed(0)} ms`;
  if (size < 60) return `${value.toFixed(2)} s`;
  if (size < 3600) return `${Math.floor(value / 60)} m ${Math.floor(value % 60)} s`;
  return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} m`;
}

export const count = (value) => (isNumber(value) ? counts.format(value) : value === null || value === undefined ? NONE : String(value));
export const brief = (value) => (isNumber(value) ? (Math.abs(value) < 1000 ? plain.format(value) : short.format(value)) : NONE);
export const share = (value) => (isNumber(value) ? `${(value * 100).toFixed(Math.abs(value) < 0.1 ? 1 : 0)} %` : NONE);
export const number = (value) => (isNumber(value) ? plain.format(value) : NONE);
export const bytes = (value) => (value < 1e6 ? `${counts.format(Math.ceil(value / 1e3))} KB` : `${(value / 1e6).toFixed(1)} MB`);

/** Local time; the year stands only when it is another one. */
export function time(value) {
  const date = new Date(value);
  if (value === null || value === undefined || Number.isNaN(date.getTime())) return NONE;
  const which = date.getFullYear() === new Date().getFullYear() ? day : dayOfYear;
  return `${which.format(date)} ${clock.format(date)}`;
}

export const utc = (value) => (value ? `${String(value).replace("T", " ").replace("Z", "")} UTC` : undefined);
/** The ends of an id: ids that begin with a time have the same beginning. */
export const shortId = (id) => (id && id.length > 14 ? `${id.slice(0, 4)}…${id.slice(-6)}` : (id ?? NONE));
/** Cut a text; half a surrogate pair is left out too. */
export const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1).replace(/[\uD800-\uDBFF]$/, "")}…` : text);

/** The format of each kind of value, and whether it is a number, which stands on the right. */
const FORMATS = { usd, seconds, ms: (value) => seconds(value / 1000), share, tokens: count, count, number, figure: String };
export const isNumeric = (kind) => kind in FORMATS;
export const formatted = (kind, value) => (FORMATS[kind] ?? String)(value);
export const axis = (kind) => (kind === "usd" || kind === "seconds" || kind === "share" ? FORMATS[kind] : brief);

// The one place that binds htm to Preact. Templates become DOM nodes; no text is ever parsed as HTML.
import { h } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { Fragment, render } from "../vendor/preact.js";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.js";
export const html = htm.bind(h);

/** Join class names; false and null are left out. */
export const classes = (...names) => names.filter(Boolean).join(" ");

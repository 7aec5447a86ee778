// Numbers, dates and elements, written in the browser's language. Text only: a name from outside is never markup.

const LANGUAGE = navigator.language;

/** Energy is counted in whole units of 0.000001 kWh: sums of them are exact. */
export const UNITS = 1_000_000;

/** @type {Map<string, Intl.NumberFormat>} */
const numbers = new Map();

/** @param {number} value @param {number} decimals */
export function number(value, decimals) {
  const key = String(decimals);
  let format = numbers.get(key);
  if (!format) {
    format = new Intl.NumberFormat(LANGUAGE, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    numbers.set(key, format);
  }
  return format.format(value === 0 ? 0 : value);
}

/** A number of kWh with as many decimals as its size needs: `3.42`, `1,234`; a dash for null.
 * @param {number | null} units */
export function amount(units) {
  if (units === null) return "–";
  const size = Math.abs(units) / UNITS;
  return number(units / UNITS, size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** The same with its unit. @param {number | null} units */
export const energy = (units) => (units === null ? "–" : `${amount(units)} kWh`);

/** Energy as a plain decimal number of kWh, exact: `12.3456`. At least four decimals.
 * @param {number} units */
export function exact(units) {
  const digits = String(Math.abs(Math.round(units))).padStart(7, "0");
  const decimals = digits.slice(-6).replace(/0{1,2}$/, "");
  return `${units < 0 ? "-" : ""}${digits.slice(0, -6)}.${decimals}`;
}

/** A rate as a percentage; a dash where there is none. @param {number | null} rate */
export function percent(rate) {
  return rate === null ? "–" : `${number(rate * 100, 0)} %`;
}

/** `1 hour`, `2 hours`. @param {number} count @param {string} noun */
export function counted(count, noun) {
  return `${number(count, 0)} ${noun}${count === 1 ? "" : "s"}`;
}

/** @type {Map<string, Intl.DateTimeFormat>} */
const dates = new Map();

/** A format of dates that are days of the meter's calendar. @param {Intl.DateTimeFormatOptions} options */
function dateFormat(options) {
  const key = JSON.stringify(options);
  let format = dates.get(key);
  if (!format) {
    format = new Intl.DateTimeFormat(LANGUAGE, { timeZone: "UTC", ...options });
    dates.set(key, format);
  }
  return format;
}

/** @param {string} day such as `2026-11-29` @param {Intl.DateTimeFormatOptions} options */
export function date(day, options) {
  return dateFormat(options).format(new Date(`${day}T00:00:00Z`));
}

/** @param {string} first @param {string} last @param {Intl.DateTimeFormatOptions} options */
export function dateRange(first, last, options) {
  return dateFormat(options).formatRange(new Date(`${first}T00:00:00Z`), new Date(`${last}T00:00:00Z`));
}

/** The local hour that begins then: `14:00` or `2 PM`. @param {number} hour */
export function hourName(hour) {
  return dateFormat({ hour: "numeric", minute: "2-digit" }).format(new Date(hour * 3_600_000));
}

/** @typedef {Record<string, unknown>} Attributes */

/** An element: its tag and classes (`p.legend`), attributes (an object), listeners in it (`onclick`), and children.
 * A string is a text, never markup; null is nothing.
 * @param {string} kind @param {(Attributes | Node | string | null | (Node | string | null)[])[]} parts
 * @returns {HTMLElement} */
export function el(kind, ...parts) {
  const [tag = "", ...classes] = kind.split(".");
  const made = document.createElement(tag);
  if (classes.length > 0) made.className = classes.join(" ");
  for (const part of parts.flat()) {
    if (typeof part === "string" || part instanceof Node) made.append(part);
    else for (const [name, value] of Object.entries(part ?? {})) setOn(made, name, value);
  }
  return made;
}

/** @param {HTMLElement} made @param {string} name @param {unknown} value */
function setOn(made, name, value) {
  if (typeof value === "function") made.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
  else if (value === true) made.setAttribute(name, "");
  else if (value !== null && value !== false) made.setAttribute(name, String(value));
}

/** Calls `draw` with the element's width, whenever that changes and while it is shown. @param {HTMLElement} element
 * @param {(width: number) => void} draw */
export function whenSized(element, draw) {
  let width = 0;
  const watch = new ResizeObserver(() => {
    if (!element.isConnected) watch.disconnect();
    else if (element.clientWidth !== width && element.clientWidth > 0) {
      width = element.clientWidth;
      draw(width);
    }
  });
  watch.observe(element);
}

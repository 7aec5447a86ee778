// The figures behind a chart: one table for the page and for the CSV file.

import { element, exact, number, UNITS } from "./words.js";

/** A value in units, null where it is missing, undefined where there is nothing yet; a count; or a text.
 * @typedef {{units: number | null | undefined} | {count: number} | string} Cell */
/** `link` is the address that a row's name leads to. `key` is the row's name in the CSV file.
 * @typedef {{key: string, title: string, link: string | null, cells: Cell[]}} Row */
/** `columns` begins with the one of the rows' names; `name` is a column's name in the CSV file.
 * @typedef {{file: string, caption: string, columns: {title: string, name: string}[], rows: Row[],
 *   total: Cell[] | null}} Figures */

let isOpen = false;

/** The table, folded away, and the button of the CSV file. @param {Figures} figures @returns {HTMLElement} */
export function figuresOf(figures) {
  const details = /** @type {HTMLDetailsElement} */ (element("details", { class: "figures", open: isOpen }));
  details.append(element("summary", {}, "Table of the figures"));
  const fill = () => {
    isOpen = details.open;
    if (isOpen && details.childElementCount === 1) details.append(table(figures));
  };
  details.addEventListener("toggle", fill);
  fill();
  const save = () => download(`${figures.file}.csv`, csvOf(figures));
  return element("div", { class: "behind" }, details, element("button", { type: "button", class: "csv", onclick: save }, "CSV"));
}

/** @param {Figures} figures */
function table(figures) {
  const head = figures.columns.map(({ title }) => element("th", { scope: "col" }, title));
  const rows = figures.rows.map(({ title, link, cells }) => {
    const name = link === null ? title : element("a", { href: link }, title);
    return element("tr", {}, element("th", { scope: "row" }, name), ...cells.map(tableCell));
  });
  const foot = figures.total && element("tr", {}, element("th", { scope: "row" }, "Total"), ...figures.total.map(tableCell));
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": figures.caption },
    element(
      "table",
      {},
      element("caption", {}, figures.caption),
      element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...rows),
      foot && element("tfoot", {}, foot),
    ),
  );
}

/** @param {Cell} cell */
function tableCell(cell) {
  if (typeof cell === "string") return element("td", { class: "text" }, cell);
  if ("count" in cell) return element("td", {}, element("data", { value: cell.count }, number(cell.count, 0)));
  if (cell.units === undefined) return element("td");
  if (cell.units === null) return element("td", { class: "missing" }, "missing");
  return element("td", {}, element("data", { value: exact(cell.units) }, number(cell.units / UNITS, 3)));
}

/** Comma-separated, points as decimal marks, exact; a missing value is an empty field. @param {Figures} figures */
export function csvOf(figures) {
  const lines = [figures.columns.map(({ name }) => name)];
  for (const { key, cells } of figures.rows) lines.push([csvText(key), ...cells.map(csvCell)]);
  return lines.map((line) => `${line.join(",")}\n`).join("");
}

/** @param {Cell} cell */
function csvCell(cell) {
  if (typeof cell === "string") return csvText(cell);
  if ("count" in cell) return String(cell.count);
  return cell.units === null || cell.units === undefined ? "" : exact(cell.units);
}

/** A spreadsheet must not take a text for a formula. @param {string} text */
function csvText(text) {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {string} name @param {string} text */
function download(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = element("a", { href: address, download: name.replaceAll(/[^\w.+-]+/g, "_") });
  document.body.append(link);
  link.click();
  link.remove();
  URL.revokeObjectURL(address);
}

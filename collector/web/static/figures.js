// The figures behind a chart: one table for the page and for the CSV file.

import { el, exact, number, UNITS } from "./words.js";

/** Energy in units, null where it is missing, undefined where there is none yet; a number of hours; or a text.
 * @typedef {{units: number | null | undefined} | {hours: number} | string} Cell */
/** `key` is the row's name in the CSV file; `link` the address that its name on the page leads to.
 * @typedef {{key: string, title: string, link: string | null, cells: Cell[]}} Row */
/** Each column has a title, and a name in the CSV file; the first one is that of the rows' names.
 * @typedef {{file: string, caption: string, columns: [title: string, name: string][], rows: Row[], total?: Cell[]}}
 *   Figures */

let isOpen = false;

/** The table, folded away, and the button of the CSV file. @param {Figures} figures */
export function figuresOf(figures) {
  const details = /** @type {HTMLDetailsElement} */ (
    el("details.figures", { open: isOpen }, el("summary", "Table of the figures"))
  );
  const fill = () => {
    isOpen = details.open;
    if (isOpen && details.childElementCount === 1) details.append(table(figures));
  };
  details.addEventListener("toggle", fill);
  fill();
  const save = () => download(`${figures.file}.csv`, csvOf(figures));
  return el("div.behind", details, el("button.csv", { type: "button", onclick: save }, "CSV"));
}

/** @param {Figures} figures */
function table({ caption, columns, rows, total }) {
  const head = columns.map(([title]) => el("th", { scope: "col" }, title));
  const body = rows.map(({ title, link, cells }) => {
    const name = link === null ? title : el("a", { href: link }, title);
    return el("tr", el("th", { scope: "row" }, name), cells.map(tableCell));
  });
  const foot = total ? el("tfoot", el("tr", el("th", { scope: "row" }, "Total"), total.map(tableCell))) : null;
  const parts = [el("caption", caption), el("thead", el("tr", head)), el("tbody", body), foot];
  return el("div.scroll", { tabindex: 0, role: "region", "aria-label": caption }, el("table", parts));
}

/** @param {Cell} cell */
function tableCell(cell) {
  if (typeof cell === "string") return el("td.text", cell);
  if ("hours" in cell) return el("td", el("data", { value: cell.hours }, number(cell.hours, 0)));
  if (cell.units === undefined) return el("td");
  if (cell.units === null) return el("td.missing", "missing");
  return el("td", el("data", { value: exact(cell.units) }, number(cell.units / UNITS, 3)));
}

/** Comma-separated, points as decimal marks, exact; a missing value is an empty field. @param {Figures} figures */
function csvOf({ columns, rows }) {
  const lines = [
    columns.map(([, name]) => name),
    ...rows.map(({ key, cells }) => [csvText(key), ...cells.map(csvCell)]),
  ];
  return lines.map((line) => `${line.join(",")}\n`).join("");
}

/** @param {Cell} cell */
function csvCell(cell) {
  if (typeof cell === "string") return csvText(cell);
  if ("hours" in cell) return String(cell.hours);
  return cell.units === null || cell.units === undefined ? "" : exact(cell.units);
}

/** A spreadsheet must not take a text for a formula. @param {string} text */
function csvText(text) {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** @param {string} name @param {string} text */
function download(name, text) {
  const href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  el("a", { href, download: name.replaceAll(/[^\w.+-]+/g, "_") }).click();
  setTimeout(() => URL.revokeObjectURL(href), 10_000);
}

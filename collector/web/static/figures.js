// The figures behind a chart: a table, and the collector's CSV file of the same.

import { el, exact, number, UNITS } from "./words.js";

/** Energy in units, null where it is missing, undefined where there is none yet; a number of hours; or a text.
 * @typedef {{units: number | null | undefined} | {hours: number} | string} Cell */
/** `link` is where the row's name leads to. @typedef {{title: string, link: string | null, cells: Cell[]}} Row */
/** The first column is that of the rows' names. `csv` is the address of the CSV file, null in a report, which has no
 * collector; `file` is its name.
 * @typedef {{csv: string | null, file: string, caption: string, columns: string[], rows: Row[], total?: Cell[]}}
 *   Figures */

let isOpen = false;

/** The table, folded away, and the link to the CSV file. @param {Figures} figures */
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
  const download = `${figures.file.replaceAll(/[^\w.+-]+/g, "_")}.csv`;
  return el("div.behind", details, figures.csv && el("a.csv", { href: figures.csv, download }, "CSV"));
}

/** @param {Figures} figures */
function table({ caption, columns, rows, total }) {
  const head = columns.map((title) => el("th", { scope: "col" }, title));
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

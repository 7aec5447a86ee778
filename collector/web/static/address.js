// The view, as the address bar has it: every view can be kept, sent and gone back to.

import { RANGES, isDay } from "./calendar.js";

/** @typedef {"overview" | "energy" | "hours" | "heat" | "calendar"} Show */
/** `day` is null for today, also tomorrow.
 * @typedef {{show: Show, range: import("./calendar.js").Range, day: string | null, meters: string[],
 *   compare: boolean, quantity: import("./energy.js").Quantity, wall: boolean}} View */

/** @type {Show[]} */
const SHOWS = ["overview", "energy", "hours", "heat", "calendar"];
/** Those of a heat map; a meter without solar has the last two. @type {import("./energy.js").Quantity[]} */
export const HEAT_QUANTITIES = ["consumption", "solar", "imported", "exported"];

/** The view of an address; what it does not know there is left at its default. @param {string} hash @returns {View} */
export function viewOf(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const day = parts.get("day");
  return {
    show: SHOWS.find((show) => show === parts.get("show")) ?? "overview",
    range: RANGES.find((range) => range === parts.get("range")) ?? "day",
    day: day !== null && isDay(day) ? day : null,
    meters: [...new Set(parts.getAll("meter"))],
    compare: parts.has("compare"),
    quantity: HEAT_QUANTITIES.find((each) => each === parts.get("quantity")) ?? "consumption",
    wall: parts.has("wall"),
  };
}

/** @param {View} view */
export function addressOf(view) {
  const parts = new URLSearchParams({ show: view.show });
  if (view.show !== "overview" && view.show !== "calendar") {
    if (view.show !== "heat") parts.set("range", view.range);
    if (view.day !== null) parts.set("day", view.day);
  }
  for (const meter of view.meters) parts.append("meter", meter);
  if (view.compare && view.show === "energy") parts.set("compare", "year");
  if (view.show === "heat") parts.set("quantity", view.quantity);
  if (view.wall) parts.set("wall", "on");
  return `#${parts}`;
}

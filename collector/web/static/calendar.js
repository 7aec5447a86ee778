// Days and ranges of days, in the meter's own calendar. A day is its key, "2026-11-29"; no time zone is needed.

import { date, dateRange, hourName } from "./words.js";

/** @typedef {"day" | "week" | "month" | "year" | "all"} Range */
/** @typedef {{first: string, end: string}} Period  half-open: `end` is the day after the last */
/** `day` is null for today, also tomorrow. @typedef {{range: Range, day: string | null}} Place */
/** @typedef {import("./energy.js").Day} Day */
/** @typedef {import("./energy.js").Hour} Hour */
/** A bar's share of the period: `short` below the bar, `title` in full, `key` its date, `into` where a click leads.
 * @typedef {{key: string, short: string, title: string, days: Day[], hours: Hour[], into: Place | null}} Bin */

/** @type {Range[]} */
export const RANGES = ["day", "week", "month", "year", "all"];
const DAY_MS = 86_400_000;

/** @param {string} day */
const parsed = (day) => new Date(`${day}T00:00:00Z`);
/** @param {Date} moment */
const keyOf = (moment) => moment.toISOString().slice(0, 10);

/** Whether the text is a date that exists. @param {string} text */
export function isDay(text) {
  return /^[12]\d{3}-\d\d-\d\d$/.test(text) && !Number.isNaN(parsed(text).getTime()) && keyOf(parsed(text)) === text;
}

/** @param {string} day @param {number} count */
export function addDays(day, count) {
  return keyOf(new Date(parsed(day).getTime() + count * DAY_MS));
}

/** The same day some months later, or that month's last one. @param {string} day @param {number} count */
export function addMonths(day, count) {
  const from = parsed(day);
  const month = from.getUTCMonth() + count;
  const last = new Date(Date.UTC(from.getUTCFullYear(), month + 1, 0)).getUTCDate();
  return keyOf(new Date(Date.UTC(from.getUTCFullYear(), month, Math.min(from.getUTCDate(), last))));
}

/** 0 for Monday to 6 for Sunday. @param {string} day */
export function weekday(day) {
  return (parsed(day).getUTCDay() + 6) % 7;
}

/** The range that contains the day. @param {Range} range @param {string} day @param {Period} whole all there is
 * @returns {Period} */
export function periodOf(range, day, whole) {
  if (range === "all") return { first: `${whole.first.slice(0, 4)}-01-01`, end: whole.end };
  if (range === "day") return { first: day, end: addDays(day, 1) };
  if (range === "week") {
    const monday = addDays(day, -weekday(day));
    return { first: monday, end: addDays(monday, 7) };
  }
  const first = range === "year" ? `${day.slice(0, 4)}-01-01` : `${day.slice(0, 7)}-01`;
  return { first, end: addMonths(first, range === "year" ? 12 : 1) };
}

/** The day as many ranges later. @param {Range} range @param {string} day @param {number} steps */
export function moved(range, day, steps) {
  if (range === "day" || range === "week") return addDays(day, range === "week" ? 7 * steps : steps);
  return range === "all" ? day : addMonths(day, range === "year" ? 12 * steps : steps);
}

/** The same period a year before; weeks begin on a Monday there, too. @param {Range} range @param {Period} period
 * @returns {Period} */
export function yearBefore(range, period) {
  if (range === "week") return { first: addDays(period.first, -364), end: addDays(period.end, -364) };
  const first = addMonths(period.first, -12);
  return range === "day" ? { first, end: addDays(first, 1) } : { first, end: addMonths(period.end, -12) };
}

/** The period in words. @param {Range} range @param {Period} period */
export function periodTitle(range, period) {
  const last = addDays(period.end, -1);
  if (range === "day") return date(period.first, { weekday: "short", day: "numeric", month: "long", year: "numeric" });
  if (range === "week") return dateRange(period.first, last, { dateStyle: "medium" });
  if (range === "month") return date(period.first, { month: "long", year: "numeric" });
  const [from, to] = [period.first.slice(0, 4), last.slice(0, 4)];
  return range === "year" || from === to ? from : `${from}–${to}`;
}

/** The years that a period touches. @param {Period} period @returns {number[]} */
export function yearsOf(period) {
  const [first, last] = [Number(period.first.slice(0, 4)), Number(addDays(period.end, -1).slice(0, 4))];
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** @param {Day[]} days @param {Period} period */
export function daysIn(days, period) {
  return days.filter((each) => period.first <= each.day && each.day < period.end);
}

/** The bars of a period: hours of a day, days of a week or month (or of a few days), months of a year, years of all.
 * Parts that are not known, such as tomorrow, are there and empty.
 * @param {Range} range @param {Period} period @param {Day[]} days @returns {Bin[]} */
export function binsOf(range, period, days) {
  const known = daysIn(days, period);
  if (range === "day") return known.flatMap((day) => hoursOf(day));
  /** @type {Bin[]} */
  const bins = [];
  const next = { week: 0, month: 0, year: 1, all: 12 }[range];
  for (let first = period.first; first < period.end; ) {
    const end = next === 0 ? addDays(first, 1) : addMonths(first, next);
    const own = daysIn(known, { first, end });
    bins.push({ ...named(range, first), days: own, hours: own.flatMap((day) => day.hours) });
    first = end;
  }
  return bins;
}

/** The bars of a period, each with that of the year before beside it: the same local hour (and which of two), weekday,
 * day or month. What only the year before has, such as 29 February, is a bar of its own without hours.
 * @param {Range} range @param {Bin[]} bins @param {Bin[]} before @returns {{bin: Bin, beside: Bin | undefined}[]} */
export function paired(range, bins, before) {
  const from = { day: 11, week: 0, month: 8, year: 5, all: 0 }[range];
  /** @param {Bin} bin */
  const placeOf = ({ key }) => (range === "week" ? String(weekday(key)) : key.slice(from));
  const now = new Map(bins.map((bin) => [placeOf(bin), bin]));
  const then = new Map(before.map((bin) => [placeOf(bin), bin]));
  const places = [...now.keys(), ...[...then].filter(([, { hours }]) => hours.length > 0).map(([place]) => place)];
  return [...new Set(places)].sort().map((place) => {
    const beside = then.get(place);
    const empty = beside && { ...beside, days: [], hours: [] };
    return { bin: /** @type {Bin} */ (now.get(place) ?? empty), beside };
  });
}

/** @param {Range} range @param {string} first */
function named(range, first) {
  if (range === "all") {
    const year = first.slice(0, 4);
    return { key: year, short: year, title: year, into: /** @type {Place} */ ({ range: "year", day: first }) };
  }
  if (range === "year") {
    const title = date(first, { month: "long", year: "numeric" });
    const into = /** @type {Place} */ ({ range: "month", day: first });
    return { key: first.slice(0, 7), short: date(first, { month: "short" }), title, into };
  }
  const short = range === "week" ? date(first, { weekday: "short", day: "numeric" }) : String(Number(first.slice(8)));
  const title = date(first, { weekday: "short", day: "numeric", month: "short", year: "numeric" });
  return { key: first, short, title, into: /** @type {Place} */ ({ range: "day", day: first }) };
}

/** @param {Day} day @returns {Bin[]} */
function hoursOf(day) {
  return day.hours.map((hour, index) => {
    const repeated = index > 0 && day.hours[index - 1]?.label === hour.label;
    const title = hourName(hour.label) + (repeated ? " (second time)" : "");
    const key = `${day.day}T${String(hour.label).padStart(2, "0")}:00${repeated ? " second" : ""}`;
    return { key, short: String(hour.label), title, days: [day], hours: [hour], into: null };
  });
}

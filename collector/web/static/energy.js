// Sums of hours and what follows from them. Energy in whole units of 0.000001 kWh; `null` is missing, never zero.

import { UNITS } from "./words.js";

/** One hour. `used` is the solar energy used here, `consumption` = `imported` + `used`, as the day files have it.
 * `over`: whether it has ended. `label` is the local hour.
 * @typedef {{label: number, over: boolean, imported: number | null, exported: number | null,
 *   solar: number | null, used: number | null, consumption: number | null}} Hour */
/** @typedef {{day: string, state: string, reason: string, hours: Hour[]}} Day */
/** Sums; each over the hours that have it. `whole`: hours that have all of it; `expected`: hours that have ended.
 * @typedef {{imported: number | null, exported: number | null, solar: number | null, used: number | null,
 *   consumption: number | null, whole: number, stored: number, expected: number}} Totals */
/** @typedef {"consumption" | "imported" | "exported" | "solar" | "used"} Quantity */
/** An answer of /api/v1/meters/NAME/hours.
 * @typedef {{timezone: string, import_kwh: (number | null)[], export_kwh: (number | null)[],
 *   solar_kwh: (number | null)[] | null, days: {day: string, hours: number, state: string, reason: string,
 *   labels?: number[], finished?: number}[]}} YearAnswer */

/** @type {Quantity[]} */
const QUANTITIES = ["consumption", "imported", "exported", "solar", "used"];

/** @param {number | null | undefined} kwh */
const units = (kwh) => (kwh === null || kwh === undefined ? null : Math.round(kwh * UNITS));
/** @param {number | null} one @param {number | null} other */
const plus = (one, other) => (one === null || other === null ? null : one + other);

/** The days of one meter's year. @param {YearAnswer} answer @returns {Day[]} */
export function daysOf(answer) {
  let at = 0;
  return answer.days.map(({ day, state, reason, labels, finished, ...entry }) => {
    const hours = Array.from({ length: entry.hours }, (_, index) => {
      const imported = units(answer.import_kwh[at]);
      const exported = units(answer.export_kwh[at]);
      const solar = answer.solar_kwh ? units(answer.solar_kwh[at]) : 0;
      at += 1;
      const used = exported === null || solar === null ? null : Math.max(0, solar - exported);
      const over = index < (finished ?? entry.hours);
      const label = labels?.[index] ?? index;
      return { label, over, imported, exported, solar, used, consumption: plus(imported, used) };
    });
    return { day, state, reason, hours };
  });
}

/** The days of several meters, hour by hour added up; where one has no value, the sum has none. All in one time zone.
 * @param {Day[][]} meters each with its days in order @returns {Day[]} */
export function added(meters) {
  if (meters.length === 1) return meters[0] ?? [];
  /** @type {Map<string, Day>} */
  const sums = new Map();
  for (const day of meters.flat()) {
    const before = sums.get(day.day);
    sums.set(day.day, before ? addedDay(before, day) : day);
  }
  return [...sums.values()].sort((one, other) => (one.day < other.day ? -1 : 1));
}

/** @param {Day} one @param {Day} other @returns {Day} */
function addedDay(one, other) {
  const hours = one.hours.map((hour, index) => {
    const sum = { ...hour };
    for (const quantity of QUANTITIES) sum[quantity] = plus(hour[quantity], other.hours[index]?.[quantity] ?? null);
    return sum;
  });
  const worse = one.state === "complete" ? other : one;
  return { day: one.day, state: worse.state, reason: worse.reason, hours };
}

/** @param {Hour[]} hours @returns {Totals} */
export function totalsOf(hours) {
  /** @type {Totals} */
  const totals = {
    consumption: null,
    imported: null,
    exported: null,
    solar: null,
    used: null,
    whole: 0,
    stored: 0,
    expected: 0,
  };
  for (const hour of hours) {
    for (const quantity of QUANTITIES) {
      const value = hour[quantity];
      if (value !== null) totals[quantity] = (totals[quantity] ?? 0) + value;
    }
    if (hour.consumption !== null) totals.whole += 1;
    if (hour.imported !== null) totals.stored += 1;
    if (hour.over || hour.imported !== null) totals.expected += 1;
  }
  return totals;
}

/** Solar energy used here / solar energy: `null` without any. @param {Totals} totals */
export function selfConsumption(totals) {
  return totals.solar ? (totals.used ?? 0) / totals.solar : null;
}

/** Solar energy used here / consumption: `null` without any. @param {Totals} totals */
export function selfSufficiency(totals) {
  return totals.consumption ? (totals.used ?? 0) / totals.consumption : null;
}

/** What is on all the time: the lowest hour of each whole day, of these the median; `null` without a whole day.
 * @param {Day[]} days @returns {number | null} */
export function baseLoad(days) {
  const lowest = days
    .map((day) => day.hours.map((hour) => hour.consumption))
    .filter((hours) => !hours.includes(null))
    .map((hours) => Math.min(.../** @type {number[]} */ (hours)))
    .sort((one, other) => one - other);
  return lowest[Math.floor((lowest.length - 1) / 2)] ?? null;
}

/** The hour with the highest consumption. @param {Day[]} days
 * @returns {{day: string, label: number, consumption: number} | null} */
export function peak(days) {
  /** @type {{day: string, label: number, consumption: number} | null} */
  let found = null;
  for (const { day, hours } of days) {
    for (const { label, consumption } of hours) {
      if (consumption !== null && consumption > (found?.consumption ?? 0)) found = { day, label, consumption };
    }
  }
  return found;
}

/** The mean of each of the 24 local hours, over the whole hours of these days; `whole` is how many there were.
 * @param {Day[]} days @returns {Totals[]} */
export function averageDay(days) {
  const hours = days.flatMap((day) => day.hours).filter((hour) => hour.consumption !== null);
  return Array.from({ length: 24 }, (_, label) => {
    const totals = totalsOf(hours.filter((hour) => hour.label === label));
    for (const quantity of QUANTITIES) {
      const sum = totals[quantity];
      if (sum !== null) totals[quantity] = Math.round(sum / totals.whole);
    }
    return totals;
  });
}

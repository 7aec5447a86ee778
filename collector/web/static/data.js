// Where the figures come from: the collector's own answers, or, in a report, the file itself.

import { added, daysOf } from "./energy.js";

/** @typedef {import("./energy.js").Day} Day */
/** @typedef {import("./energy.js").YearAnswer} YearAnswer */
/** @typedef {{name: string, account: string, kind: string, solar: boolean, timezone: string,
 *   first_day: string | null, last_day: string | null, years: number[]}} Meter */
/** What the page needs of /api/v1/status.
 * @typedef {{meters: {name: string, health: string, reason: string | null, age_s: number | null}[]}} Status */
/** @typedef {{meters: {meters: Meter[]}, hours: Record<string, Record<string, YearAnswer>>,
 *   written: number}} Report */

/** The data of a report; `null` on the collector's page. @type {Report | null} */
export const report = embedded();

function embedded() {
  const text = document.getElementById("data")?.textContent;
  return text ? JSON.parse(text) : null;
}

/** Throws an `Error` whose message says what the collector answered. @param {string} address */
async function answerOf(address) {
  let response;
  try {
    response = await fetch(address, { cache: "no-cache" });
  } catch {
    throw new Error("The collector does not answer. Is the service running, and this device in its network?");
  }
  if (response.ok) return response.json();
  const said = await response.json().catch(() => ({}));
  throw new Error(said.error ?? `The collector answered with an error (${response.status}).`);
}

/** @returns {Promise<Meter[]>} */
export async function meters() {
  return (report?.meters ?? (await answerOf("api/v1/meters"))).meters;
}

/** @returns {Promise<Status>} */
export const status = () => answerOf("api/v1/status");

/** Days by meter and year, as they were last read. @type {Map<string, Promise<Day[]>>} */
const years = new Map();

/** @param {Meter} meter @param {number} year @returns {Promise<Day[]>} */
function daysOfYear(meter, year) {
  const key = `${year} ${meter.name}`;
  let days = years.get(key);
  if (!days) {
    const inside = report?.hours[meter.name]?.[year];
    const address = `api/v1/meters/${encodeURIComponent(meter.name)}/hours?year=${year}`;
    days = inside ? Promise.resolve(daysOf(inside)) : answerOf(address).then(daysOf);
    days.catch(() => years.delete(key));
    years.set(key, days);
  }
  return days;
}

/** The days of these years, of one meter, or of the sum of several, each from its first stored day on.
 * @param {Meter[]} chosen @param {number[]} wanted @returns {Promise<Day[]>} */
export async function daysOfYears(chosen, wanted) {
  const all = chosen.map(async (meter) => {
    const known = wanted.filter((year) => meter.years.includes(year) && (!report || report.hours[meter.name]?.[year]));
    const days = (await Promise.all(known.map((year) => daysOfYear(meter, year)))).flat();
    return chosen.length === 1 ? days : days.filter(({ day }) => meter.first_day !== null && day >= meter.first_day);
  });
  return added(await Promise.all(all));
}

/** The address of the CSV file of a view's figures; null in a report.
 * @param {string} view @param {Meter[]} chosen @param {Record<string, string>} parts */
export function csvAddress(view, chosen, parts) {
  const all = [...chosen.map(({ name }) => ["meter", name]), ...Object.entries(parts)];
  return report ? null : `api/v1/csv/${view}?${new URLSearchParams(all)}`;
}

/** Forgets the years of each meter that still change: the newest, which grows by the hour, and until its last days are
 * complete, the one before. @param {Meter[]} all @param {string} recent a day some weeks ago, or an empty string */
export function forgetNewest(all, recent) {
  for (const meter of all) {
    for (const year of [Math.max(...meter.years), recent.slice(0, 4)]) years.delete(`${year} ${meter.name}`);
  }
}

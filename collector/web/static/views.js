// The views: what stands in the middle of the page. Each takes what it shows and returns elements.

import { addDays, binsOf, daysIn, periodTitle, weekday } from "./calendar.js";
import { barChart, extremes, heatMap, shade } from "./charts.js";
import { averageDay, baseLoad, peak, selfConsumption, selfSufficiency, totalsOf } from "./energy.js";
import { figuresOf } from "./figures.js";
import { counted, date, element, energy, hourName, number, percent } from "./words.js";

/** @typedef {import("./calendar.js").Bin} Bin */
/** @typedef {import("./calendar.js").Period} Period */
/** @typedef {import("./calendar.js").Place} Place */
/** @typedef {import("./calendar.js").Range} Range */
/** @typedef {import("./energy.js").Day} Day */
/** @typedef {import("./energy.js").Quantity} Quantity */
/** @typedef {import("./energy.js").Totals} Totals */
/** What every view needs: the meters' days, whether they have solar, the address of a place, a name for files.
 * @typedef {{days: Day[], solar: boolean, addressOf: (place: Place) => string, file: string}} Scene */
/** The same a year before, for a comparison. @typedef {{title: string, bins: Bin[], totals: Totals}} Before */

/** @type {Record<Quantity, string>} */
export const TITLES = {
  consumption: "Consumption",
  used: "Solar used here",
  imported: "From the grid",
  exported: "To the grid",
  solar: "Solar",
};
/** @type {Record<Quantity, string>} */
const COLUMNS = {
  consumption: "consumption_kwh",
  used: "solar_used_kwh",
  imported: "import_kwh",
  exported: "export_kwh",
  solar: "solar_kwh",
};
/** @type {Quantity[]} */
const ALL = ["consumption", "used", "imported", "exported", "solar"];
/** @type {Quantity[]} */
const GRID_ONLY = ["imported", "exported"];

/** @param {Scene} scene */
const quantities = (scene) => (scene.solar ? ALL : GRID_ONLY);

/** Bars of a period with its totals and figures. @param {Scene} scene @param {Range} range @param {Period} period
 * @param {Before | null} before */
export function energyView(scene, range, period, before) {
  const days = daysIn(scene.days, period);
  if (days.length === 0) return [nothing()];
  const bins = binsOf(range, period, scene.days);
  const totals = totalsOf(days.flatMap((day) => day.hours));
  const chart = bars(scene, bins, before, `${TITLES.consumption}, ${periodTitle(range, period)}`, 320);
  const figures = binFigures(scene, bins, totals, before);
  return [card(summary(scene, totals, days, before), chart), figuresOf({ ...figures, file: `${scene.file}-${range}-${period.first}` })];
}

/** Today, the last 14 days, this month and this year. @param {Scene} scene @param {string} today */
export function overview(scene, today) {
  const ends = addDays(today, 1);
  const recent = { first: addDays(today, -13), end: ends };
  /** @param {string} title @param {Range} range @param {Range} by @param {Period} period @param {number} height */
  const part = (title, range, by, period, height) => {
    const days = daysIn(scene.days, period);
    const totals = totalsOf(days.flatMap((day) => day.hours));
    const link = element("a", { href: scene.addressOf({ range, day: today }) }, title);
    const parts = height ? [bars(scene, binsOf(by, period, scene.days), null, title, height)] : [];
    return card(element("h2", {}, link), summary(scene, totals, height ? [] : days, null), ...parts);
  };
  return [
    part("Today", "day", "day", { first: today, end: ends }, 170),
    part("Last 14 days", "month", "month", recent, 170),
    part(date(today, { month: "long", year: "numeric" }), "month", "month", { first: `${today.slice(0, 7)}-01`, end: ends }, 0),
    part(today.slice(0, 4), "year", "year", { first: `${today.slice(0, 4)}-01-01`, end: ends }, 0),
  ];
}

/** The average day of a period, weekdays and weekends apart. @param {Scene} scene @param {Range} range
 * @param {Period} period */
export function averageView(scene, range, period) {
  const days = daysIn(scene.days, period);
  if (days.length === 0) return [nothing()];
  const groups = [
    { title: "Weekdays", name: "weekday", days: days.filter((each) => weekday(each.day) < 5) },
    { title: "Weekends", name: "weekend", days: days.filter((each) => weekday(each.day) >= 5) },
  ].map((group) => ({ ...group, hours: averageDay(group.days) }));
  const scale = extremes(groups.flatMap((group) => group.hours));
  const charts = groups
    .filter((group) => group.days.length > 0)
    .map(({ title, days: own, hours }) => {
      const bins = hours.map((totals, hour) => ({ short: String(hour), title: hourName(hour), totals }));
      const label = `Average day, ${title.toLowerCase()}, ${periodTitle(range, period)}`;
      return card(element("h2", {}, title, element("small", {}, ` ${counted(own.length, "day")}`)), barsOf(scene, bins, null, label, 260, scale, null));
    });
  const columns = groups.flatMap(({ title, name }) =>
    quantities(scene).map((each) => ({ title: `${title}: ${TITLES[each]}`, name: `${name}_${COLUMNS[each]}` })),
  );
  const rows = Array.from({ length: 24 }, (_, hour) => ({
    key: String(hour),
    title: hourName(hour),
    link: null,
    cells: groups.flatMap((group) => quantities(scene).map((each) => ({ units: group.hours[hour]?.[each] ?? null }))),
  }));
  const caption = "Mean of each hour of the day, kWh; only hours with all figures";
  const figures = { caption, columns: [{ title: "Hour", name: "hour" }, ...columns], rows, total: null };
  return [element("div", { class: "pair" }, ...charts), figuresOf({ ...figures, file: `${scene.file}-average-day-${range}-${period.first}` })];
}

/** Day by hour of a year. @param {Scene} scene @param {Period} period @param {Quantity} quantity
 * @param {(day: string) => void} open */
export function heatView(scene, period, quantity, open) {
  const days = daysIn(scene.days, period);
  const first = days[0];
  if (!first) return [nothing()];
  /** @param {import("./energy.js").Hour} hour */
  const valueOf = (hour) => hour[quantity] ?? (hour.over ? null : undefined);
  const columns = days.map((day) => day.hours.map((hour) => ({ label: hour.label, value: valueOf(hour) })));
  const top = columns.flat().reduce((most, { value }) => Math.max(most, value ?? 0), 0);
  const shown = element("p", { class: "reading", "aria-hidden": "true" }, " ");
  const name = { consumption: "consumption", imported: "grid", exported: "export", solar: "solar", used: "solar" }[quantity];
  const map = heatMap({
    label: `${TITLES[quantity]} of each hour, ${periodTitle("year", period)}`,
    columns,
    top,
    colour: name,
    months: days.flatMap(({ day }, index) => (day.endsWith("-01") ? [{ index, name: date(day, { month: "short" }) }] : [])),
    open: (column) => open(days[column]?.day ?? first.day),
    point: (at) => {
      const day = at && days[at.column];
      const hours = day?.hours.filter((hour) => hour.label === at?.hour) ?? [];
      const said = hours.map((hour) => (valueOf(hour) === null ? "missing" : energy(hour[quantity])));
      shown.textContent = day && hours.length ? `${date(day.day, { dateStyle: "medium" })}, ${hourName(at.hour)}: ${said.join(" and ")}` : " ";
    },
  });
  const steps = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const sample = element("i", { class: `swatch ${name}` });
    sample.style.opacity = String(shade(part * top, top));
    return element("span", {}, sample, energy(Math.round(part * top)));
  });
  const legend = element("p", { class: "legend" }, ...steps, element("span", {}, element("i", { class: "swatch missing" }), "missing"));
  const labels = Array.from({ length: 24 }, (_, hour) => ({ title: String(hour), name: `hour_${hour}` }));
  const rows = days.map((day) => ({
    key: day.day,
    title: date(day.day, { day: "numeric", month: "short" }),
    link: scene.addressOf({ range: "day", day: day.day }),
    cells: labels.map((_, label) => {
      const own = day.hours.filter((hour) => hour.label === label);
      if (own.length === 0) return "";
      if (own.some((hour) => valueOf(hour) === undefined)) return { units: undefined };
      return { units: own.reduce((/** @type {number | null} */ sum, hour) => (sum === null || hour[quantity] === null ? null : sum + hour[quantity]), 0) };
    }),
  }));
  const caption = `${TITLES[quantity]} of each hour, kWh; an hour that the clock repeats is counted with the first one`;
  const figures = { caption, columns: [{ title: "Day", name: "day" }, ...labels], rows, total: null };
  return [card(legend, map, shown), figuresOf({ ...figures, file: `${scene.file}-${quantity}-${period.first.slice(0, 4)}` })];
}

const STATES = { complete: "complete", today: "today", partial: "hours missing", empty: "no data in the cloud so far", missing: "not requested yet", given_up: "given up", lost: "lost" };

/** The calendar of the years: which days are stored whole. @param {Scene} scene @param {(day: string) => void} open */
export function calendarView(scene, open) {
  const years = [...new Set(scene.days.map(({ day }) => day.slice(0, 4)))].sort().reverse();
  const legend = Object.entries(STATES).map(([state, words]) => element("span", {}, element("i", { class: `swatch day ${state}` }), words));
  const parts = years.map((year) => yearCalendar(year, scene.days.filter(({ day }) => day.startsWith(year)), open));
  const open_days = scene.days.filter(({ state }) => state !== "complete" && state !== "today").reverse();
  const rows = open_days.map(({ day, state, reason, hours }) => ({
    key: day,
    title: date(day, { dateStyle: "medium" }),
    link: scene.addressOf({ range: "day", day }),
    cells: [wordsOf(state), { count: totalsOf(hours).whole }, { count: hours.length }, reason],
  }));
  const columns = [["Day", "day"], ["State", "state"], ["Hours stored", "hours_stored"], ["Hours of the day", "hours"], ["Why", "reason"]];
  const figures = { caption: "Days that are not complete", columns: columns.map(([title = "", name = ""]) => ({ title, name })), rows, total: null };
  return [element("p", { class: "legend" }, ...legend), ...parts, figuresOf({ ...figures, file: `${scene.file}-incomplete-days` })];
}

/** @param {string} state */
const wordsOf = (state) => STATES[/** @type {keyof typeof STATES} */ (state)] ?? state;

/** Twelve rows of days. @param {string} year @param {Day[]} days @param {(day: string) => void} open */
function yearCalendar(year, days, open) {
  const whole = days.filter(({ state }) => state === "complete").length;
  const said = `${counted(whole, "complete day")} of ${number(days.length, 0)}`;
  const grid = element("div", { class: "calendar", role: "img", "aria-label": `${year}: ${said}` });
  for (let month = 1; month <= 12; month += 1) {
    const start = `${year}-${String(month).padStart(2, "0")}`;
    const own = days.filter(({ day }) => day.startsWith(start));
    if (own.length === 0) continue;
    const cells = own.map(({ day, state, reason }) => {
      const title = `${date(day, { dateStyle: "full" })}: ${wordsOf(state)}${reason ? `. ${reason}` : ""}`;
      const known = Object.hasOwn(STATES, state) ? state : "missing";
      const cell = element("i", { class: `day ${known}`, title, onclick: () => open(day) });
      cell.style.gridColumn = String(Number(day.slice(8)) + 1);
      return cell;
    });
    grid.append(element("div", {}, element("span", {}, date(`${start}-01`, { month: "short" })), ...cells));
  }
  return card(element("h2", {}, year, element("small", {}, ` ${said}`)), grid);
}

/** Headline figures of a period. `days` for averages, base load and peak; none are shown without.
 * @param {Scene} scene @param {Totals} totals @param {Day[]} days @param {Before | null} before */
function summary(scene, totals, days, before) {
  const { consumption, used, solar, imported, exported, whole, expected } = totals;
  const then = (/** @type {Quantity} */ quantity) => before && element("small", {}, `${before.title}: ${energy(before.totals[quantity])}`);
  const blocks = scene.solar
    ? [
        split("Consumption", consumption, used, "solar", "grid", then("consumption"), "Self-sufficiency", selfSufficiency(totals), "of the consumption is own solar energy", "solar used here / consumption"),
        split("Solar", solar, used, "solar", "export", then("solar"), "Self-consumption", selfConsumption(totals), "of the solar energy is used here", "solar used here / solar"),
      ]
    : [split("From the grid", imported, 0, "solar", "grid", then("imported"), "", null, "", "")];
  /** @type {[string, string][]} */
  const facts = scene.solar ? [["From the grid", energy(imported)], ["To the grid", energy(exported)]] : exported ? [["To the grid", energy(exported)]] : [];
  const complete = days.filter((day) => totalsOf(day.hours).whole === day.hours.length);
  if (complete.length > 1) {
    const mean = totalsOf(complete.flatMap((day) => day.hours)).consumption ?? 0;
    facts.push(["Average per complete day", energy(Math.round(mean / complete.length))]);
  }
  const [base, most] = [baseLoad(days), peak(days)];
  if (base !== null) facts.push(["Base load", `${number(base / 1000, 0)} W`]);
  if (most) facts.push(["Peak hour", `${energy(most.consumption)}, ${days.length > 1 ? `${date(most.day, { day: "numeric", month: "short" })} ` : ""}${hourName(most.label)}`]);
  const list = facts.map(([name, value]) => element("div", { title: MEANINGS[name] ?? null }, element("dt", {}, name), element("dd", {}, value)));
  const partial = whole < expected ? element("p", { class: "partial" }, element("i", { class: "swatch missing" }), `Partial: ${number(whole, 0)} of ${counted(expected, "hour")} are stored, the others are missing.`) : null;
  return element("div", { class: "summary" }, ...blocks, element("dl", {}, ...list), partial);
}

/** @type {Record<string, string>} */
const MEANINGS = {
  "Base load": "What is always on: the lowest hour of each complete day, of these the median",
  "Average per complete day": "Consumption, only days with all hours",
};

/** A total, and how it is divided. @param {string} title @param {number | null} total @param {number | null} part
 * @param {string} colour @param {string} other @param {Node | null} then @param {string} rateTitle
 * @param {number | null} rate @param {string} caption @param {string} formula */
function split(title, total, part, colour, other, then, rateTitle, rate, caption, formula) {
  const share = element("i", { class: colour });
  share.style.width = `${total ? Math.min(100, (100 * (part ?? 0)) / total) : 0}%`;
  const bar = element("div", { class: `split ${total ? other : "missing"}`, "aria-hidden": "true" }, share);
  const said = rateTitle === "" ? null : element("p", { class: "rate", title: `${rateTitle} = ${formula}` }, element("b", {}, percent(rate)), ` ${rateTitle}`, element("small", {}, caption));
  return element("section", { class: "block" }, element("h3", {}, title), element("p", { class: "big" }, energy(total), then), bar, said);
}

/** @param {Scene} scene @param {Bin[]} bins @param {Before | null} before @param {string} label @param {number} height */
function bars(scene, bins, before, label, height) {
  const shown = bins.map((bin) => ({ ...bin, totals: totalsOf(bin.hours) }));
  const then = before && bins.map((_, index) => totalsOf(before.bins[index]?.hours ?? []));
  const scale = extremes([...shown.map(({ totals }) => totals), ...(then ?? [])]);
  const open = (/** @type {number} */ index) => {
    const into = bins[index]?.into;
    if (into) location.hash = scene.addressOf(into);
  };
  return barsOf(scene, shown, then, `${label}: ${bins.length} bars. The figures are in the table below.`, height, scale, bins[0]?.into ? open : null);
}

/** Bars with their legend, which tells the figures of the bar under the pointer.
 * @param {Scene} scene @param {{short: string, title: string, totals: Totals}[]} bins @param {Totals[] | null} before
 * @param {string} label @param {number} height @param {{top: number, bottom: number}} scale
 * @param {((index: number) => void) | null} open */
function barsOf(scene, bins, before, label, height, scale, open) {
  const names = { used: "solar", imported: "grid", exported: "export" };
  const shown = /** @type {("used" | "imported" | "exported")[]} */ (scene.solar ? ["used", "imported", "exported"] : scale.bottom > 0 ? ["imported", "exported"] : ["imported"]);
  const items = shown.map((each) => ({ each, value: element("b", {}) }));
  const title = element("span", { class: "at" }, "kWh");
  const missing = bins.some(({ totals }) => totals.whole < totals.expected);
  const legend = element(
    "p",
    { class: "legend" },
    ...items.map(({ each, value }) => element("span", {}, element("i", { class: `swatch ${names[each]}` }), TITLES[each], value)),
    missing ? element("span", {}, element("i", { class: "swatch missing" }), "missing") : null,
    before ? element("span", { class: "pale" }, "pale: a year before") : null,
    title,
  );
  const point = (/** @type {number | null} */ index) => {
    const bin = index === null ? null : bins[index];
    const part = bin && bin.totals.whole < bin.totals.expected ? ` – ${bin.totals.whole} of ${counted(bin.totals.expected, "hour")}` : "";
    title.textContent = bin ? `${bin.title}${part}` : "kWh";
    for (const { each, value } of items) value.textContent = bin ? ` ${energy(bin.totals[each])}` : "";
  };
  const chart = barChart({ label, names: bins.map(({ short }) => short), totals: bins.map(({ totals }) => totals), before, height, ...scale, point, open });
  return element("figure", {}, legend, chart);
}

/** @param {Scene} scene @param {Bin[]} bins @param {Totals} totals @param {Before | null} before */
function binFigures(scene, bins, totals, before) {
  const own = quantities(scene);
  /** @param {Totals} each @returns {import("./figures.js").Cell[]} */
  const cells = (each) => own.map((quantity) => ({ units: each[quantity] ?? (each.expected > 0 ? null : undefined) }));
  /** @param {Totals} each @param {Totals | undefined} then */
  const row = (each, then) => [...cells(each), { count: each.whole }, { count: each.expected }, ...(then ? cells(then) : [])];
  const rows = bins.map((bin, index) => ({
    key: bin.key,
    title: bin.title,
    link: bin.into ? scene.addressOf(bin.into) : null,
    cells: row(totalsOf(bin.hours), before ? totalsOf(before.bins[index]?.hours ?? []) : undefined),
  }));
  const columns = [
    { title: "", name: "period" },
    ...own.map((each) => ({ title: TITLES[each], name: COLUMNS[each] })),
    { title: "Hours stored", name: "hours_stored" },
    { title: "Hours expected", name: "hours_expected" },
    ...(before ? own.map((each) => ({ title: `${TITLES[each]}, a year before`, name: `year_before_${COLUMNS[each]}` })) : []),
  ];
  return { caption: "Energy in kWh", columns, rows, total: row(totals, before?.totals) };
}

const nothing = () => element("p", { class: "nothing" }, "Nothing is stored of this time.");
/** @param {(Node | string)[]} children */
const card = (...children) => element("section", { class: "card" }, ...children);

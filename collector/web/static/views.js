// The views: what is in the middle of the page. Each takes what it shows and returns elements.

import { addDays, binsOf, daysIn, paired, periodTitle, weekday } from "./calendar.js";
import { barChart, extremes, heatMap, shade } from "./charts.js";
import { averageDay, baseLoad, peak, selfConsumption, selfSufficiency, totalsOf } from "./energy.js";
import { figuresOf } from "./figures.js";
import { amount, counted, date, el, energy, hourName, number, percent } from "./words.js";

/** @typedef {import("./calendar.js").Bin} Bin */
/** @typedef {import("./calendar.js").Period} Period */
/** @typedef {import("./calendar.js").Place} Place */
/** @typedef {import("./calendar.js").Range} Range */
/** @typedef {import("./energy.js").Day} Day */
/** @typedef {import("./energy.js").Hour} Hour */
/** @typedef {import("./energy.js").Quantity} Quantity */
/** @typedef {import("./energy.js").Totals} Totals */
/** What every view needs: the meters' days, whether they have solar, the address of a place and of a CSV file, and the
 * beginning of a file's name.
 * @typedef {{days: Day[], solar: boolean, addressOf: (place: Place) => string,
 *   csvOf: (view: string, parts: Record<string, string>) => string | null, file: string}} Scene */
/** The same a year before. `since`: the first day that is stored, if that is in the middle; `first`, `until`: what is
 * compared, as in the address of a CSV file.
 * @typedef {{title: string, since: string | null, first: string, until: string, bins: Bin[], totals: Totals}} Before */
/** A bar, and that of the year before, if they are compared. @typedef {{bin: Bin, beside?: Bin | undefined}} Pair */
/** @typedef {{short: string, title: string, totals: Totals}} Bar */

/** Each quantity's title and colour. @type {Record<Quantity, [string, string]>} */
const QUANTITIES = {
  consumption: ["Consumption", "consumption"],
  used: ["Solar used here", "solar"],
  imported: ["From the grid", "grid"],
  exported: ["To the grid", "export"],
  solar: ["Solar", "solar"],
};
/** The states of a day, in words. */
const STATES = new Map([
  ["complete", "complete"],
  ["today", "today"],
  ["partial", "hours missing"],
  ["empty", "no data in the cloud so far"],
  ["missing", "not requested yet"],
  ["given_up", "given up"],
  ["lost", "lost"],
]);
/** @type {Intl.DateTimeFormatOptions} */
const SHORT = { day: "numeric", month: "short" };

/** @param {Quantity} quantity */
export const titleOf = (quantity) => QUANTITIES[quantity][0];
/** @param {boolean} solar @returns {Quantity[]} */
const shownQuantities = (solar) =>
  solar ? ["consumption", "used", "imported", "exported", "solar"] : ["imported", "exported"];
/** @param {Day[]} days */
const totalsOfDays = (days) => totalsOf(days.flatMap((day) => day.hours));
const nothing = () => [el("p.nothing", "Nothing is stored of this time.")];
/** @param {Scene} scene @param {string} day */
const dayAddress = (scene, day) => scene.addressOf({ range: "day", day });

/** Bars of a period with its totals and figures. @param {Scene} scene @param {Range} range @param {Period} period
 * @param {Before | null} before */
export function energyView(scene, range, period, before) {
  const days = daysIn(scene.days, period);
  if (days.length === 0) return nothing();
  const own = binsOf(range, period, scene.days);
  const bins = before ? paired(range, own, before.bins) : own.map((bin) => ({ bin }));
  const totals = totalsOfDays(days);
  const chart = binChart(scene, bins, before, `Consumption, ${periodTitle(range, period)}`, 320);
  const file = { csv: barsCsv(scene, range, period, before), file: `${scene.file}-${range}-${period.first}` };
  return [
    el("section.card", summary(scene, totals, days, before), chart),
    figuresOf({ ...file, ...binFigures(scene, bins, totals, before) }),
  ];
}

/** The address of the CSV file of a period's bars. @param {Scene} scene @param {Range} bars @param {Period} period
 * @param {Before | null} before */
const barsCsv = (scene, bars, { first, end }, before) =>
  scene.csvOf("energy", {
    bars,
    since: first,
    until: end,
    ...(before && { before_since: before.first, before_until: before.until }),
  });

/** Today, the last 14 days, this month and this year. @param {Scene} scene @param {string} today */
export function overview(scene, today) {
  const end = addDays(today, 1);
  /** @param {string} title @param {Range} range @param {string} first @param {Range | null} by the bars, if any */
  const part = (title, range, first, by) => {
    const period = { first, end };
    const days = daysIn(scene.days, period);
    const totals = totalsOfDays(days);
    const card = el("section.card", el("h2", el("a", { href: scene.addressOf({ range, day: null }) }, title)));
    card.append(summary(scene, totals, by ? [] : days, null));
    if (by) {
      const bins = binsOf(by, period, scene.days).map((bin) => ({ bin }));
      const file = { csv: barsCsv(scene, by, period, null), file: `${scene.file}-${first}-to-${today}` };
      const figures = figuresOf({ ...file, ...binFigures(scene, bins, totals, null) });
      card.append(binChart(scene, bins, null, title, 170), figures);
    }
    return card;
  };
  return [
    part("Today", "day", today, "day"),
    part("Last 14 days", "month", addDays(today, -13), "month"),
    part(date(today, { month: "long", year: "numeric" }), "month", `${today.slice(0, 7)}-01`, null),
    part(today.slice(0, 4), "year", `${today.slice(0, 4)}-01-01`, null),
  ];
}

/** The average day of a period, weekdays and weekends apart. @param {Scene} scene @param {Range} range
 * @param {Period} period */
export function averageView(scene, range, period) {
  const known = daysIn(scene.days, period);
  if (known.length === 0) return nothing();
  const groups = ["Weekdays", "Weekends"].map((title) => {
    const days = known.filter(({ day }) => weekday(day) < 5 === (title === "Weekdays"));
    return { title, days, hours: averageDay(days) };
  });
  const scale = extremes(groups.flatMap(({ hours }) => hours));
  const charts = groups.map(({ title, days, hours }) => {
    const bars = hours.map((totals, hour) => ({ short: String(hour), title: hourName(hour), totals }));
    const label = `Average day, ${title.toLowerCase()}, ${periodTitle(range, period)}`;
    const head = el("h2", title, el("small", ` ${counted(days.length, "day")}`));
    return el("section.card", head, chartWithLegend(scene, bars, null, label, 260, scale, null));
  });
  const quantities = shownQuantities(scene.solar);
  const columns = groups.flatMap(({ title }) => quantities.map((each) => `${title}: ${titleOf(each)}`));
  const rows = Array.from({ length: 24 }, (_, hour) => {
    const cells = groups.flatMap(({ hours }) => quantities.map((each) => ({ units: hours[hour]?.[each] ?? null })));
    return { title: hourName(hour), link: null, cells };
  });
  const caption = "Mean of each hour of the day, kWh; only hours with all figures";
  const file = `${scene.file}-average-day-${range}-${period.first}`;
  const csv = scene.csvOf("average-day", { since: period.first, until: period.end });
  return [el("div.pair", charts), figuresOf({ csv, file, caption, columns: ["Hour", ...columns], rows })];
}

/** Day by hour of a year. @param {Scene} scene @param {Period} period @param {Quantity} quantity */
export function heatView(scene, period, quantity) {
  const days = daysIn(scene.days, period);
  if (days.length === 0) return nothing();
  const [title, colour] = QUANTITIES[quantity];
  /** @param {Hour} hour */
  const amountOf = (hour) => hour[quantity] ?? (hour.over ? null : undefined);
  const columns = days.map((day) => day.hours.map((hour) => ({ label: hour.label, value: amountOf(hour) })));
  const top = columns.flat().reduce((most, { value }) => Math.max(most, value ?? 0), 0);
  const reading = el("p.reading", { "aria-hidden": "true" });
  /** @param {{column: number, hour: number} | null} at */
  const point = (at) => {
    const values = at
      ? (columns[at.column] ?? []).filter(({ label, value }) => label === at.hour && value !== undefined)
      : [];
    const said = values.map(({ value }) => (value === null ? "missing" : energy(value ?? null))).join(" and ");
    const day = days[at?.column ?? 0]?.day ?? "";
    reading.textContent = at && said ? `${date(day, { dateStyle: "medium" })}, ${hourName(at.hour)}: ${said}` : "";
  };
  const map = heatMap({
    label: `${title} of each hour, ${periodTitle("year", period)}`,
    columns,
    top,
    colour,
    months: days.flatMap(({ day }, index) =>
      day.endsWith("-01") ? { index, name: date(day, { month: "short" }) } : [],
    ),
    point,
    open: (column) => location.assign(dayAddress(scene, days[column]?.day ?? "")),
  });
  const steps = [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const sample = el(`i.swatch.${colour}`);
    sample.style.opacity = String(shade(part, 1));
    return el("span", sample, energy(Math.round(part * top)));
  });
  return [
    el("section.card", el("p.legend", steps, missingSample()), map, reading),
    figuresOf(heatFigures(scene, days, period, quantity)),
  ];
}

/** @param {Scene} scene @param {Day[]} days @param {Period} period @param {Quantity} quantity */
function heatFigures(scene, days, { first, end }, quantity) {
  const labels = Array.from({ length: 24 }, (_, label) => label);
  const rows = days.map(({ day, hours }) => {
    const cells = labels.map((label) => {
      const own = hours.filter((hour) => hour.label === label);
      const { expected, [quantity]: units } = totalsOf(own);
      const isWhole = own.every((hour) => hour[quantity] !== null);
      return { units: expected === 0 ? undefined : isWhole ? units : null };
    });
    return { title: date(day, SHORT), link: dayAddress(scene, day), cells };
  });
  const columns = ["Day", ...labels.map(String)];
  const csv = scene.csvOf("heat-map", { quantity, since: first, until: end });
  const caption = `${titleOf(quantity)} of each hour, kWh; an hour that the clock repeats is added to the first one`;
  return { csv, file: `${scene.file}-${quantity}-${first.slice(0, 4)}`, caption, columns, rows };
}

/** The calendar of the years: which days are stored whole. @param {Scene} scene */
export function calendarView(scene) {
  const years = [...new Set(scene.days.map(({ day }) => day.slice(0, 4)))].sort().reverse();
  const legend = [...STATES].map(([state, words]) => el("span", el(`i.swatch.day.${state}`), words));
  const unfinished = scene.days.filter(({ state }) => state !== "complete" && state !== "today").reverse();
  const rows = unfinished.map(({ day, state, reason, hours }) => {
    const cells = [wordsOf(state), { hours: totalsOf(hours).whole }, { hours: hours.length }, reason];
    return { title: date(day, { dateStyle: "medium" }), link: dayAddress(scene, day), cells };
  });
  const figures = figuresOf({
    csv: scene.csvOf("stored-days", {}),
    file: `${scene.file}-incomplete-days`,
    caption: "Days that are not complete",
    columns: ["Day", "State", "Hours stored", "Of", "Why"],
    rows,
  });
  return [el("p.legend", legend), ...years.map((year) => yearCalendar(scene, year)), figures];
}

/** @param {string} state */
const wordsOf = (state) => STATES.get(state) ?? state;

/** A row of days for each month. @param {Scene} scene @param {string} year */
function yearCalendar(scene, year) {
  const days = scene.days.filter(({ day }) => day.startsWith(year));
  const whole = days.filter(({ state }) => state === "complete").length;
  const said = `${counted(whole, "complete day")} of ${number(days.length, 0)}`;
  const months = [...new Set(days.map(({ day }) => day.slice(0, 7)))].map((month) => {
    const cells = days
      .filter(({ day }) => day.startsWith(month))
      .map(({ day, state, reason }) => {
        const title = `${date(day, { dateStyle: "full" })}: ${wordsOf(state)}${reason ? `. ${reason}` : ""}`;
        const open = () => location.assign(dayAddress(scene, day));
        const cell = el(`i.day.${STATES.has(state) ? state : "missing"}`, { title, onclick: open });
        cell.style.gridColumn = String(Number(day.slice(8)) + 1);
        return cell;
      });
    return el("div", el("span", date(`${month}-01`, { month: "short" })), cells);
  });
  const grid = el("div.calendar", { role: "img", "aria-label": `${year}: ${said}` }, months);
  return el("section.card", el("h2", year, el("small", ` ${said}`)), grid);
}

/** Headline figures of a period. `days` are for average, base load and peak; none are shown without.
 * @param {Scene} scene @param {Totals} totals @param {Day[]} days @param {Before | null} before */
function summary(scene, totals, days, before) {
  const { used, imported, exported, whole, stored, expected } = totals;
  /** @param {Quantity} quantity @param {number | null} part @param {string} rest @param {Node | null} rate */
  const block = (quantity, part, rest, rate) => {
    const total = totals[quantity];
    const then = before && el("small", `${before.title}: ${energy(before.totals[quantity])}${hoursOf(before)}`);
    const share = el("i.solar");
    share.style.width = `${total ? (100 * (part ?? 0)) / total : 0}%`;
    const bar = el(`div.split.${total ? rest : "missing"}`, { "aria-hidden": "true" }, share);
    return el("section.block", el("h3", titleOf(quantity)), el("p.big", energy(total), then), bar, rate);
  };
  /** @param {number | null} value @param {string} name @param {string} caption @param {string} formula */
  const rate = (value, name, caption, formula) =>
    el("p.rate", { title: `${name} = ${formula}` }, el("b", percent(value)), ` ${name}`, el("small", caption));
  const sufficiency = ["Self-sufficiency", "of the consumption is solar", "solar used here / consumption"];
  const own = ["Self-consumption", "of the solar energy is used here", "solar used here / solar"];
  const blocks = scene.solar
    ? [
        block(
          "consumption",
          used,
          "grid",
          rate(selfSufficiency(totals), .../** @type {[string, string, string]} */ (sufficiency)),
        ),
        block("solar", used, "export", rate(selfConsumption(totals), .../** @type {[string, string, string]} */ (own))),
      ]
    : [block("imported", 0, "grid", null)];
  const facts = [
    scene.solar ? fact(titleOf("imported"), energy(imported)) : null,
    scene.solar || exported ? fact(titleOf("exported"), energy(exported)) : null,
    ...factsOfDays(days),
  ];
  const partial = `Partial: ${number(stored, 0)} of ${counted(expected, "hour")} are stored, the others are missing.`;
  const dark = `${counted(stored - whole, "hour")} without solar data: in import and export only.`;
  return el(
    "div.summary",
    blocks,
    el("dl", facts),
    stored < expected ? el("p.partial", missingSample(""), partial) : null,
    whole < stored ? el("p.partial", missingSample(""), dark) : null,
  );
}

/** Of which hours the total is, where it is not of all. @param {Before} before */
function hoursOf({ since, totals: { whole, expected } }) {
  const of = whole < expected ? ` of ${number(whole, 0)} of ${counted(expected, "hour")}` : "";
  return of + (since && expected > 0 ? `, from ${date(since, { dateStyle: "medium" })} on` : "");
}

/** @param {string} name @param {string} value @param {string | null} meaning */
const fact = (name, value, meaning = null) => el("div", { title: meaning }, el("dt", name), el("dd", value));

/** @param {Day[]} days */
function factsOfDays(days) {
  const complete = days.filter((day) => totalsOf(day.hours).whole === day.hours.length);
  const mean = (totalsOfDays(complete).consumption ?? 0) / complete.length;
  const [base, most] = [baseLoad(days), peak(days)];
  const isOneYear = days[0]?.day.slice(0, 4) === days.at(-1)?.day.slice(0, 4);
  const day = most && days.length > 1 ? `${date(most.day, isOneYear ? SHORT : { dateStyle: "medium" })}, ` : "";
  const when = most && `${day}${hourName(most.label)}`;
  const baseMeaning = "What is always on: the lowest hour of each complete day, of these the median";
  return [
    complete.length > 1
      ? fact("Average per complete day", energy(Math.round(mean)), "Consumption, only days with all hours")
      : null,
    base === null ? null : fact("Base load", `${number(base / 1000, 0)} W`, baseMeaning),
    most && fact("Peak hour", `${energy(most.consumption)}, ${when}`),
  ];
}

/** @param {Scene} scene @param {Pair[]} bins @param {Before | null} before @param {string} label
 * @param {number} height */
function binChart(scene, bins, before, label, height) {
  const bars = bins.map(({ bin }) => ({ ...bin, totals: totalsOf(bin.hours) }));
  const then = before && { ...before, bars: bins.map(({ beside }) => totalsOf(beside?.hours ?? [])) };
  const scale = extremes([...bars.map(({ totals }) => totals), ...(then?.bars ?? [])]);
  /** @param {number} index */
  const open = (index) => {
    const into = bins[index]?.bin.into;
    if (into) location.assign(scene.addressOf(into));
  };
  const said = `${label}: ${bins.length} bars. The figures are in the table below.`;
  return chartWithLegend(scene, bars, then, said, height, scale, bins[0]?.bin.into ? open : null);
}

/** Bars with a legend, which shows the figures of the bar under the pointer. @param {Scene} scene @param {Bar[]} bars
 * @param {{title: string, bars: Totals[]} | null} before @param {string} label @param {number} height
 * @param {{top: number, bottom: number}} scale @param {((index: number) => void) | null} open */
function chartWithLegend(scene, bars, before, label, height, scale, open) {
  /** @type {Quantity[]} */
  const measured = scene.solar ? ["used", "imported", "exported"] : ["imported", "exported"];
  const shown = measured.filter((each) => each !== "exported" || scale.bottom > 0);
  const reading = el("p.reading", { "aria-hidden": "true" }, "kWh");
  /** @param {number | null} index */
  const point = (index) => {
    const bar = index === null ? undefined : bars[index];
    reading.textContent = bar ? readingOf(bar, shown) : "kWh";
  };
  const legend = el(
    "p.legend",
    shown.map((each) => el("span", el(`i.swatch.${QUANTITIES[each][1]}`), titleOf(each))),
    bars.some(({ totals }) => totals.whole < totals.expected) ? missingSample() : null,
    before ? el("span", `pale: ${before.title}`) : null,
  );
  const [names, totals] = [bars.map(({ short }) => short), bars.map((bar) => bar.totals)];
  return el(
    "figure",
    legend,
    reading,
    barChart({ label, names, totals, before: before?.bars ?? null, height, ...scale, point, open }),
  );
}

/** The figures of a bar in a line: `14:00: solar used here 0.26, from the grid 0.00, to the grid 0.86 kWh`.
 * @param {Bar} bar @param {Quantity[]} shown */
function readingOf({ title, totals }, shown) {
  const { stored, whole, expected } = totals;
  if (stored === 0) return `${title}: ${expected > 0 ? "missing" : "no hours"}`;
  const said = shown.map((each) => `${titleOf(each).toLowerCase()} ${amount(totals[each])}`).join(", ");
  return `${title}: ${said} kWh${whole < expected ? ` (${whole} of ${counted(expected, "hour")})` : ""}`;
}

const missingSample = (words = "missing") => el("span", el("i.swatch.missing"), words);

/** @param {Scene} scene @param {Pair[]} bins @param {Totals} totals @param {Before | null} before */
function binFigures(scene, bins, totals, before) {
  const quantities = shownQuantities(scene.solar);
  /** @param {Totals} each */
  const cells = (each) => quantities.map((name) => ({ units: each[name] ?? (each.expected > 0 ? null : undefined) }));
  /** @param {Totals} each @param {Totals | null} then */
  const row = (each, then) => [
    ...cells(each),
    { hours: each.whole },
    { hours: each.expected },
    ...(then ? cells(then) : []),
  ];
  const rows = bins.map(({ bin: { title, into, hours }, beside }) => {
    const then = before && totalsOf(beside?.hours ?? []);
    return { title, link: into && scene.addressOf(into), cells: row(totalsOf(hours), then) };
  });
  const titles = quantities.map(titleOf);
  const columns = ["", ...titles, "Hours stored", "Hours passed"];
  if (before) columns.push(...titles.map((title) => `${title}, ${before.title}`));
  return { caption: "Energy in kWh", columns, rows, total: row(totals, before?.totals ?? null) };
}

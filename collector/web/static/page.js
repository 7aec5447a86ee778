// The page: reads the address, loads what the view needs, keeps controls and keys in step.

import { HEAT_QUANTITIES, addressOf, viewOf } from "./address.js";
import { RANGES, addDays, binsOf, daysIn, moved, periodOf, periodTitle, yearBefore, yearsOf } from "./calendar.js";
import { daysOfYears, forgetNewest, meters as readMeters, report, status as readStatus } from "./data.js";
import { totalsOf } from "./energy.js";
import { averageView, calendarView, energyView, heatView, overview, titleOf } from "./views.js";
import { el } from "./words.js";

/** @typedef {import("./address.js").View} View */
/** @typedef {import("./calendar.js").Period} Period */
/** @typedef {import("./data.js").Meter} Meter */

const [STATUS_MS, ENERGY_MS] = [60_000, 300_000];
const SHOWS = /** @type {const} */ ([
  ["overview", "Overview"],
  ["energy", "Energy"],
  ["hours", "Average day"],
  ["heat", "Heat map"],
  ["calendar", "Stored days"],
]);
const RANGE_NAMES = { day: "Day", week: "Week", month: "Month", year: "Year", all: "All" };

/** @param {string} id */
const at = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const picker = /** @type {HTMLInputElement} */ (at("picker"));

/** @type {Meter[]} */
let meters = [];
let view = viewOf(location.hash);
let today = "";
/** All days that the chosen meters may have. @type {Period} */
let whole = { first: "", end: "" };
let turn = 0;

/** The meters of the view: those chosen that exist, and share the first one's time zone; else the first of all. */
function chosenMeters() {
  const known = meters.filter(({ name }) => view.meters.includes(name));
  const chosen = known.length > 0 ? known : meters.slice(0, 1);
  return chosen.filter(({ timezone }) => timezone === chosen[0]?.timezone);
}

/** @param {Partial<View>} changes */
const address = (changes) => addressOf({ ...view, ...changes });
/** @param {Partial<View>} changes */
const go = (changes) => {
  location.hash = addressOf({ ...viewOf(location.hash), ...changes }); // also if the last change is not drawn yet
};

async function render() {
  turn += 1;
  const mine = turn;
  view = viewOf(location.hash);
  document.body.classList.toggle("wall", view.wall);
  at("view").setAttribute("aria-busy", "true");
  try {
    if (meters.length === 0) meters = await readMeters();
    const content = await contentOf();
    if (mine !== turn) return;
    at("view").dataset.show = view.show;
    at("view").replaceChildren(...content);
    at("trouble").hidden = true;
  } catch (error) {
    if (mine !== turn) return;
    at("trouble").textContent = error instanceof Error ? error.message : String(error);
    at("trouble").hidden = false;
  } finally {
    if (mine === turn) at("view").removeAttribute("aria-busy");
  }
}

async function contentOf() {
  const chosen = chosenMeters();
  if (chosen.length === 0) return [el("p.nothing", "No meter is configured.")];
  const newest = await daysOfYears(chosen, [Math.max(...chosen.flatMap(({ years }) => years))]);
  today = newest.at(-1)?.day ?? new Date().toISOString().slice(0, 10);
  const first = chosen.map((meter) => meter.first_day ?? today).reduce((one, other) => (one < other ? one : other));
  whole = { first, end: addDays(today, 1) };
  const { range, day } = timeOf(view);
  const period = periodOf(range, day, whole);
  const before = view.compare && view.show === "energy" && range !== "all" ? yearBefore(range, period) : null;
  const recent = { first: addDays(today, -13), end: addDays(today, 1) };
  const needed =
    view.show === "overview"
      ? [recent, periodOf("year", today, whole)]
      : view.show === "calendar"
        ? [whole]
        : [period, ...(before ? [before] : [])];
  const days = await daysOfYears(chosen, [...new Set(needed.flatMap(yearsOf))].sort());
  showControls(chosen, range, day, period);
  const scene = {
    days,
    solar: chosen.some(({ solar }) => solar),
    addressOf: (/** @type {import("./calendar.js").Place} */ place) => address({ ...place, show: "energy" }),
    file: chosen.map(({ name }) => name).join("+"),
  };
  if (view.show === "overview") return overview(scene, today);
  if (view.show === "calendar") return calendarView(scene);
  if (view.show === "heat") return heatView(scene, period, view.quantity);
  if (view.show === "hours") return averageView(scene, range, period);
  return energyView(scene, range, period, before && comparison(days, range, period, before));
}

/** The period a year before. Of one that has not ended, only the part that has passed is compared in the totals.
 * @param {import("./energy.js").Day[]} days @param {import("./calendar.js").Range} range @param {Period} period @param {Period} before */
function comparison(days, range, period, before) {
  const passed = daysIn(days, period).length;
  const end = period.end > addDays(today, 1) ? addDays(before.first, passed) : before.end;
  const title = end < before.end ? `a year before, first ${passed} days` : "a year before";
  const totals = totalsOf(daysIn(days, { first: before.first, end }).flatMap((each) => each.hours));
  return { title, bins: binsOf(range, before, days), totals };
}

/** The range of a view, and its day, which is one of those that there are. @param {View} view */
function timeOf({ show, range, day }) {
  const known = day === null || day > today ? today : day < whole.first ? whole.first : day;
  return { range: show === "heat" ? /** @type {const} */ ("year") : range, day: known };
}

/** The address of the range before (-1) or after (1); null if there is none. @param {View} view @param {number} steps */
function neighbour(view, steps) {
  const { range, day } = timeOf(view);
  const to = moved(range, periodOf(range, day, whole).first, steps);
  const { first, end } = periodOf(range, to, whole);
  return range !== "all" && end > whole.first && first < whole.end ? addressOf({ ...view, day: to }) : null;
}

/** @param {Meter[]} chosen @param {import("./calendar.js").Range} range @param {string} day @param {Period} period */
function showControls(chosen, range, day, period) {
  links(
    "shows",
    SHOWS.map(([show, name]) => ({ name, current: show === view.show, to: address({ show }) })),
  );
  const ranged = view.show === "energy" || view.show === "hours";
  at("time").hidden = !ranged && view.show !== "heat";
  at("ranges").hidden = !ranged;
  links(
    "ranges",
    RANGES.map((each) => ({ name: RANGE_NAMES[each], current: each === range, to: address({ range: each, day }) })),
  );
  const title =
    view.show === "overview" ? "Overview" : view.show === "calendar" ? "Stored days" : periodTitle(range, period);
  if (at("title").textContent !== title) at("title").textContent = title;
  document.title = `${title} – ${chosen.map(({ name }) => name).join(" + ")}`;
  link(
    "earlier",
    range !== "all" && period.first > whole.first ? address({ day: moved(range, period.first, -1) }) : null,
  );
  link("later", range !== "all" && period.end < whole.end ? address({ day: moved(range, period.first, 1) }) : null);
  link("today", address({ day: null }));
  [picker.min, picker.max, picker.value] = [whole.first, today, day];
  at("compare").hidden = view.show !== "energy" || range === "all";
  at("compare").setAttribute("href", address({ compare: !view.compare }));
  at("compare").textContent = view.compare ? "Without the year before" : "Compare with the year before";
  at("quantities").hidden = view.show !== "heat";
  const offered = chosen.some(({ solar }) => solar) ? HEAT_QUANTITIES : /** @type {const} */ (["imported", "exported"]);
  links(
    "quantities",
    offered.map((each) => ({ name: titleOf(each), current: each === view.quantity, to: address({ quantity: each }) })),
  );
  at("wall").setAttribute("href", address({ wall: true, day: null }));
  showMeters(chosen);
}

/** @param {string} id @param {{name: string, current: boolean, to: string}[]} entries */
function links(id, entries) {
  const box = at(id);
  entries.forEach(({ name, current, to }, index) => {
    const made = box.children[index] ?? box.appendChild(el("a"));
    if (made.textContent !== name) made.textContent = name;
    made.setAttribute("href", to);
    if (current) made.setAttribute("aria-current", "page");
    else made.removeAttribute("aria-current");
  });
  while (box.children.length > entries.length) box.lastElementChild?.remove();
}

/** @param {string} id @param {string | null} to */
function link(id, to) {
  if (to === null) at(id).removeAttribute("href");
  else at(id).setAttribute("href", to);
  at(id).setAttribute("aria-disabled", String(to === null));
}

/** Which meters are added up. Those of another time zone replace the chosen ones. @param {Meter[]} chosen */
function showMeters(chosen) {
  const box = at("meters");
  box.hidden = meters.length < 2;
  if (box.querySelectorAll("input").length !== meters.length) {
    const toggle = () =>
      go({ meters: [...box.querySelectorAll("input")].filter(({ checked }) => checked).map(({ value }) => value) });
    const boxes = meters.map(({ name }) =>
      el("label", el("input", { type: "checkbox", value: name, onchange: toggle }), name),
    );
    box.replaceChildren(el("legend", "Meters"), ...boxes);
  }
  for (const input of box.querySelectorAll("input")) input.checked = chosen.some(({ name }) => name === input.value);
}

async function showStatus() {
  const line = at("status");
  try {
    const now = await readStatus();
    if (report) {
      line.textContent = `Report of ${new Date(report.written * 1000).toLocaleString(navigator.language, { dateStyle: "long", timeStyle: "short" })}`;
      return;
    }
    const all = now?.meters ?? [];
    const bad = all.filter(({ health }) => health !== "good");
    const ages = all.map(({ age_s }) => age_s).filter((age) => age !== null);
    const newest = ages.length === 0 ? "no data stored yet" : `newest hour ${ageInWords(Math.max(...ages))} old`;
    const words =
      bad.length === 0
        ? `Collecting works, ${newest}`
        : bad.map(({ name, health, reason }) => `${name}: ${health}${reason ? `, ${reason}` : ""}`).join("; ");
    line.textContent = words;
    line.className = bad.length === 0 ? "good" : bad.every(({ health }) => health === "starting") ? "starting" : "bad";
  } catch (error) {
    line.textContent = error instanceof Error ? error.message : String(error);
    line.className = "bad";
  }
}

/** @param {number} age seconds */
function ageInWords(age) {
  if (age < 7200) return `${Math.floor(age / 60)} min`;
  return age < 172_800 ? `${Math.floor(age / 3600)} h` : `${Math.floor(age / 86_400)} days`;
}

/** @param {KeyboardEvent} event */
function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLInputElement) return;
  const range = RANGES.find((each) => each[0] === event.key);
  const steps = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (event.key === "Escape" && view.wall) go({ wall: false });
  else if (event.key === "t") go({ day: null });
  else if (range) go({ range, show: view.show === "hours" ? "hours" : "energy" });
  else if (steps && !at("time").hidden) location.hash = neighbour(viewOf(location.hash), steps) ?? location.hash;
  else return;
  event.preventDefault();
}

/** Reads the newest figures again, unless nobody looks. */
function refresh() {
  if (document.hidden || report) return;
  forgetNewest(meters);
  readMeters().then((read) => {
    meters = read;
    return render();
  }, render);
}

picker.addEventListener("change", () => picker.value && go({ day: picker.value }));
addEventListener("hashchange", render);
addEventListener("keydown", key);
document.addEventListener("visibilitychange", refresh);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", render);
setInterval(refresh, ENERGY_MS);
setInterval(() => document.hidden || showStatus(), STATUS_MS);
render();
showStatus();

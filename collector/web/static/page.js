// The page: reads the address, loads what the view needs, keeps controls and keys in step.

import { HEAT_QUANTITIES, addressOf, viewOf } from "./address.js";
import {
  RANGES,
  addDays,
  binsOf,
  daysIn,
  isDay,
  moved,
  periodOf,
  periodTitle,
  yearBefore,
  yearsOf,
} from "./calendar.js";
import { csvAddress, daysOfYears, forgetNewest, meters as readMeters, report, status as readStatus } from "./data.js";
import { totalsOf } from "./energy.js";
import { averageView, calendarView, energyView, heatView, overview, titleOf } from "./views.js";
import { el } from "./words.js";

/** @typedef {import("./address.js").View} View */
/** @typedef {import("./energy.js").Day} Day */
/** @typedef {import("./calendar.js").Range} Range */
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
    replaceContent(content);
    if (!at("trouble").hidden) showStatus(); // it is as new as the view
    at("trouble").hidden = true;
  } catch (error) {
    if (mine !== turn) return;
    at("trouble").textContent = error instanceof Error ? error.message : String(error);
    at("trouble").hidden = false;
    showStatus();
  } finally {
    if (mine === turn) at("view").removeAttribute("aria-busy");
  }
}

/** Shows these elements. If the focus was in the view, it stays on the same link, or on the view.
 * @param {Node[]} content */
function replaceContent(content) {
  const [main, focused] = [at("view"), document.activeElement];
  const hadFocus = focused !== null && main.contains(focused);
  main.replaceChildren(...content);
  if (!hadFocus) return;
  const same = [...main.querySelectorAll("a")].find(
    (link) => link.getAttribute("href") === focused.getAttribute("href"),
  );
  (same ?? main).focus({ preventScroll: true });
}

async function contentOf() {
  const chosen = chosenMeters();
  if (chosen.length === 0) return [el("p.nothing", "No meter is configured.")];
  const newest = await daysOfYears(chosen, [Math.max(...chosen.flatMap(({ years }) => years))]);
  today = newest.at(-1)?.day ?? new Date().toISOString().slice(0, 10);
  const first = chosen.map((meter) => meter.first_day ?? today).reduce((one, other) => (one < other ? one : other));
  whole = { first, end: addDays(today, 1) };
  const { range, day } = timeOf(view);
  if (view.day !== null && view.day !== day) location.replace(address({ day })); // it says what is shown
  const period = periodOf(range, day, whole);
  const before = view.compare && view.show === "energy" && range !== "all" ? yearBefore(range, period) : null;
  const recent = { first: addDays(today, -13), end: addDays(today, 1) };
  const needed =
    view.show === "overview" ? [recent, periodOf("year", today, whole)] : before ? [before, period] : [period];
  const wanted = view.show === "calendar" ? chosen.flatMap(({ years }) => years) : needed.flatMap(yearsOf);
  const days = await daysOfYears(chosen, [...new Set(wanted)].sort());
  showControls(chosen, range, day, period);
  if (chosen.every(({ first_day }) => first_day === null)) {
    return [el("p.nothing", "Nothing is stored yet. A new service requests the last days first; that takes minutes.")];
  }
  const scene = {
    days,
    solar: chosen.some(({ solar }) => solar),
    addressOf: (/** @type {import("./calendar.js").Place} */ place) => address({ ...place, show: "energy" }),
    csvOf: (/** @type {string} */ csv, /** @type {Record<string, string>} */ parts) => csvAddress(csv, chosen, parts),
    file: chosen.map(({ name }) => name).join("+"),
  };
  if (view.show === "overview") return overview(scene, today);
  if (view.show === "calendar") return calendarView(scene);
  if (view.show === "heat") return heatView(scene, period, quantitiesOf(chosen).quantity);
  if (view.show === "hours") return averageView(scene, range, period);
  return energyView(scene, range, period, before && comparison(days, range, period, before));
}

/** The period a year before; of one that is not over, up to the same hour.
 * @param {Day[]} days @param {Range} range @param {Period} period @param {Period} before */
function comparison(days, range, period, before) {
  const lastDay = days.at(-1);
  const isOver = period.end <= today || !lastDay;
  const inYear = `${before.first.slice(0, 4)}${today.slice(4)}`;
  const sameDay = range === "day" ? before.first : range === "week" ? addDays(today, -364) : inYear;
  const next = lastDay?.hours.find(({ over }) => !over)?.label ?? 24;
  const known = daysIn(days, before).flatMap((each) => {
    if (isOver || each.day < sameDay) return each;
    return each.day === sameDay ? { ...each, hours: each.hours.filter(({ label }) => label < next) } : [];
  });
  const title = isOver ? "a year before" : "a year before, to this hour";
  const totals = totalsOf(known.flatMap(({ hours }) => hours));
  const since = before.first < whole.first ? whole.first : null;
  const untilHour = `${sameDay}T${String(next).padStart(2, "0")}`;
  const until = isOver ? before.end : isDay(sameDay) ? untilHour : `${sameDay.slice(0, 4)}-03-01`; // 29 February
  return { title, since, first: before.first, until, bins: binsOf(range, before, known), totals };
}

/** The range of a view, and its day, which is one of those that there are. @param {View} view */
function timeOf({ show, range, day }) {
  const known = day === null || day > today ? today : day < whole.first ? whole.first : day;
  return { range: show === "heat" ? /** @type {const} */ ("year") : range, day: known };
}

/** The address of the range before (-1) or after (1), null if there is none. @param {View} view
 * @param {number} steps */
function neighbour(view, steps) {
  const { range, day } = timeOf(view);
  const to = moved(range, periodOf(range, day, whole).first, steps);
  const { first, end } = periodOf(range, to, whole);
  return range !== "all" && end > whole.first && first < whole.end ? addressOf({ ...view, day: to }) : null;
}

/** The quantities that a heat map can show, and the one that it does. @param {Meter[]} chosen */
function quantitiesOf(chosen) {
  const quantities = chosen.some(({ solar }) => solar) ? HEAT_QUANTITIES : HEAT_QUANTITIES.slice(2);
  return { quantities, quantity: quantities.find((each) => each === view.quantity) ?? quantities[0] ?? "imported" };
}

/** @param {Meter[]} chosen @param {Range} range @param {string} day @param {Period} period */
function showControls(chosen, range, day, period) {
  const { quantities, quantity } = quantitiesOf(chosen);
  const rangeFor = (/** @type {string} */ show) => (show === "hours" && range === "day" ? "month" : view.range);
  links(
    "shows",
    SHOWS.map(([show, name]) => ({ name, current: show === view.show, to: address({ show, range: rangeFor(show) }) })),
  );
  const ranged = view.show === "energy" || view.show === "hours";
  at("time").hidden = !ranged && view.show !== "heat";
  at("ranges").hidden = !ranged;
  links(
    "ranges",
    RANGES.map((each) => ({ name: RANGE_NAMES[each], current: each === range, to: address({ range: each }) })),
  );
  const title =
    view.show === "overview" ? "Overview" : view.show === "calendar" ? "Stored days" : periodTitle(range, period);
  if (at("title").textContent !== title) at("title").textContent = title;
  const names = chosen.map(({ name }) => name).join(" + ");
  document.title = `${title} – ${names}`;
  at("name").textContent = `Energy · ${names}`;
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
  links(
    "quantities",
    quantities.map((each) => ({ name: titleOf(each), current: each === quantity, to: address({ quantity: each }) })),
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

/** The meters to choose from; those that are chosen are added up. @param {Meter[]} chosen */
function showMeters(chosen) {
  const box = at("meters");
  box.hidden = meters.length < 2;
  if (box.querySelectorAll("input").length !== meters.length) {
    const boxes = meters.map(({ name }) =>
      el("label", el("input", { type: "checkbox", value: name, onchange: chooseMeters }), name),
    );
    const note = new Set(meters.map(({ timezone }) => timezone)).size > 1;
    box.replaceChildren(
      el("legend", "Meters"),
      ...boxes,
      note ? el("small", "Only meters in one time zone are added up.") : "",
    );
  }
  for (const input of box.querySelectorAll("input")) input.checked = chosen.some(({ name }) => name === input.value);
}

/** A meter of another time zone replaces those that were chosen; the last one stays. @param {Event} event */
function chooseMeters(event) {
  const changed = /** @type {HTMLInputElement} */ (event.target);
  const zoneOf = (/** @type {string} */ wanted) => meters.find(({ name }) => name === wanted)?.timezone;
  const checked = [...at("meters").querySelectorAll("input")].filter((each) => each.checked).map(({ value }) => value);
  if (checked.length === 0) changed.checked = true;
  else go({ meters: checked.filter((name) => !changed.checked || zoneOf(name) === zoneOf(changed.value)) });
}

/** Shows how collecting stands; the result is whether the collector answered. */
async function showStatus() {
  const line = at("status");
  let answered = true;
  const [words, state] = report
    ? [writtenAt(report.written), "report"]
    : await readStatus().then(statusLine, (error) => {
        answered = false;
        return [error.message, "bad"];
      });
  if (line.textContent !== words) line.textContent = words;
  line.className = state;
  return answered;
}

/** Reads the status again, and the figures as soon as a collector that failed answers. */
async function watch() {
  if (document.hidden) return;
  if ((await showStatus()) && !at("trouble").hidden) refresh();
}

/** @param {number} epoch seconds */
const writtenAt = (epoch) =>
  `Report of ${new Date(epoch * 1000).toLocaleString(navigator.language, { dateStyle: "long", timeStyle: "short" })}`;

/** How collecting stands, in a line, and its colour. @param {import("./data.js").Status} status */
function statusLine({ meters }) {
  const bad = meters.filter(({ health }) => health !== "good");
  if (bad.length > 0) {
    const each = bad.map(({ name, health, reason }) => `${name}: ${health}${reason ? `, ${reason}` : ""}`);
    return [each.join("; "), bad.every(({ health }) => health === "starting") ? "starting" : "bad"];
  }
  const ages = meters.flatMap(({ age_s }) => (age_s === null ? [] : age_s));
  const newest = ages.length === 0 ? "no data stored yet" : `newest hour ${ageInWords(Math.max(...ages))} old`;
  return [`Collecting works, ${newest}`, "good"];
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
  forgetNewest(meters, today && addDays(today, -31));
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
setInterval(watch, STATUS_MS);
render();
showStatus();

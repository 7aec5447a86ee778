// The drawings: stacked bars (uPlot) and the heat map (a canvas). Colours come from the style sheet.

import { el, number, UNITS, whenSized } from "./words.js";

/** @typedef {import("./energy.js").Totals} Totals */
/** Stacked bars: `names` below them; `before`: the same a year before. `top` and `bottom` are the ends of the scale in
 * units, so that two charts can be compared. `point` is called with the bar under the pointer, or null; `open` with the
 * bar that was clicked, where a click leads anywhere.
 * @typedef {{label: string, names: string[], totals: Totals[], before: Totals[] | null, height: number, top: number,
 *   bottom: number, point: (index: number | null) => void, open: ((index: number) => void) | null}} Bars */
/** `columns` has each day's hours by their local hour (the repeated one twice): a value in units, null where it is
 * missing, undefined where there is none yet. `months`: the first column of each month, and its name.
 * @typedef {{label: string, colour: string, columns: {label: number, value: number | null | undefined}[][],
 *   top: number, months: {index: number, name: string}[], point: (at: {column: number, hour: number} | null) => void,
 *   open: (column: number) => void}} Heat */

const Plot = /** @type {any} */ (globalThis).uPlot;
const FONT = "12px system-ui, sans-serif";
const [HEAT_LEFT, HEAT_BELOW, HEAT_HOUR] = [28, 22, 12];

/** @param {string} name of a colour in the style sheet */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** The largest stack and the largest export, for a scale. @param {Totals[]} totals */
export function extremes(totals) {
  const top = Math.max(0, ...totals.map((each) => (each.imported ?? 0) + (each.used ?? 0)));
  return { top, bottom: Math.max(0, ...totals.map((each) => each.exported ?? 0)) };
}

/** Solar used here, on it from the grid, below zero to the grid; missing is grey. @param {Bars} bars */
export function barChart(bars) {
  const box = el("div.chart", { role: "img", "aria-label": bars.label });
  const column = el("div.column", { hidden: true });
  /** @type {any} */
  let plot = null;
  whenSized(box, (width) => {
    plot?.destroy();
    const series = [
      ...(bars.before ? stack(bars.before, -1, "-pale") : []),
      ...stack(bars.totals, bars.before ? 1 : 0, ""),
    ];
    const data = [bars.totals.map((_, index) => index), ...series.map((each) => each.values)];
    plot = new Plot(
      plotOptions(bars, width, series, () => highlight(plot, column, bars.point)),
      data,
      box,
    );
    plot.over.append(column);
    plot.over.classList.toggle("opens", bars.open !== null);
    plot.over.addEventListener("click", () => {
      if (bars.open && typeof plot.cursor.idx === "number") bars.open(plot.cursor.idx);
    });
  });
  return box;
}

/** @param {Bars} bars @param {number} width @param {{options: object}[]} series @param {() => void} moved */
function plotOptions(bars, width, series, moved) {
  const high = Math.max(bars.top, bars.bottom / 4, UNITS / 100) * 1.06;
  const low = bars.bottom === 0 ? 0 : -Math.max(bars.bottom, high / 12) * 1.06;
  const axis = { stroke: colour("muted"), font: FONT, ticks: { show: false }, gap: 6 };
  /** @param {any} _ @param {number[]} at */
  const names = (_, at) => at.map((index) => bars.names[index]);
  /** @param {any} _ @param {number[]} at */
  const amounts = (_, at) => at.map((value) => axisNumber(value, at));
  return {
    width,
    height: bars.height,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { x: false, y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: false, range: () => [-0.5, bars.totals.length - 0.5] },
      y: { range: () => [low / UNITS, high / UNITS] },
    },
    axes: [
      { ...axis, size: 26, grid: { show: false }, splits: () => labelled(bars.names, width - 60), values: names },
      {
        ...axis,
        size: width < 500 ? 40 : 52,
        space: Math.max(24, bars.height / 8),
        grid: { stroke: colour("line"), width: 1 },
        values: amounts,
      },
    ],
    series: [{}, ...series.map((each) => each.options)],
    hooks: { drawClear: [(/** @type {any} */ plot) => drawMissing(plot, bars.totals)], setCursor: [moved] },
  };
}

/** Marks the column under the pointer. @param {any} plot @param {HTMLElement} column
 * @param {(index: number | null) => void} point */
function highlight(plot, column, point) {
  const index = plot && plot.cursor.left >= 0 ? (plot.cursor.idx ?? null) : null;
  column.hidden = index === null;
  if (index !== null) {
    const left = plot.valToPos(index - 0.5, "x");
    column.style.left = `${left}px`;
    column.style.width = `${plot.valToPos(index + 0.5, "x") - left}px`;
  }
  point(index);
}

/** The three series of a stack, the tallest first: the next ones are painted over it.
 * @param {Totals[]} totals @param {-1 | 0 | 1} side of the tick @param {"" | "-pale"} tone */
function stack(totals, side, tone) {
  const paths = Plot.paths.bars({ size: side === 0 ? [0.72, 64] : [0.38, 34], align: side });
  /** @param {string} name @param {(each: Totals) => number | null} value in units */
  const one = (name, value) => ({
    values: totals.map(value).map((units) => units && units / UNITS),
    options: { paths, width: 0, fill: colour(name + tone), points: { show: false } },
  });
  return [
    one("grid", ({ imported, used }) => (imported === null ? null : imported + (used ?? 0))),
    one("solar", ({ used }) => used),
    one("export", ({ exported }) => (exported === null ? null : -exported)),
  ];
}

/** The labels that have room: every one, every second, every third … @param {string[]} names @param {number} width */
function labelled(names, width) {
  const longest = Math.max(1, ...names.map((name) => name.length));
  const step = Math.ceil(names.length / Math.max(1, Math.floor(width / (longest * 7 + 12))));
  return names.map((_, index) => index).filter((index) => index % step === 0);
}

/** With as many decimals as the step from tick to tick has. @param {number} value @param {number[]} ticks */
function axisNumber(value, ticks) {
  const step = Math.abs((ticks[1] ?? 1) - (ticks[0] ?? 0));
  const isEnough = (/** @type {number} */ count) =>
    Math.abs(Math.round(step * 10 ** count) - step * 10 ** count) < 0.001;
  const decimals = [0, 1, 2].find(isEnough) ?? 3;
  return number(Math.abs(value), decimals);
}

/** Grey columns: the more is missing, the darker. @param {any} plot @param {Totals[]} totals */
function drawMissing(plot, totals) {
  totals.forEach(({ whole, expected }, index) => {
    if (whole >= expected) return;
    const left = plot.valToPos(index - 0.5, "x", true);
    const width = plot.valToPos(index + 0.5, "x", true) - left;
    const strength = whole === 0 ? 1 : 0.2 + (0.5 * (expected - whole)) / expected;
    hatch(plot.ctx, left + width * 0.06, plot.bbox.top, width * 0.88, plot.bbox.height, strength);
  });
}

/** A grey area with diagonal lines. @param {CanvasRenderingContext2D} context @param {number} left @param {number} top
 * @param {number} width @param {number} height @param {number} strength 0 to 1 */
function hatch(context, left, top, width, height, strength) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.fillStyle = context.strokeStyle = colour("missing");
  context.globalAlpha = 0.3 * strength;
  context.fillRect(left, top, width, height);
  context.globalAlpha = strength;
  context.lineWidth = devicePixelRatio;
  context.beginPath();
  const step = 7 * devicePixelRatio;
  for (let at = Math.floor((left - height) / step) * step; at < left + width; at += step) {
    context.moveTo(at, top + height);
    context.lineTo(at + height, top);
  }
  context.stroke();
  context.restore();
}

/** The heat map of a year: a column a day, a cell an hour, midnight at the top; missing is grey. @param {Heat} heat */
export function heatMap(heat) {
  const canvas = /** @type {HTMLCanvasElement} */ (el("canvas"));
  const box = el("div.heat", { role: "img", "aria-label": heat.label }, canvas);
  /** @param {MouseEvent} event */
  const placeOf = (event) => {
    const part = (event.offsetX - HEAT_LEFT) / (canvas.clientWidth - HEAT_LEFT);
    const [column, hour] = [Math.floor(part * heat.columns.length), Math.floor(event.offsetY / HEAT_HOUR)];
    return heat.columns[column] && hour < 24 ? { column, hour } : null;
  };
  canvas.addEventListener("mousemove", (event) => heat.point(placeOf(event)));
  canvas.addEventListener("mouseleave", () => heat.point(null));
  canvas.addEventListener("click", (event) => {
    const place = placeOf(event);
    if (place) heat.open(place.column);
  });
  whenSized(box, (width) => {
    const height = 24 * HEAT_HOUR + HEAT_BELOW;
    [canvas.width, canvas.height] = [width * devicePixelRatio, height * devicePixelRatio];
    [canvas.style.width, canvas.style.height] = [`${width}px`, `${height}px`];
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.scale(devicePixelRatio, devicePixelRatio);
    drawHeat(context, heat, (width - HEAT_LEFT) / heat.columns.length);
  });
  return box;
}

/** @param {CanvasRenderingContext2D} context @param {Heat} heat @param {number} step the width of a column */
function drawHeat(context, heat, step) {
  const [fill, missing] = [colour(heat.colour), colour("missing")];
  heat.columns.forEach((hours, column) => {
    hours.forEach(({ label, value }, index) => {
      if (value === undefined) return;
      const size = HEAT_HOUR / hours.filter((hour) => hour.label === label).length;
      const below = hours[index - 1]?.label === label ? size : 0; // the second of two equal hours
      context.globalAlpha = value === null ? 0.55 : shade(value, heat.top);
      context.fillStyle = value === null ? missing : fill;
      context.fillRect(HEAT_LEFT + column * step, label * HEAT_HOUR + below, step + 0.25, size - 0.5);
    });
  });
  context.globalAlpha = 1;
  context.fillStyle = colour("muted");
  context.font = FONT;
  for (const hour of [0, 6, 12, 18]) context.fillText(String(hour), 4, hour * HEAT_HOUR + 11);
  const every = step * 30 < 34 ? 2 : 1;
  heat.months.forEach(({ index, name }, place) => {
    if (place % every === 0) context.fillText(name, HEAT_LEFT + index * step + 2, 24 * HEAT_HOUR + 17);
  });
}

/** How strongly a value is coloured, 0.04 to 1; small values stay apart. @param {number} value @param {number} top */
export function shade(value, top) {
  return top > 0 ? 0.04 + 0.96 * (Math.max(0, value) / top) ** 0.7 : 0.04;
}

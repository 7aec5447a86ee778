// The drawings: stacked bars (uPlot) and the heat map (a canvas). Colours come from the style sheet.

import { UNITS, element, number } from "./words.js";

/** @typedef {import("./energy.js").Totals} Totals */
/** A group of stacked bars. `names` below the bars; `before`: the same a year before. `top` and `bottom` are the
 * ends of the scale in units, so that two charts can be compared. `point` is told the bar under the pointer, or null;
 * `open` the bar that was clicked, where a click leads anywhere.
 * @typedef {{label: string, names: string[], totals: Totals[], before: Totals[] | null, height: number, top: number,
 *   bottom: number, point: (index: number | null) => void, open: ((index: number) => void) | null}} Bars */

const Plot = /** @type {any} */ (globalThis).uPlot;
const FONT = "12px system-ui, sans-serif";

/** @param {string} name of a colour in the style sheet */
function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** The largest stack and the largest export, for a scale. @param {Totals[]} totals */
export function extremes(totals) {
  const top = Math.max(0, ...totals.map((each) => (each.imported ?? 0) + (each.used ?? 0)));
  return { top, bottom: Math.max(0, ...totals.map((each) => each.exported ?? 0)) };
}

/** Stacked bars: solar used here, on it from the grid, below zero to the grid; missing is grey.
 * @param {Bars} bars @returns {HTMLElement} */
export function barChart(bars) {
  const box = element("div", { class: "chart", role: "img", "aria-label": bars.label });
  const narrow = () => box.clientWidth < 500;
  const count = bars.totals.length;
  const high = Math.max(bars.top, bars.bottom / 4, UNITS / 100) * 1.06;
  const low = bars.bottom === 0 ? 0 : -Math.max(bars.bottom, high / 12) * 1.06;
  const series = [...(bars.before ? stack(bars.before, -1, "-pale") : []), ...stack(bars.totals, bars.before ? 1 : 0, "")];
  const axis = { stroke: colour("muted"), font: FONT, ticks: { show: false } };
  /** @type {any} */
  let plot = null;
  const options = () => ({
    width: box.clientWidth,
    height: bars.height,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { x: false, y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: {
      x: { time: false, range: () => [-0.5, count - 0.5] },
      y: { range: () => [low / UNITS, high / UNITS] },
    },
    axes: [
      {
        ...axis,
        size: 26,
        gap: 6,
        grid: { show: false },
        splits: () => labelled(bars.names, box.clientWidth - 60),
        values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((index) => bars.names[index]),
      },
      {
        ...axis,
        size: narrow() ? 40 : 52,
        gap: 6,
        space: 26,
        grid: { stroke: colour("line"), width: 1 },
        values: (/** @type {any} */ _, /** @type {number[]} */ at) => at.map((value) => axisNumber(value, at)),
      },
    ],
    series: [{}, ...series.map((each) => each.options)],
    hooks: {
      drawClear: [(/** @type {any} */ it) => drawMissing(it, bars.totals)],
      setCursor: [(/** @type {any} */ it) => highlight(it)],
    },
  });
  const column = element("div", { class: "column", hidden: true });
  /** @param {any} it */
  const highlight = (it) => {
    const index = it.cursor.left < 0 ? null : it.cursor.idx;
    column.hidden = index === null || index === undefined;
    if (!column.hidden) {
      const left = it.valToPos(index - 0.5, "x");
      column.style.left = `${left}px`;
      column.style.width = `${it.valToPos(index + 0.5, "x") - left}px`;
    }
    bars.point(column.hidden ? null : index);
  };
  const draw = () => {
    plot?.destroy();
    const data = [bars.totals.map((_, index) => index), ...series.map((each) => each.values)];
    plot = new Plot(options(), data, box);
    plot.over.append(column);
    plot.over.addEventListener("click", () => {
      if (bars.open && typeof plot.cursor.idx === "number") bars.open(plot.cursor.idx);
    });
    if (bars.open) plot.over.classList.add("opens");
  };
  let width = 0;
  const watch = new ResizeObserver(() => {
    if (!box.isConnected) {
      watch.disconnect();
      plot?.destroy();
    } else if (box.clientWidth !== width && box.clientWidth > 0) {
      width = box.clientWidth;
      draw();
    }
  });
  watch.observe(box);
  return box;
}

/** The three series of a stack, the tallest first: the next ones are painted over it.
 * @param {Totals[]} totals @param {-1 | 0 | 1} side of the tick @param {"" | "-pale"} tone */
function stack(totals, side, tone) {
  const wide = side === 0;
  const paths = Plot.paths.bars({ size: [wide ? 0.72 : 0.38, wide ? 64 : 34], align: side });
  const kwh = (/** @type {number | null} */ units) => (units === null ? null : units / UNITS);
  const one = (/** @type {string} */ name, /** @type {(each: Totals) => number | null} */ value) => ({
    values: totals.map((each) => kwh(value(each))),
    options: { paths, width: 0, fill: colour(name + tone), points: { show: false } },
  });
  return [
    one("grid", (each) => (each.imported === null ? null : each.imported + (each.used ?? 0))),
    one("solar", (each) => each.used),
    one("export", (each) => (each.exported === null ? null : -each.exported)),
  ];
}

/** The labels that have room: every second, third, … one. @param {string[]} names @param {number} width */
function labelled(names, width) {
  const longest = Math.max(1, ...names.map((name) => name.length));
  const room = Math.max(1, Math.floor(width / (longest * 7 + 12)));
  const step = Math.ceil(names.length / room);
  return names.map((_, index) => index).filter((index) => index % step === 0);
}

/** @param {number} value @param {number[]} ticks */
function axisNumber(value, ticks) {
  const step = Math.abs((ticks[1] ?? 1) - (ticks[0] ?? 0));
  return number(Math.abs(value), step < 0.1 ? 2 : step < 1 ? 1 : 0);
}

/** Grey columns: dark where nothing is stored, lighter where a part is. @param {any} plot @param {Totals[]} totals */
function drawMissing(plot, totals) {
  const context = /** @type {CanvasRenderingContext2D} */ (plot.ctx);
  const { top, height } = plot.bbox;
  context.save();
  totals.forEach(({ whole, expected }, index) => {
    if (whole >= expected) return;
    const left = plot.valToPos(index - 0.5, "x", true);
    const width = plot.valToPos(index + 0.5, "x", true) - left;
    hatch(context, left + width * 0.06, top, width * 0.88, height, whole === 0 ? 1 : 0.2 + (0.5 * (expected - whole)) / expected);
  });
  context.restore();
}

/** A grey area with diagonal lines. @param {CanvasRenderingContext2D} context @param {number} left @param {number} top
 * @param {number} width @param {number} height @param {number} strength 0 to 1 */
function hatch(context, left, top, width, height, strength) {
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  context.globalAlpha = 0.3 * strength;
  context.fillStyle = colour("missing");
  context.fillRect(left, top, width, height);
  context.globalAlpha = strength;
  context.strokeStyle = colour("missing");
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

/** The heat map of a year: a column a day, a cell an hour, midnight at the top; missing is grey.
 * `columns` has each day's hours by their local hour (the repeated one twice): a value in units, null where it is
 * missing, undefined where it is not over. `months`: the first column of each month and its name.
 * @param {{label: string, columns: {label: number, value: number | null | undefined}[][], top: number, colour: string,
 *   months: {index: number, name: string}[], point: (at: {column: number, hour: number} | null) => void,
 *   open: (column: number) => void}} heat
 * @returns {HTMLElement} */
export function heatMap(heat) {
  const canvas = /** @type {HTMLCanvasElement} */ (element("canvas"));
  const box = element("div", { class: "heat", role: "img", "aria-label": heat.label }, canvas);
  const [left, below, height] = [28, 22, 24 * 12];
  /** @param {MouseEvent} event */
  const at = (event) => {
    const x = ((event.offsetX - left) / (canvas.clientWidth - left)) * heat.columns.length;
    const hour = Math.floor((event.offsetY / height) * 24);
    return x < 0 || hour > 23 || !heat.columns[Math.floor(x)] ? null : { column: Math.floor(x), hour };
  };
  canvas.addEventListener("mousemove", (event) => heat.point(at(event)));
  canvas.addEventListener("mouseleave", () => heat.point(null));
  canvas.addEventListener("click", (event) => {
    const place = at(event);
    if (place) heat.open(place.column);
  });
  let width = 0;
  const watch = new ResizeObserver(() => {
    if (!box.isConnected) watch.disconnect();
    else if (box.clientWidth !== width) {
      width = box.clientWidth;
      draw();
    }
  });
  watch.observe(box);
  const draw = () => {
    canvas.width = width * devicePixelRatio;
    canvas.height = (height + below) * devicePixelRatio;
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height + below}px`;
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    context.scale(devicePixelRatio, devicePixelRatio);
    const step = (width - left) / heat.columns.length;
    const [fill, missing] = [colour(heat.colour), colour("missing")];
    heat.columns.forEach((hours, column) => {
      hours.forEach(({ label, value }, index) => {
        if (value === undefined) return;
        const twice = hours.filter((hour) => hour.label === label).length;
        const second = hours[index - 1]?.label === label;
        context.globalAlpha = value === null ? 0.55 : shade(value, heat.top);
        context.fillStyle = value === null ? missing : fill;
        const size = 12 / twice;
        context.fillRect(left + column * step, label * 12 + (second ? size : 0), step + 0.25, size - 0.5);
      });
    });
    context.globalAlpha = 1;
    context.fillStyle = colour("muted");
    context.font = FONT;
    for (const hour of [0, 6, 12, 18]) context.fillText(String(hour), 4, hour * 12 + 11);
    const narrow = step * 30 < 34;
    heat.months.forEach(({ index, name }, number) => {
      if (!narrow || number % 2 === 0) context.fillText(name, left + index * step + 2, height + 17);
    });
  };
  return box;
}

/** How strongly a value is coloured, 0.04 to 1; small values stay apart. @param {number} value @param {number} top */
export function shade(value, top) {
  return top > 0 ? 0.04 + 0.96 * (Math.max(0, value) / top) ** 0.7 : 0.04;
}

// Charts as SVG, drawn for the width that they get and again when it changes. Each has its figures in a table below.

import { element, number, shape } from "./dom.js";

const PAD = { left: 44, right: 14, top: 12, bottom: 26 };

/** Returns a box whose chart `draw(width)` fills, with a label for those who do not see it, and a table. */
export function figure(label, draw, figures) {
  const box = element("div", { class: "chart", role: "img", "aria-label": label });
  let drawn = 0;
  new ResizeObserver(([entry]) => {
    const width = Math.round(entry.contentRect.width);
    if (!width || width === drawn) return;
    drawn = width;
    box.replaceChildren(draw(width));
  }).observe(box);
  const details = element("details", {}, element("summary", {}, "Figures as a table"), figures);
  return element("div", { class: "figure" }, box, details);
}

/** Returns a legend of names and colour classes. */
export function legend(entries) {
  const keys = entries.map(([name, colour]) => element("li", {}, element("i", { class: `key ${colour}` }), name));
  return element("ul", { class: "legend" }, ...keys);
}

/** Draws a line over rounds: `points` are `[x, y]`. */
export function drawLine(width, points, { colour, zero = false }) {
  const height = 180;
  const ys = points.map(([, y]) => y);
  const [low, high] = spread(zero ? [0, ...ys] : ys);
  const xs = points.map(([x]) => x);
  const x = scale([Math.min(...xs), Math.max(...xs)], [PAD.left + 6, width - PAD.right - 6]);
  const y = scale([low, high], [height - PAD.bottom, PAD.top]);
  const line = points.map(([px, py], place) => `${place ? "L" : "M"}${x(px)} ${y(py)}`).join("");
  const marks = points.length > 60 ? [] : points.map(([px, py]) => shape("circle", { cx: x(px), cy: y(py), r: 3.5 }));
  return canvas(
    width,
    height,
    ...labelled(low, high, 4).flatMap(([tick, label]) => rule(y(tick), width, label)),
    ...ticksOf(xs, Math.floor(width / 60)).map((tick) => text(x(tick), height - 8, tick, "middle")),
    shape("g", { class: `line ${colour}` }, shape("path", { d: line }), ...marks),
  );
}

/** Draws rows of means with their intervals, in groups: `[{name, rows: [{name, colour, mean, low, high}]}]`. */
export function drawIntervals(width, groups) {
  const all = groups.flatMap((group) => group.rows);
  const named = groups.length === 1;
  const isNarrow = width < 420; // names of rows stand above their lines then, not beside them
  const beside = isNarrow ? 12 : 190;
  const [left, step, gap] = [named ? beside : 52, named ? (isNarrow ? 36 : 30) : 15, named ? 0 : 16];
  const height = all.length * step + groups.length * gap + PAD.top + PAD.bottom;
  const x = scale([Math.min(0, ...all.map((row) => row.low)), Math.max(...all.map((row) => row.high)) * 1.04 || 1], [left, width - PAD.right]);
  const parts = [];
  for (const [tick, label] of labelled(...x.domain, Math.max(3, Math.floor(width / 80)))) {
    parts.push(shape("path", { class: "grid", d: `M${x(tick)} ${PAD.top}V${height - PAD.bottom}` }));
    parts.push(text(x(tick), height - 8, label, "middle"));
  }
  let place = PAD.top + (named && isNarrow ? step - 10 : step / 2);
  for (const group of groups) {
    if (!named) parts.push(text(0, place + (step * (group.rows.length - 1)) / 2 + 4, group.name, "start"));
    for (const row of group.rows) {
      if (named) parts.push(isNarrow ? text(left, place - 10, row.name, "start") : text(0, place + 4, row.name, "start"));
      parts.push(
        shape(
          "g",
          { class: `interval ${row.colour}` },
          shape("path", { d: `M${x(row.low)} ${place}H${x(row.high)}` }),
          shape("circle", { cx: x(row.mean), cy: place, r: 4.5 }),
        ),
      );
      place += step;
    }
    place += gap;
  }
  return canvas(width, height, ...parts);
}

/** Draws how many people fall into which bin, one outline for each `{colour, counts}`. */
export function drawHistogram(width, edges, series, label) {
  const height = 200;
  // Square roots: a few people in a bin stay visible beside hundreds in another.
  const peak = Math.max(1, ...series.flatMap(({ counts }) => counts));
  const x = scale([edges[0], edges.at(-1)], [PAD.left, width - PAD.right]);
  const y = scale([0, Math.sqrt(peak)], [height - PAD.bottom - 12, PAD.top]);
  const outline = (counts) =>
    counts.map((count, bin) => `${bin ? "L" : `M${x(edges[0])} ${y(0)}L`}${x(edges[bin])} ${y(Math.sqrt(count))}H${x(edges[bin + 1])}`).join("") +
    `V${y(0)}`;
  const levels = [...new Set([0, Math.round(peak / 16), Math.round(peak / 4), peak])].filter(
    (level, place, list) => place === 0 || y(Math.sqrt(list[place - 1])) - y(Math.sqrt(level)) > 14,
  );
  return canvas(
    width,
    height,
    ...levels.flatMap((level) => rule(y(Math.sqrt(level)), width, number(level))),
    ...labelled(edges[0], edges.at(-1), 5).map(([tick, label]) => text(x(tick), height - 20, label, "middle")),
    text((PAD.left + width) / 2, height - 4, label, "middle"),
    ...series.map(({ colour, counts }) => shape("path", { class: `outline ${colour}`, d: outline(counts) })),
  );
}

function canvas(width, height, ...children) {
  return shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...children);
}

function scale([from, to], [start, end]) {
  const map = (value) => start + ((value - from) / (to - from || 1)) * (end - start);
  map.domain = [from, to];
  return map;
}

function spread(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = (high - low || Math.abs(high) || 1) * 0.12;
  return [low >= 0 ? Math.max(0, low - room) : low - room, high + room];
}

function rule(place, width, label) {
  const line = shape("path", { class: "grid", d: `M${PAD.left} ${place}H${width - PAD.right}` });
  return [line, text(PAD.left - 8, place + 4, label, "end")];
}

function text(x, y, content, anchor) {
  return shape("text", { x, y, "text-anchor": anchor }, String(content));
}

function ticksOf(values, count) {
  const step = Math.max(1, Math.ceil(values.length / Math.max(1, count)));
  return values.filter((_, place) => place % step === 0);
}

/** Returns about `count` round numbers between two, each with its label: as many digits as tell them apart. */
function labelled(low, high, count) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const distance = (size) => Math.abs(Math.log(size / raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).reduce((best, size) => (distance(size) < distance(best) ? size : best));
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const ticks = Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, place) => (first + place) * step);
  return ticks.map((tick) => [tick, number(tick, digits)]);
}

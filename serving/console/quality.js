// Quality per user and per device tier, as `tandem evaluate` wrote it, with the spread over people.

import { drawHistogram, drawIntervals, figure, legend } from "./charts.js";
import { absence, card, element, fill, moment, number, table, tile } from "./dom.js";

const ARMS = {
  popularity: "popularity",
  cloud_only: "cloud only",
  cloud_query: "cloud + query vector",
  cloud_device: "cloud + device",
  full_loop: "query vector + device",
  cloud_personal: "cloud + own tower",
  loop_personal: "query vector + own tower",
  cloud_gated: "cloud + gated device",
  loop_gated: "query vector + gated device",
  oracle: "oracle",
};
const COMPARED = ["cloud_only", "cloud_query", "cloud_device", "full_loop"];
const GAINING = COMPARED.slice(1);

export function showQuality(panel, reports, chosen = 0, group = "all") {
  const intro = element(
    "div",
    { class: "intro" },
    element("h2", {}, "Quality"),
    element("p", { class: "soft" }, "The held-out period, replayed person by person. Means over people with 95 % bootstrap intervals."),
  );
  if (!reports.length) {
    fill(panel, intro, absence("No evaluation yet", "No report was found in this workspace.", "tandem evaluate --workspace …"));
    return;
  }
  const report = reports[chosen];
  const again = (place, which) => showQuality(panel, reports, place, which);
  fill(
    panel,
    intro,
    element("div", { class: "bar" }, ...pickers(reports, report, chosen, group, again)),
    tiles(report),
    legend(COMPARED.map((arm) => [ARMS[arm], arm])),
    element(
      "div",
      { class: "grid" },
      card("All arms", "NDCG@10.", intervals("NDCG@10 of all arms", { "": ndcgOf(report.arms) }, Object.keys(ARMS))),
      card("By device tier", "NDCG@10 of people with a low, mid or high device.", intervals("NDCG@10 by device tier", report.tiers ?? {}, COMPARED)),
      card("By surface", "NDCG@10 of people with a held-out event there.", intervals("NDCG@10 by surface", report.surfaces ?? {}, COMPARED)),
      ...spreads(report, group),
    ),
  );
}

function pickers(reports, report, chosen, group, again) {
  const choose = (name, options, value, onchange) =>
    element("label", {}, `${name} `, element("select", { id: `choose-${name.toLowerCase()}`, onchange: (event) => onchange(event.target.value) }, ...options.map(([key, label]) => element("option", { value: key, selected: key === value }, label))));
  const names = reports.map((other, place) => [place, `${other.bundle_version}, seed ${other.seed} (${moment(other.written_ms)})`]);
  const groups = Object.keys(report.distributions?.ndcg_at_10?.counts ?? {});
  return [
    choose("Report", names, chosen, (place) => again(Number(place), "all")),
    groups.length ? choose("People", groups.map((name) => [name, name === "all" ? "everybody" : `${name} devices`]), group, (name) => again(chosen, name)) : "",
  ];
}

function tiles(report) {
  const gain = report.differences?.["full_loop-cloud_only"]?.ndcg_at_10;
  const harmed = report.share_harmed?.full_loop;
  return element(
    "dl",
    { class: "tiles" },
    tile("People", number(report.num_users), `${number(report.num_events)} held-out events`),
    tile("Cloud only", number(report.arms.cloud_only?.ndcg_at_10?.mean, 4), "NDCG@10"),
    tile("Query vector + device", number(report.arms.full_loop?.ndcg_at_10?.mean, 4), "NDCG@10"),
    gain ? tile("Gain over the cloud", signed(gain.mean), `${signed(gain.low)} … ${signed(gain.high)}`) : null,
    harmed === undefined ? null : tile("Worse off", `${number(100 * harmed, 1)} %`, "of people, than under the cloud alone"),
  );
}

const signed = (value) => `${value < 0 ? "−" : "+"}${number(Math.abs(value), 4)}`;

function ndcgOf(arms) {
  return Object.fromEntries(Object.entries(arms).map(([arm, metrics]) => [arm, metrics.ndcg_at_10]).filter(([, found]) => found));
}

function intervals(label, groups, arms) {
  const shown = Object.entries(groups).map(([name, found]) => ({
    name,
    rows: arms.filter((arm) => found[arm]).map((arm) => ({ name: ARMS[arm], colour: arm, ...found[arm] })),
  }));
  if (!shown.length) return element("p", { class: "soft" }, "The report has none.");
  const rows = shown.flatMap((group) => group.rows.map((row) => [`${group.name} ${row.name}`.trim(), number(row.mean, 4), number(row.low, 4), number(row.high, 4)]));
  return figure(label, (width) => drawIntervals(width, shown), table(label, ["Arm", "Mean", "Low", "High"], rows));
}

function spreads(report, group) {
  if (!report.distributions) {
    return [absence("Spread over people", "This report was written before spreads were kept. Evaluate again.", "tandem evaluate --workspace …")];
  }
  return [
    spread(report.distributions.ndcg_at_10, group, COMPARED, "Spread of quality", "How many people have which NDCG@10; heights are square roots.", "NDCG@10 of a person"),
    spread(report.distributions.gain_over_cloud_only, group, GAINING, "Spread of the gain", "How many people gain or lose how much against the cloud alone; heights are square roots.", "change of a person's NDCG@10"),
  ];
}

function spread({ edges, counts }, group, arms, title, note, axis) {
  const series = arms.filter((arm) => counts[group]?.[arm]).map((arm) => ({ colour: arm, counts: counts[group][arm], name: ARMS[arm] }));
  const rows = edges.slice(0, -1).map((edge, bin) => [`${number(edge, 2)} … ${number(edges[bin + 1], 2)}`, ...series.map((one) => number(one.counts[bin]))]);
  const heads = ["From … to", ...series.map((one) => one.name)];
  const draw = (width) => drawHistogram(width, edges, series, axis);
  return card(title, note, figure(`${title}, ${group}`, draw, table(title, heads, rows)));
}

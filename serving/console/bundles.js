// Bundles: what was published, what it measured, which one is served, and what became of each.

import { bytes, card, element, moment, number, table, tile, absence } from "./dom.js";

const SHADES = 6;

export function showBundles(panel, answer) {
  const intro = element(
    "div",
    { class: "intro" },
    element("h2", {}, "Bundles"),
    element("p", { class: "soft" }, "Each is immutable and signed. The server follows the pointer: a request ends with the bundle that it began with."),
  );
  if (!answer.bundles.length) {
    panel.replaceChildren(intro, absence("No bundle yet", "Nothing was published in this workspace.", "tandem train --workspace …"));
    return;
  }
  const served = answer.bundles.find((bundle) => bundle.version === answer.served);
  panel.replaceChildren(
    intro,
    served?.manifest ? tiles(served) : "",
    card("Published", "Newest first.", published(answer)),
    element("div", { class: "grid" }, served?.manifest ? files(served) : "", swaps(answer)),
  );
}

function tiles({ version, manifest, size_bytes: size }) {
  return element(
    "dl",
    { class: "tiles" },
    tile("Served", element("code", {}, version), moment(manifest.created_ms)),
    tile("Index recall@100", number(manifest.metrics.index_recall_at_100, 4), "beside exact search"),
    tile("Retrieval recall@100", number(manifest.metrics.retrieval_recall_at_100, 4), "next item among 100"),
    tile("Items", number(manifest.num_items), `vectors of ${manifest.dim} numbers`),
    tile("Size", bytes(size), `${Object.keys(manifest.files).length} files`),
  );
}

function published({ bundles, served, pointer }) {
  const heads = ["Version", "State", "Published", "Made from", "Items", "Size", "Index recall@100", "Retrieval recall@100", "Device NDCG@10"];
  return table("Published bundles", heads, bundles.map(({ version, manifest, size_bytes: size, reason }) => {
    const states = [version === served && "served", version === pointer && version !== served && "pointed at"].filter(Boolean);
    const badge = states.length ? element("span", { class: "chip on" }, states.join(", ")) : "";
    if (!manifest) return [version, badge, element("span", { class: "wrong" }, reason), "", "", "", "", "", ""];
    const metric = (name) => number(manifest.metrics[name], 4);
    return [
      element("code", {}, version),
      badge,
      moment(manifest.created_ms),
      manifest.parent ? element("code", {}, manifest.parent) : "data alone",
      number(manifest.num_items),
      bytes(size),
      metric("index_recall_at_100"),
      metric("retrieval_recall_at_100"),
      metric("device_validation_ndcg_at_10"),
    ];
  }));
}

function files({ manifest, size_bytes: size }) {
  const entries = Object.entries(manifest.files).sort(([, a], [, b]) => b.size_bytes - a.size_bytes);
  const bar = element("div", { class: "parts", "aria-hidden": "true" });
  entries.forEach(([, file], place) => {
    const part = element("i", { class: `shade${Math.min(place, SHADES - 1)}` });
    part.style.flexGrow = file.size_bytes / size;
    bar.append(part);
  });
  const rows = entries.map(([name, file], place) => [
    element("span", {}, element("i", { class: `key shade${Math.min(place, SHADES - 1)}` }), name),
    bytes(file.size_bytes),
    element("code", { title: file.sha256 }, `${file.sha256.slice(0, 12)}…`),
  ]);
  return card("Files of the served bundle", null, bar, table("Files of the served bundle", ["File", "Size", "sha256"], rows));
}

function swaps({ swaps }) {
  const entries = swaps.map(({ at_ms: at, version, outcome, reason }) =>
    element(
      "li",
      { class: outcome },
      element("time", { datetime: new Date(at).toISOString() }, moment(at)),
      element("b", {}, version ?? "no pointer"),
      element("span", { class: outcome === "refused" ? "wrong" : "soft" }, outcome === "refused" ? `refused: ${reason}` : "served from here on"),
    ),
  );
  return card("Swap history", "Of this server process, latest first; it begins anew when the process does.", element("ol", { class: "timeline" }, ...entries));
}

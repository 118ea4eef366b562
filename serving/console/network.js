// The network panel. It counts what the browser itself logged (Resource Timing), not what this page says it did.

import { notes } from "./cloud.js";
import { byId, bytes, element } from "./dom.js";

const MAX_SHOWN = 8;
const entries = [];
let since = Number.POSITIVE_INFINITY;

/** Begins to watch; everything since the page was opened is in the browser's log already. */
export function watchNetwork() {
  performance.setResourceTimingBufferSize(2000);
  const observer = new PerformanceObserver((list) => {
    entries.push(...list.getEntries());
    show();
  });
  observer.observe({ type: "resource", buffered: true });
}

/** From here on calls are counted: the moment of a tap. */
export function markTap(time) {
  since = time;
  show();
}

/** Returns how many calls began after the last tap. */
export function callsSinceTap() {
  return entries.filter((entry) => entry.startTime >= since).length;
}

function show() {
  const tapped = Number.isFinite(since);
  const count = callsSinceTap();
  byId("calls").textContent = tapped ? count : "–";
  byId("calls-label").textContent = tapped
    ? `network ${count === 1 ? "call" : "calls"} since your last tap`
    : "tap something: its network calls are counted here";
  byId("calls-box").dataset.state = tapped ? (count === 0 ? "quiet" : "busy") : "idle";
  const isCall = (entry) => entry.initiatorType === "fetch" && !entry.name.endsWith(".wasm");
  const unclaimed = [...notes];
  const isShown = (entry) => isCall(entry) || entry.startTime >= since;
  const rows = entries.filter(isShown).map((entry) => describe(entry, unclaimed));
  byId("call-list").replaceChildren(...rows.reverse().slice(0, MAX_SHOWN));
  const page = entries.filter((entry) => !isCall(entry));
  const size = page.reduce((sum, entry) => sum + entry.transferSize, 0);
  byId("page-weight").textContent = `${page.length} files of the page itself: ${bytes(size)}`;
}

function describe(entry, unclaimed) {
  const place = unclaimed.findIndex((note) => note.address === entry.name);
  const [note] = place < 0 ? [{ method: "GET", leaves: "nothing" }] : unclaimed.splice(place, 1);
  const path = new URL(entry.name).pathname;
  return element(
    "li",
    { class: entry.startTime >= since ? "fresh" : "" },
    element("span", { class: "path" }, element("b", {}, note.method), ` ${path}`),
    element("span", { class: "soft" }, `${bytes(entry.transferSize)} · leaves: ${note.leaves}`),
  );
}

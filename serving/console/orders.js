// The two lists, the lines between them, and the motion from one order to the next.

import { byId, element, shape } from "./dom.js";

const SHORT = 10;
let isLong = false;

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const redraw = new ResizeObserver(() => drawLinks());
let links = [];

/** Shows the cloud's order beside the device's; rows that stay glide from their old places. */
export function showOrders(state, react, before = null) {
  const places = placesBefore();
  const focus = focusedPlace();
  const ranks = new Map(state.candidates.map(({ item_id }, place) => [item_id, place + 1]));
  const left = new Set(state.order.map(({ item_id }) => item_id));
  const shownCloud = state.candidates.slice(0, isLong ? undefined : SHORT);
  const shownDevice = state.order.slice(0, isLong ? undefined : SHORT);
  byId("cloud-list").replaceChildren(...shownCloud.map((item, place) => cloudRow(state, item, place + 1, left)));
  const old = before && new Map(before.filter((itemId) => left.has(itemId)).map((itemId, place) => [itemId, place + 1]));
  byId("device-list").replaceChildren(
    ...shownDevice.map((item, place) => deviceRow(state, item, place + 1, ranks.get(item.item_id), old, react)),
  );
  const more = byId("more");
  more.hidden = state.candidates.length <= SHORT;
  more.textContent = isLong ? `Show the first ${SHORT}` : `Show all ${state.candidates.length}`;
  more.setAttribute("aria-expanded", String(isLong));
  links = shownDevice.map((item, place) => [item.item_id, place + 1, ranks.get(item.item_id)]);
  redraw.observe(byId("orders"));
  drawLinks();
  if (before) glide(places);
  restoreFocus(focus);
}

/** Shows more or fewer rows. */
export function toggleLength(state, react) {
  isLong = !isLong;
  showOrders(state, react);
}

/** Shows what only the device knows: its query vector and its log. */
export function showDevice(state, query) {
  const peak = Math.max(...query.map(Math.abs)) || 1;
  const cells = [...query].map((value) => {
    const cell = element("i", { class: value < 0 ? "minus" : "plus" });
    cell.style.opacity = (0.08 + (0.92 * Math.abs(value)) / peak).toFixed(2);
    return cell;
  });
  byId("taste").replaceChildren(...cells);
  const names = { click: "opened", like: "liked", skip: "skipped", consented: "earlier, shared" };
  const rows = state.device.log
    .slice(-7)
    .reverse()
    .map(({ itemId, action }) =>
      element(
        "li",
        {},
        element("span", { class: "path" }, state.titles.get(itemId)?.title ?? itemId),
        element("span", { class: "soft" }, names[action]),
      ),
    );
  byId("private-log").replaceChildren(...(rows.length ? rows : [element("li", { class: "soft" }, "Nothing yet.")]));
}

function cloudRow(state, item, rank, left) {
  const gone = !left.has(item.item_id);
  const note = gone ? element("span", { class: "soft" }, "done") : null;
  const kind = gone ? "row gone" : "row";
  return element("li", { class: kind, "data-item": item.item_id }, mark(state, item, rank), label(state, item), note);
}

function deviceRow(state, item, rank, cloudRank, old, react) {
  const title = state.titles.get(item.item_id)?.title ?? item.item_id;
  const act = (action, name, sign) =>
    element(
      "button",
      {
        type: "button",
        class: `act ${action}`,
        "data-action": action,
        "aria-label": `${name} ${title}`,
        title: name,
        onclick: (event) => react(item.item_id, action, event),
      },
      element("span", { "aria-hidden": "true" }, sign),
    );
  const open = item.room_id === null ? "Open" : "Watch";
  const moved = old ? (old.get(item.item_id) ?? rank) - rank : 0;
  return element(
    "li",
    { class: moved ? "row moved" : "row", "data-item": item.item_id },
    mark(state, item, rank),
    label(state, item),
    badge(cloudRank, rank),
    element("span", { class: "acts" }, act("click", open, "▶"), act("like", "Like", "♥"), act("skip", "Skip", "✕")),
  );
}

function mark(state, item, rank) {
  const category = state.titles.get(item.item_id)?.categories[0] ?? "";
  const hue = [...category].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  const thumb = element("span", { class: "thumb", "aria-hidden": "true" }, String(rank));
  thumb.style.setProperty("--hue", hue);
  return thumb;
}

function label(state, item) {
  const known = state.titles.get(item.item_id);
  const categories = (known?.categories ?? []).slice(0, 2).join(" · ");
  return element(
    "span",
    { class: "label" },
    element("b", { title: known?.title ?? item.item_id }, known?.title ?? item.item_id),
    element("small", {}, item.room_id === null ? categories : element("em", {}, "live"), item.room_id === null ? "" : ` ${categories}`),
  );
}

function badge(cloudRank, rank) {
  const change = cloudRank - rank;
  const [kind, sign, words] =
    change > 0
      ? ["up", `▲${change}`, `up ${change} from the cloud's place ${cloudRank}`]
      : change < 0
        ? ["down", `▼${-change}`, `down ${-change} from the cloud's place ${cloudRank}`]
        : ["same", "=", "as the cloud had it"];
  const hidden = element("span", { "aria-hidden": "true", title: words }, sign);
  return element("span", { class: `badge ${kind}` }, hidden, element("span", { class: "unseen" }, words));
}

function rowsOf(id) {
  return new Map([...byId(id).children].map((row) => [row.dataset.item, row]));
}

function placesBefore() {
  return new Map([...rowsOf("device-list")].map(([itemId, row]) => [itemId, row.getBoundingClientRect().top]));
}

/** Lets each row begin where it was, or fade in where it is new (First, Last, Invert, Play). */
function glide(places) {
  if (stillness.matches) return;
  for (const [itemId, row] of rowsOf("device-list")) {
    const start = places.get(itemId);
    const shift = start === undefined ? 24 : start - row.getBoundingClientRect().top;
    if (shift === 0) continue;
    const frames = [{ transform: `translateY(${shift}px)`, opacity: start === undefined ? 0 : 1 }, { transform: "none", opacity: 1 }];
    row.animate(frames, { duration: 420, easing: "cubic-bezier(.2,.8,.2,1)" });
  }
  byId("links").animate([{ opacity: 0 }, { opacity: 0, offset: 0.5 }, { opacity: 1 }], { duration: 620 });
}

function drawLinks() {
  const [svg, cloud, device] = [byId("links"), rowsOf("cloud-list"), rowsOf("device-list")];
  const frame = svg.getBoundingClientRect();
  const middle = (row) => {
    const box = row.getBoundingClientRect();
    return box.top + box.height / 2 - frame.top;
  };
  const curves = links.map(([itemId, rank, cloudRank]) => {
    const end = middle(device.get(itemId));
    const start = cloud.has(itemId) ? middle(cloud.get(itemId)) : frame.height + 8;
    const [width, bend] = [frame.width, frame.width * 0.5];
    const kind = `${cloudRank > rank ? "up" : cloudRank < rank ? "down" : "same"}${cloud.has(itemId) ? "" : " far"}`;
    return shape("path", { class: `link ${kind}`, d: `M0 ${start}C${bend} ${start} ${width - bend} ${end} ${width} ${end}` });
  });
  svg.replaceChildren(...curves);
}

/** Where the keyboard stands in the device's list, as place and action: the row itself goes with the tap. */
function focusedPlace() {
  const row = document.activeElement?.closest?.("#device-list .row");
  if (!row) return null;
  return { place: [...row.parentElement.children].indexOf(row), action: document.activeElement.dataset.action };
}

function restoreFocus(focus) {
  if (!focus) return;
  const rows = byId("device-list").children;
  rows[Math.min(focus.place, rows.length - 1)]?.querySelector(`[data-action=${focus.action}]`)?.focus({ preventScroll: true });
}

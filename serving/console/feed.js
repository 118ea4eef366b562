// The feed: asks the cloud once, then lets the device in this tab decide after every tap.

import * as cloud from "./cloud.js";
import { Device } from "./device.js";
import { byId, element } from "./dom.js";
import { callsSinceTap, markTap } from "./network.js";
import { showDevice, showOrders, toggleLength } from "./orders.js";
import { readSnapshot } from "./snapshot.js";
import { QueryEncoder, Reranker, startRuntime } from "./tower.js";

const COUNT = 50;
const NEWCOMER = "";

const state = {
  start: null,
  parts: null, // what the device holds of the served bundle: version, cache, encoder, reranker
  device: null,
  userId: NEWCOMER,
  surface: "feed",
  candidates: [],
  order: [],
  titles: new Map(),
};

/** What the page's test reads: nothing of it is used by the page. */
window.tandem = { state, timings: [] };

export async function openFeed() {
  byId("wish").addEventListener("submit", inTurn(ask));
  byId("person").addEventListener("change", inTurn(async (event) => meet(event.target.value)));
  for (const radio of document.querySelectorAll("[name=surface]")) radio.addEventListener("change", inTurn(changeSurface));
  byId("more").addEventListener("click", () => toggleLength(state, react));
  await inTurn(async () => {
    const start = await cloud.start();
    state.start = start;
    fillPeople(start.people);
    await Promise.all([startRuntime(), holdBundle()]);
    byId("wish").inert = false;
    await meet(start.people[0] ?? NEWCOMER);
  })();
}

let queue = Promise.resolve();

/** Returns a listener whose work waits for the work before it, and which says what went wrong. */
function inTurn(work) {
  return (event) => {
    event?.preventDefault?.();
    queue = queue.then(() => work(event)).catch((error) => say(error.message, "wrong"));
    return queue;
  };
}

function say(text, kind = "") {
  byId("status").textContent = text;
  byId("status").dataset.kind = kind;
}

function fillPeople(people) {
  const options = [[NEWCOMER, "a newcomer"], ...people.map((userId) => [userId, userId])];
  byId("person").replaceChildren(...options.map(([value, name]) => element("option", { value }, name)));
}

/** Downloads what a device downloads: the towers and the vectors of the served bundle. */
async function holdBundle() {
  say("Downloading the towers and the item vectors, as a device does …");
  const { manifest } = await cloud.bundle();
  const [query, device, vectors] = await Promise.all([
    cloud.tower("query_tower.tflite"),
    cloud.tower("device_tower.tflite"),
    cloud.snapshot(),
  ]);
  const encoder = await QueryEncoder.load(query);
  state.parts = { version: manifest.version, cache: readSnapshot(vectors), encoder, reranker: new Reranker(device) };
  byId("served").textContent = manifest.version;
}

/** Becomes another person: the device starts with the consented history, all else it will learn from taps. */
async function meet(userId) {
  state.userId = userId;
  byId("person").value = userId;
  const { cache, encoder, reranker } = state.parts;
  state.device = new Device(cache, encoder, reranker);
  const past = userId === NEWCOMER ? [] : await cloud.history(userId);
  for (const itemId of past) state.device.record(itemId, "consented");
  await ask();
}

async function changeSurface(event) {
  state.surface = event.target.value;
  await ask();
}

async function ask() {
  say("Asking the cloud …");
  const answer = await cloud.recommend(state.surface, COUNT, momentOf(state.surface), await describe());
  if (answer.bundle_version !== state.parts.version) await followBundle();
  const chosen = new Set(state.device.positives());
  // What was chosen before is proposed again where the cloud knows only a vector: it is left out of both lists.
  state.candidates = answer.candidates.filter(({ item_id, room_id }) => room_id !== null || !chosen.has(item_id));
  await state.parts.reranker.prepare(COUNT);
  await nameItems();
  await decide();
  showOrders(state, react);
  const told = state.candidates.length === 1 ? "1 new candidate" : `${state.candidates.length} new candidates`;
  const when = state.surface === "live" && state.start.live_now_ms !== null ? liveNote() : "";
  const does = state.candidates.length ? `proposed ${told}. Open, like or skip: the device decides.` : "has nothing new to propose here.";
  say(`The cloud ${does}${when}`);
}

/** A newer bundle answered: the device takes its towers and vectors, and keeps its log. */
async function followBundle() {
  await holdBundle();
  const { cache, encoder, reranker } = state.parts;
  Object.assign(state.device, { cache, encoder, reranker });
}

async function describe() {
  if (byId("wish").elements.told.value === "vector") return { query_vector: [...(await state.device.query())] };
  if (state.userId === NEWCOMER) return { history: [] };
  // Of the log only what the cloud has itself: what was shared before, never a tap of this tab.
  const shared = state.device.log.filter(({ action }) => action === "consented").map(({ itemId }) => itemId);
  return { user_id: state.userId, exclude_ids: state.surface === "feed" ? shared : [] };
}

function momentOf(surface) {
  return surface === "live" ? state.start.live_now_ms : null;
}

function liveNote() {
  return ` No room is open now; this is ${new Date(state.start.live_now_ms).toLocaleString()}.`;
}

async function nameItems() {
  const wanted = [...state.candidates.map(({ item_id }) => item_id), ...state.device.positives().slice(-COUNT)];
  const missing = [...new Set(wanted)].filter((itemId) => !state.titles.has(itemId));
  for (const [itemId, item] of await cloud.titles(missing)) state.titles.set(itemId, item);
}

async function decide() {
  const { order, query } = await state.device.rerank(state.candidates);
  state.order = order;
  showDevice(state, query);
}

/** A tap: noted, re-ranked and shown, all of it in this tab. */
function react(itemId, action, event) {
  const tappedAt = event.timeStamp;
  markTap(tappedAt);
  return inTurn(() => rerankAfter(itemId, action, tappedAt))();
}

async function rerankAfter(itemId, action, tappedAt) {
  const before = state.order.map(({ item_id }) => item_id);
  state.device.record(itemId, action);
  await decide();
  showOrders(state, react, before);
  const elapsed = performance.now() - tappedAt;
  window.tandem.timings.push(elapsed);
  const moved = countMoves(before);
  const calls = callsSinceTap();
  byId("speed").textContent = `Last tap to new order: ${elapsed.toFixed(1)} ms, in this tab.`;
  const name = state.titles.get(itemId)?.title ?? itemId;
  const did = { click: "You opened", like: "You liked", skip: "You skipped" }[action];
  say(`${did} ${name}. ${moved} of ${state.order.length} moved, ${calls} network calls.`);
}

/** How many items of the new order stand at another place than before; closing a gap is no move. */
function countMoves(before) {
  const kept = new Set(state.order.map(({ item_id }) => item_id));
  const rest = before.filter((other) => kept.has(other));
  return state.order.filter(({ item_id }, place) => rest[place] !== item_id).length;
}

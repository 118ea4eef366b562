// Everything that this page asks the server. Each call says what of the person leaves with it.

import { askForKey, credentials } from "./key.js";

const REFUSED = [401, 403]; // no key that the server knows, or one of a narrower scope
const TITLES_A_CALL = 100;

/** What each call carried, by its address, in the order of the calls: the network panel joins it to the browser's log. */
export const notes = [];

async function call(path, leaves, options = {}) {
  const address = new URL(path, document.baseURI).href;
  notes.push({ address, method: options.method ?? "GET", leaves });
  const sent = credentials();
  const answer = await fetch(address, { ...options, headers: { ...options.headers, ...sent } });
  if (answer.ok) return answer;
  const reason = await explain(answer);
  if (!REFUSED.includes(answer.status)) throw new Error(reason);
  if (credentials().Authorization === sent.Authorization) await askForKey(reason); // else one came in the meantime
  return call(path, leaves, options);
}

async function explain(answer) {
  const problem = await answer.json().catch(() => ({}));
  return problem.detail ?? `The server answered ${answer.status}.`;
}

const json = async (path, leaves, options) => (await call(path, leaves, options)).json();
const bytes = async (path, leaves) => new Uint8Array(await (await call(path, leaves)).arrayBuffer());

export const start = () => json("console/api/start", "nothing");
export const rounds = () => json("console/api/rounds", "nothing");
export const bundles = () => json("console/api/bundles", "nothing");
export const quality = () => json("console/api/quality", "nothing");
export const bundle = () => json("v1/bundle", "nothing");
export const tower = (name) => bytes(`v1/bundle/files/${name}`, "nothing");
export const snapshot = () => bytes("v1/embeddings/snapshot", "nothing");
export const history = (userId) => json(`console/api/people/${encodeURIComponent(userId)}`, "an id");

/** Returns titles by item id. */
export async function titles(itemIds) {
  const found = new Map();
  for (let place = 0; place < itemIds.length; place += TITLES_A_CALL) {
    const query = itemIds.slice(place, place + TITLES_A_CALL).map((itemId) => `id=${encodeURIComponent(itemId)}`);
    const items = await json(`console/api/items?${query.join("&")}`, "ids of shown items");
    for (const item of items) found.set(item.item_id, item);
  }
  return found;
}

/** Returns candidates for whom `person` describes: `{user_id}`, `{history}` or `{query_vector}`. */
export function recommend(surface, count, nowMs, person) {
  const leaves = person.query_vector ? `a vector of ${person.query_vector.length} numbers` : "an id, and what it has already";
  const body = { surface, count, ...person, ...(nowMs === null ? {} : { now_ms: nowMs }) };
  return json("v1/recommend", person.history ? "an empty history" : leaves, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

// One device, in this tab: private log, vector cache, towers. The twin of `federated/device/device.py`.
// Nothing in this file can reach the network: it imports no `fetch`, and the page's test looks that none goes out.

/** What counts as interest; the others (a skip) are kept but make no history. */
const POSITIVE = new Set(["consented", "click", "like"]);

export class Device {
  constructor(cache, encoder, reranker) {
    this.cache = cache;
    this.encoder = encoder;
    this.reranker = reranker;
    this.log = [];
  }

  /** Takes what the person did; the next `rerank` knows of it. */
  record(itemId, action) {
    this.log.push({ itemId, action });
  }

  positives() {
    return this.log.filter((event) => POSITIVE.has(event.action)).map((event) => event.itemId);
  }

  /** Returns the query vector of the private history. */
  query() {
    return this.encoder.encode(this.vectors(this.positives()));
  }

  /**
   * Returns the candidates in the device's order.
   *
   * Items that were chosen before leave the feed (streamers may be watched again), and so do those that were skipped.
   * Items without a vector keep the cloud's order behind the others. Equal scores: by id.
   */
  async rerank(candidates) {
    const skipped = new Set(this.log.filter((event) => event.action === "skip").map((event) => event.itemId));
    const chosen = new Set(this.positives());
    const shown = candidates.filter(
      ({ item_id, room_id }) => !skipped.has(item_id) && (room_id !== null || !chosen.has(item_id)),
    );
    const judged = shown.filter(({ item_id }) => this.cache.has(item_id));
    const rest = shown.filter(({ item_id }) => !this.cache.has(item_id));
    const query = await this.query();
    if (judged.length === 0) return { order: rest, query };
    const scores = await this.reranker.rerank(
      judged.map(({ item_id }) => this.cache.vector(item_id)),
      judged.map(({ score }) => score),
      query,
      this.vectors(this.positives()),
    );
    const places = judged.map((_, place) => place);
    places.sort((a, b) => scores[b] - scores[a] || (judged[a].item_id < judged[b].item_id ? -1 : 1));
    return { order: [...places.map((place) => judged[place]), ...rest], query };
  }

  vectors(itemIds) {
    return itemIds.filter((itemId) => this.cache.has(itemId)).map((itemId) => this.cache.vector(itemId));
  }
}

// Reads item vectors as `GET /v1/embeddings/snapshot` sends them: an Arrow IPC stream of `item_id` and `vector`.

import { openBuffer } from "./flatbuffer.js";

const RECORD_BATCH = 3;

/** The device's copy of the item vectors, of one version: the twin of `federated/device/vector_cache.py`. */
export class VectorCache {
  constructor(version, dim, itemIds, values) {
    this.version = version;
    this.dim = dim;
    this.values = values;
    this.rows = new Map(itemIds.map((itemId, row) => [itemId, row]));
  }

  has(itemId) {
    return this.rows.has(itemId);
  }

  /** Returns one vector, `dim` floats. */
  vector(itemId) {
    const start = this.rows.get(itemId) * this.dim;
    return this.values.subarray(start, start + this.dim);
  }
}

/** Returns the cache that a message describes; throws where it is cut or another message. */
export function readSnapshot(message) {
  const parts = readMessages(message);
  const facts = parts.length && parts[0].metadata;
  const batch = parts.find((part) => part.type === RECORD_BATCH);
  if (!facts || facts.kind !== "snapshot" || !batch) throw new Error("Expected a snapshot of item vectors, got none.");
  const [, idOffsets, idText, , , vectors] = batch.buffers;
  const offsets = new Int32Array(idOffsets.slice().buffer, 0, batch.numRows + 1);
  const decoder = new TextDecoder();
  const itemIds = Array.from({ length: batch.numRows }, (_, row) =>
    decoder.decode(idText.subarray(offsets[row], offsets[row + 1])),
  );
  const dim = Number(facts.dim);
  const values = facts.codec === "float16" ? widen(vectors) : new Float32Array(vectors.slice().buffer);
  return new VectorCache(facts.version, dim, itemIds, values.subarray(0, batch.numRows * dim));
}

function readMessages(message) {
  const parts = [];
  let place = 0;
  while (place + 8 <= message.length) {
    const size = new DataView(message.buffer, message.byteOffset + place, 8).getInt32(4, true);
    if (size === 0) return parts;
    const head = openBuffer(message.subarray(place + 8, place + 8 + size));
    const root = head.root();
    const type = head.view.getUint8(head.field(root, 1));
    const bodySize = head.field(root, 3) ? Number(head.view.getBigInt64(head.field(root, 3), true)) : 0;
    const body = message.subarray(place + 8 + size, place + 8 + size + bodySize);
    parts.push({ type, ...(type === RECORD_BATCH ? readBatch(head, root, body) : readSchema(head, root)) });
    place += 8 + size + bodySize;
  }
  throw new Error("Expected a whole Arrow stream, got one that was cut.");
}

function readSchema(head, root) {
  const schema = head.child(root, 2);
  const pairs = head.tables(head.child(schema, 2)).map((pair) => [head.text(pair, 0), head.text(pair, 1)]);
  return { metadata: Object.fromEntries(pairs) };
}

function readBatch(head, root, body) {
  const batch = head.child(root, 2);
  const list = head.child(batch, 2);
  const buffers = Array.from({ length: head.length(list) }, (_, row) => {
    const place = head.element(list, row, 16);
    const start = Number(head.view.getBigInt64(place, true));
    return body.subarray(start, start + Number(head.view.getBigInt64(place + 8, true)));
  });
  return { numRows: Number(head.view.getBigInt64(head.field(batch, 0), true)), buffers };
}

/** Returns float16 bytes as float32. */
function widen(bytes) {
  const halves = new Uint16Array(bytes.slice().buffer);
  return Float32Array.from(halves, (half) => {
    const sign = half & 0x8000 ? -1 : 1;
    const exponent = (half >> 10) & 31;
    const fraction = half & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

// The device's two towers under LiteRT, in the browser: the very files that a phone downloads, byte for byte.
// The twin of `recsys/cascade/rerank.py`.

import { openBuffer } from "./flatbuffer.js";
import { Tensor, loadAndCompile, loadLiteRt } from "./vendor/litert.js";

const RUNTIME = new URL("./vendor/litert_wasm_compat_internal.js", import.meta.url).href;

let runtime = null;

/** Starts LiteRT once; later calls wait for the same start. */
export function startRuntime() {
  runtime ??= loadLiteRt(RUNTIME);
  return runtime;
}

/** Encodes a history of item vectors into a query vector. */
export class QueryEncoder {
  static async load(bytes) {
    await startRuntime();
    return new QueryEncoder(await loadAndCompile(fixShapes(bytes, 0), { accelerator: "wasm" }));
  }

  constructor(model) {
    this.model = model;
    [, this.historyLength, this.dim] = shapeOf(model, "history");
  }

  /** Returns the query vector of vectors of `dim` floats, oldest first. */
  async encode(history) {
    return run(this.model, padHistory(history, this.historyLength, this.dim), "query");
  }
}

/** Scores the cloud's candidates anew with the device tower. */
export class Reranker {
  constructor(bytes) {
    this.bytes = bytes;
    this.models = new Map();
  }

  /** Makes ready for lists of up to `length` candidates, so that no tap pays for it. */
  async prepare(length) {
    if (!this.models.has(length)) {
      await startRuntime();
      this.models.set(length, await loadAndCompile(fixShapes(this.bytes, length), { accelerator: "wasm" }));
    }
    this.length = length;
    [, this.historyLength, this.dim] = shapeOf(this.models.get(length), "history");
  }

  /**
   * Returns one score per candidate; higher is better.
   *
   * The list is filled up with zero vectors to the length that `prepare` was told: the tower takes them for padding,
   * which does not move the others' scores.
   */
  async rerank(candidates, cloudScores, query, history) {
    const inputs = {
      ...padHistory(history, this.historyLength, this.dim),
      candidates: concat(candidates, this.length * this.dim),
      cloud_scores: concat([standardise(cloudScores)], this.length),
      query,
    };
    return (await run(this.models.get(this.length), inputs, "score")).subarray(0, candidates.length);
  }
}

/** Returns scores with mean 0 and variance 1 (0 where all are equal), as the tower learned them. */
export function standardise(scores) {
  const mean = scores.reduce((sum, score) => sum + score, 0) / scores.length;
  const deviation = Math.sqrt(scores.reduce((sum, score) => sum + (score - mean) ** 2, 0) / scores.length);
  return Float32Array.from(scores, (score) => (score - mean) / (deviation > 1e-6 ? deviation : 1));
}

function padHistory(vectors, length, dim) {
  const recent = vectors.slice(-length);
  const history = new Float32Array(length * dim);
  const mask = new Float32Array(length);
  recent.forEach((vector, row) => {
    history.set(vector, (length - recent.length + row) * dim);
    mask[length - recent.length + row] = 1;
  });
  return { history, history_mask: mask };
}

function concat(vectors, length) {
  const all = new Float32Array(length);
  let place = 0;
  for (const vector of vectors) {
    all.set(vector, place);
    place += vector.length;
  }
  return all;
}

function shapeOf(model, name) {
  return [...model.getInputDetails().find((details) => details.name === name).shape];
}

async function run(model, inputs, output) {
  const tensors = {};
  for (const { name, shape } of model.getInputDetails()) tensors[name] = new Tensor(inputs[name], [...shape]);
  const answers = await model.run(tensors);
  const values = answers[output].toTypedArray().slice();
  for (const tensor of [...Object.values(tensors), ...Object.values(answers)]) tensor.delete();
  return values;
}

/**
 * Returns a model for one list of `length` candidates: the first axis, of lists, is set to 1, another free one to that.
 *
 * LiteRT for the browser takes inputs of a fixed shape only. A free axis stands as -1 in the shape signature of the
 * model's inputs and outputs; with numbers in their places the runtime works out all other shapes. Weights and
 * operations stay as they are.
 */
export function fixShapes(bytes, length) {
  const copy = bytes.slice();
  const buffer = openBuffer(copy);
  for (const graph of buffer.tables(buffer.child(buffer.root(), 2))) {
    const tensors = buffer.tables(buffer.child(graph, 0));
    for (const ends of [buffer.child(graph, 1), buffer.child(graph, 2)]) {
      for (let place = 0; place < buffer.length(ends); place += 1) {
        const tensor = tensors[buffer.view.getInt32(buffer.element(ends, place, 4), true)];
        const [shape, signature] = [buffer.child(tensor, 0), buffer.child(tensor, 7)];
        for (let axis = 0; axis < buffer.length(signature); axis += 1) {
          if (buffer.view.getInt32(buffer.element(signature, axis, 4), true) !== -1) continue;
          for (const numbers of [signature, shape]) {
            buffer.view.setInt32(buffer.element(numbers, axis, 4), axis === 0 ? 1 : length, true);
          }
        }
      }
    }
  }
  return copy;
}

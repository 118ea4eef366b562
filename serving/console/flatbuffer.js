// Reads flatbuffers, the layout of LiteRT models and of Arrow's metadata: just enough of both.

/** Returns a reader over bytes: tables, vectors and strings by the place of a field in its schema. */
export function openBuffer(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const follow = (place) => place + view.getUint32(place, true);
  const field = (table, number) => {
    const layout = table - view.getInt32(table, true);
    const entry = 4 + 2 * number;
    const offset = entry < view.getUint16(layout, true) ? view.getUint16(layout + entry, true) : 0;
    return offset ? table + offset : 0;
  };
  const child = (table, number) => {
    const place = field(table, number);
    return place ? follow(place) : 0;
  };
  return {
    view,
    root: () => follow(0),
    field,
    /** A table, vector or string that a field points to; 0 where it is absent. */
    child,
    length: (vector) => (vector ? view.getUint32(vector, true) : 0),
    /** Where element `row` of a vector lies, `size` bytes each. */
    element: (vector, row, size) => vector + 4 + row * size,
    /** Tables of a vector of tables. */
    tables: (vector) =>
      Array.from({ length: vector ? view.getUint32(vector, true) : 0 }, (_, row) => follow(vector + 4 + 4 * row)),
    text: (table, number) => {
      const place = child(table, number);
      if (!place) return "";
      const start = bytes.byteOffset + place + 4;
      return new TextDecoder().decode(new Uint8Array(bytes.buffer, start, view.getUint32(place, true)));
    },
  };
}

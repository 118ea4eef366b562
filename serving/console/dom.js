// Makes elements and says numbers as people read them.

/** Returns an element: attributes by name, listeners by `on…`, properties for `className` and `textContent`. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Returns an element of SVG. */
export function shape(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Fills a panel anew; what had the focus in it has it again, where it is there again. */
export function fill(panel, ...children) {
  const focused = panel.contains(document.activeElement) && document.activeElement.id;
  panel.replaceChildren(...children);
  if (focused) byId(focused)?.focus();
}

export const byId = (id) => document.getElementById(id);

/** Returns a size as "12.3 kB", which no line breaks. */
export function bytes(count) {
  if (count === null || count === undefined) return "–";
  if (count < 1000) return `${count}\u00a0B`;
  if (count < 1e6) return `${(count / 1e3).toFixed(count < 1e4 ? 1 : 0)}\u00a0kB`;
  return `${(count / 1e6).toFixed(1)}\u00a0MB`;
}

/** Returns a number with some digits, or a dash where there is none. */
export function number(value, digits = 0) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace("-", "−");
}

export const moment = (ms) => new Date(ms).toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });

/** Returns a table; the first cell of each row is its header. */
export function table(caption, heads, rows) {
  const cell = (value, place) => element(place ? "td" : "th", place ? {} : { scope: "row" }, value);
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", { class: "unseen" }, caption),
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map(cell)))),
    ),
  );
}

/** Returns a figure tile: a name, a number, and what it means. */
export function tile(name, value, meaning) {
  return element(
    "div",
    { class: "tile" },
    element("dt", {}, name),
    element("dd", {}, element("strong", {}, value), meaning ? element("span", {}, meaning) : null),
  );
}

/** Returns a card with a heading. */
export function card(title, note, ...children) {
  const head = element("header", {}, element("h3", {}, title), note ? element("p", { class: "soft" }, note) : null);
  return element("section", { class: "card" }, head, ...children);
}

/** Returns a card that says what is missing and which command makes it. */
export function absence(title, what, command) {
  return card(title, what, element("pre", { class: "command", tabindex: "0" }, element("code", {}, command)));
}

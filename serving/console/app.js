// The page: tabs, theme, and the panels that load when they are first looked at.

import { showBundles } from "./bundles.js";
import * as cloud from "./cloud.js";
import { absence, byId } from "./dom.js";
import { openFeed } from "./feed.js";
import { watchNetwork } from "./network.js";
import { showQuality } from "./quality.js";
import { showRounds } from "./rounds.js";

const LOADERS = {
  rounds: async (panel) => showRounds(panel, await cloud.rounds()),
  bundles: async (panel) => showBundles(panel, await cloud.bundles()),
  quality: async (panel) => showQuality(panel, await cloud.quality()),
};

const tabs = [...document.querySelectorAll("[role=tab]")];

function select(tab, focus) {
  for (const other of tabs) {
    const chosen = other === tab;
    other.setAttribute("aria-selected", String(chosen));
    other.tabIndex = chosen ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
  const name = tab.getAttribute("aria-controls");
  // Another address, and be it by its hash, makes Chromium fetch the icon again: a call that the network panel counts.
  if ((location.hash || "#feed") !== `#${name}`) history.replaceState(null, "", `#${name}`);
  load(name);
}

/** Loads a panel anew each time that it is looked at: rounds go on and bundles come while the page is open. */
async function load(name) {
  if (!(name in LOADERS)) return;
  const panel = byId(name);
  try {
    await LOADERS[name](panel);
  } catch (error) {
    panel.replaceChildren(absence("This could not be loaded", error.message, "tandem serve --workspace .tandem"));
  }
}

function step(event) {
  const place = tabs.indexOf(event.currentTarget);
  const moves = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 };
  if (!(event.key in moves)) return;
  event.preventDefault();
  select(tabs[(moves[event.key] + tabs.length) % tabs.length], true);
}

function switchTheme() {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  localStorage.setItem("tandem-theme", root.dataset.theme);
}

for (const tab of tabs) {
  tab.addEventListener("click", () => select(tab, false));
  tab.addEventListener("keydown", step);
}
byId("theme").addEventListener("click", switchTheme);
watchNetwork();
const wanted = tabs.find((tab) => `#${tab.getAttribute("aria-controls")}` === location.hash);
if (wanted) select(wanted, false);
openFeed();

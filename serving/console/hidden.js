// What the rounds of a run hide from whom; federated/README.md has the same as a table, and why.

import { card, element, number } from "./dom.js";

const SEEN = "Nothing of an update: it sees every one of them";
const FROM_SERVER = {
  mean: `${SEEN}.`,
  robust: `${SEEN}.`,
  compressed: `${SEEN}, in fewer bits, which are less exact, not secret.`,
  secure:
    "Every single update: it learns the sum of those who came, and how many were above the bounds. " +
    "Against a server that does not follow the protocol nothing is promised.",
};
const UNKNOWN = `${SEEN}, unless its aggregator was “secure”, which the run did not note.`;
const NOISY = `${SEEN}, and it is the server that adds the noise.`;
const OWN = " The weights that are a person’s own are never sent.";

/** Returns a card that tells it of a run. */
export function hidden(run) {
  const epsilon = run.rounds.findLast((round) => round.epsilon !== undefined)?.epsilon;
  const server = epsilon === undefined ? (FROM_SERVER[run.aggregator] ?? UNKNOWN) : NOISY;
  const facts = {
    "From the server": server + (run.algorithm === "fed_recon" ? OWN : ""),
    "From other devices": `Everything, ${run.aggregator === "secure" ? "unless more than half of a cohort sides with the server" : "as long as the server tells them nothing"}.`,
    "From whoever gets the tower": promise(epsilon, run.delta),
  };
  const rows = Object.entries(facts).map(([whom, what]) => element("div", {}, element("dt", {}, whom), element("dd", {}, what)));
  return card("What is hidden", name(run, epsilon), element("dl", { class: "facts" }, ...rows));
}

function name({ algorithm, aggregator }, epsilon) {
  if (!aggregator) return "This run did not note how updates become a mean.";
  return `Algorithm ${algorithm ?? "unknown"}, aggregator ${aggregator}, ${epsilon === undefined ? "without noise" : "with noise"}.`;
}

function promise(epsilon, delta) {
  if (epsilon === undefined) return "Nothing is promised: the run noted no epsilon, so nothing of it is differentially private.";
  return `Whether somebody took part, up to an epsilon of ${number(epsilon, 2)} so far${delta === null ? "" : ` at a delta of ${delta}`}.`;
}

// Federated rounds: what each gave, what it cost on the wire, what it hid, and a privacy budget only where one was spent.

import { drawLine, figure } from "./charts.js";
import { absence, bytes, card, element, fill, number, table, tile } from "./dom.js";
import { hidden } from "./hidden.js";

export function showRounds(panel, runs, chosen = 0) {
  const intro = element(
    "div",
    { class: "intro" },
    element("h2", {}, "Federated rounds"),
    element("p", { class: "soft" }, "Devices train their tower over private logs and send how its weights changed; the logs stay. The mean of the changes moves everybody’s tower."),
  );
  if (!runs.length) {
    const what = "No federated run has finished a round in this workspace.";
    fill(panel, intro, absence("No rounds yet", what, "tandem federate --workspace … --rounds 10"));
    return;
  }
  const run = runs[chosen];
  const picker = element(
    "label",
    {},
    "Run ",
    element(
      "select",
      { id: "run", onchange: (event) => showRounds(panel, runs, Number(event.target.value)) },
      ...runs.map((other, place) => element("option", { value: place, selected: place === chosen }, `${other.name} (${count(other.rounds)})`)),
    ),
  );
  const charts = [
    chart(run, "ndcg_at_10", "Quality", "NDCG@10 of the validation users, with the weights after each round.", "full_loop"),
    chart(run, "loss", "Loss", "Mean local training loss.", "cloud_device"),
    chart(run, "clients_per_s", "Clients per second", "Clients by the time within TFF alone.", "cloud_query", true),
    chart(run, "epsilon", "Privacy budget", "Epsilon spent up to each round.", "cloud_only", true),
  ];
  fill(panel, intro, element("div", { class: "bar" }, picker), tiles(run), element("div", { class: "grid" }, ...charts.filter(Boolean), hidden(run)));
}

function tiles(run) {
  const { rounds } = run;
  const clients = rounds.reduce((sum, round) => sum + (round.num_clients ?? 0), 0);
  const last = rounds.at(-1);
  const isCounted = rounds.every((round) => round.bytes_down > 0);
  const moved = rounds.reduce((sum, round) => sum + (round.num_clients ?? 0) * (round.bytes_down + round.bytes_up), 0);
  const change = last.ndcg_at_10 - rounds[0].ndcg_at_10;
  return element(
    "dl",
    { class: "tiles" },
    tile("NDCG@10, last round", number(last.ndcg_at_10, 4), `${change >= 0 ? "+" : "−"}${number(Math.abs(change), 4)} since the first`),
    tile("Updates", number(clients), `in ${count(rounds)}`),
    tile("Clients per second", number(median(rounds.map((round) => round.clients_per_s).filter(Number.isFinite)), 1), "median round"),
    tile("Bytes a client", isCounted ? `${bytes(last.bytes_down)}\u00a0↓ ${bytes(last.bytes_up)}\u00a0↑` : "–", isCounted ? `${bytes(moved)} for all updates` : "an earlier version did not note them"),
    last.epsilon === undefined ? null : tile("Epsilon", number(last.epsilon, 2), "spent so far"),
  );
}

const count = (rounds) => `${rounds.length} ${rounds.length === 1 ? "round" : "rounds"}`;

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [Math.floor((sorted.length - 1) / 2), Math.ceil((sorted.length - 1) / 2)];
  return (sorted[low] + sorted[high]) / 2;
}

function chart(run, name, title, note, colour, zero = false) {
  const points = run.rounds.filter((round) => round[name] !== undefined).map((round) => [round.round_number, round[name]]);
  if (!points.length) return null;
  const rows = points.map(([round, value]) => [number(round), number(value, 4)]);
  const label = `${title} over ${count(points)}, from ${number(points[0][1], 3)} to ${number(points.at(-1)[1], 3)}`;
  const draw = (width) => drawLine(width, points, { colour, zero });
  return card(title, note, figure(label, draw, table(`${title} by round`, ["Round", title], rows)));
}

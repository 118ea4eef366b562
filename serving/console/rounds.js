// Federated rounds: what each gave, what it cost on the wire, and a privacy budget only where one was spent.

import { drawLine, figure } from "./charts.js";
import { absence, bytes, card, element, number, table, tile } from "./dom.js";

export function showRounds(panel, runs, chosen = 0) {
  const intro = element(
    "div",
    { class: "intro" },
    element("h2", {}, "Federated rounds"),
    element("p", { class: "soft" }, "Devices train their tower over private logs; the server sees only the mean of their updates."),
  );
  if (!runs.length) {
    const what = "No federated run has finished a round in this workspace.";
    panel.replaceChildren(intro, absence("No rounds yet", what, "tandem federate --workspace … --rounds 10"));
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
      ...runs.map((other, place) => element("option", { value: place, selected: place === chosen }, `${other.name} (${other.rounds.length} rounds)`)),
    ),
  );
  const charts = [
    chart(run, "ndcg_at_10", "Quality", "NDCG@10 of the validation users, with the weights after each round.", 3, "full_loop"),
    chart(run, "loss", "Loss", "Mean local training loss.", 2, "cloud_device"),
    chart(run, "clients_per_s", "Clients per second", "Clients by the time within TFF alone.", 0, "cloud_query", true),
    chart(run, "epsilon", "Privacy budget", "Epsilon spent up to each round.", 2, "cloud_only", true),
  ];
  panel.replaceChildren(intro, element("div", { class: "bar" }, picker), tiles(run), element("div", { class: "grid" }, ...charts.filter(Boolean)), privacy(run) ?? "");
}

function tiles(run) {
  const { rounds } = run;
  const clients = rounds.reduce((sum, round) => sum + (round.num_clients ?? 0), 0);
  const last = rounds.at(-1);
  const moved = rounds.reduce((sum, round) => sum + (round.num_clients ?? 0) * (round.bytes_down + round.bytes_up), 0);
  const speeds = rounds.map((round) => round.clients_per_s).filter(Number.isFinite).sort((a, b) => a - b);
  const change = last.ndcg_at_10 - rounds[0].ndcg_at_10;
  return element(
    "dl",
    { class: "tiles" },
    tile("NDCG@10, last round", number(last.ndcg_at_10, 4), `${change >= 0 ? "+" : "−"}${number(Math.abs(change), 4)} since the first`),
    tile("Updates", number(clients), `in ${rounds.length} ${rounds.length === 1 ? "round" : "rounds"}`),
    tile("Clients per second", number(speeds[Math.floor(speeds.length / 2)], 1), "median round"),
    tile("Bytes a client", `${bytes(last.bytes_down)} ↓ ${bytes(last.bytes_up)} ↑`, Number.isFinite(moved) ? `${bytes(moved)} in all` : "an earlier version did not note them"),
    last.epsilon === undefined ? null : tile("Epsilon", number(last.epsilon, 2), "spent so far"),
  );
}

function chart(run, name, title, note, digits, colour, zero = false) {
  const points = run.rounds.filter((round) => round[name] !== undefined).map((round) => [round.round_number, round[name]]);
  if (!points.length) return null;
  const rows = points.map(([round, value]) => [number(round), number(value, 4)]);
  const label = `${title} over ${points.length} rounds, from ${number(points[0][1], 3)} to ${number(points.at(-1)[1], 3)}`;
  const draw = (width) => drawLine(width, points, { digits, colour, zero });
  return card(title, note, figure(label, draw, table(`${title} by round`, ["Round", title], rows)));
}

function privacy(run) {
  if (run.rounds.some((round) => round.epsilon !== undefined)) return null;
  return element("p", { class: "soft" }, "This run noted no epsilon: nothing here is differentially private. Do not call it private against the server.");
}

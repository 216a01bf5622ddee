// The pipeline as a live graph: stages with their lag and owners, topics with what waits in them, rates between them.

import { copyButton } from "./copy.js";
import { ask, details } from "./dialog.js";
import { element, show, svg } from "./element.js";
import { count, duration, moment, number, rate } from "./format.js";
import { badge, facts, table } from "./table.js";

const EVERY = 2;
const WIDE = 1040;
const KIND = { blocked: "bad", paused: "bad", parked: "bad", away: "warn", starting: "warn", absent: "bad", differs: "bad", running: "ok", idle: "idle" };
const SAYS = {
  blocked: "waits for an operator", paused: "paused by an operator", parked: "rows wait behind a failure", away: "something does not answer",
  starting: "joins, recovers or takes over", absent: "no worker runs it", running: "runs", idle: "holds no slot",
};
const DOES = {
  bridge: "Kinesis to raw", enrich: "raw to events", publish: "events to EventBridge", archive: "dead letters to S3, SQS, SNS",
};
const MOVES = { bridge: (stage) => `${rate(stage.rates.in)} read`, archive: (stage) => `${rate(stage.rates.out)} filed` };
const NEXT = { blocked: "cdc status", paused: "cdc pause list", parked: "cdc status", away: "cdc check", starting: "cdc status", absent: "cdc worker", differs: "cdc status" };

export const view = {
  title: "Pipeline",
  command: () => "cdc status",
  api: () => "/api/pipeline",
  render(root, context) {
    const graph = element("div", { id: "graph", class: "card graph" });
    const way = element("section", { id: "way", "aria-labelledby": "way-title" });
    way.append(element("h2", { id: "way-title" }, "What stands in the way"));
    const same = element("details", { class: "card" }, element("summary", null, "The same as a table"));
    const rows = element("div");
    same.append(rows);
    root.append(element("div", { class: "pipeline" }, graph, way), same);
    let last = null;
    let panel = null;
    const wide = () => graph.clientWidth >= WIDE;
    const open = (name) => {
      panel?.window.close();
      const stage = last.stages.find((one) => one.name === name);
      const window = details(`Stage ${name}`, about(stage, context), () => { panel = null; });
      panel = { name, window };
    };
    const draw = () => {
      if (!last) return;
      show(graph, picture(last, wide(), open), legend());
      show(way, element("h2", { id: "way-title" }, "What stands in the way"), obstacles(last, context));
      show(rows, asTable(last, open));
      const shown = panel && last.stages.find((one) => one.name === panel.name);
      if (shown) panel.window.update(about(shown, context));
    };
    const seen = new ResizeObserver(draw);
    seen.observe(graph);
    context.signal.addEventListener("abort", () => { seen.disconnect(); panel?.window.close(); });
    let told = "";
    context.live("/api/pipeline", {}, EVERY, (body) => {
      last = body;
      draw();
      const news = body.stages.filter((stage) => KIND[stage.standing] === "bad").map((stage) => `${stage.name} is ${stage.standing}`).join(", ");
      if (news !== told) context.say(news || "all stages run again");
      told = news;
    });
  },
};

// the graph

const BOX = { width: 236, height: 164 };
const PILL = { width: 148, height: 74 };

function picture(body, wide, open) {
  const stage = Object.fromEntries(body.stages.map((one) => [one.name, one]));
  const chain = [
    { stage: stage.bridge, under: shardsOf(stage.bridge) }, { topic: body.topics.raw, waits: waiting(stage.enrich, body.topics.raw) },
    { stage: stage.enrich, under: tablesOf(stage.enrich) }, { topic: [body.topics.events], waits: waiting(stage.publish, [body.topics.events]) },
    { stage: stage.publish, under: busesOf(stage.publish) },
  ];
  const rates = [stage.bridge?.rates.out, stage.enrich?.rates.in, stage.enrich?.rates.out, stage.publish?.rates.in];
  const size = wide ? { width: 1328, height: stage.archive ? 366 : 300 } : { width: 284, height: stage.archive ? 1198 : 972 };
  const places = chain.map((_, index) => (wide ? across(index) : down(index)));
  const grave = wide ? { x: 630, y: 222 } : { x: 86, y: 894 };
  const root = svg("svg", { viewBox: `0 0 ${size.width} ${size.height}`, class: wide ? "wide" : "tall", role: "group", "aria-labelledby": "picture-title picture-says" },
    svg("title", { id: "picture-title" }, "The pipeline"),
    svg("desc", { id: "picture-says" }, body.stages.map((one) => spoken(one)).join(" ")),
    svg("defs", null, svg("marker", { id: "tip", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" }, svg("path", { d: "M0 0L8 4L0 8z", class: "tip" }))));
  places.slice(0, -1).forEach((from, index) => root.append(edge(from, chain[index], places[index + 1], rates[index], wide)));
  root.append(...toDead(places, grave, [stage.enrich, stage.publish].map((one) => one?.rates.dead_per_minute ?? 0), wide));
  chain.forEach((one, index) => root.append(one.stage ? box(one, places[index], open) : pill(one, places[index])));
  if (stage.archive) root.append(toArchive(grave, stage.archive, wide), box({ stage: stage.archive, under: sinksOf(stage.archive) }, filed(wide), open));
  root.append(pill({ topic: [body.topics.dead], dead: true, waits: stage.archive && waiting(stage.archive, [body.topics.dead]) }, grave));
  return root;
}

const across = (index) => ({ x: [6, 336, 546, 876, 1086][index], y: index % 2 ? 51 : 6 });
const filed = (wide) => (wide ? { x: 270, y: 196 } : { x: 42, y: 1028 });
const down = (index) => ({ x: index % 2 ? 86 : 42, y: [6, 218, 340, 552, 674][index] });

function edge(from, node, to, value, wide) {
  const size = node.stage ? BOX : PILL;
  const flows = value > 0 ? "edge flows" : "edge";
  const line = wide ? `M${from.x + size.width} ${from.y + size.height / 2}H${to.x - 4}` : `M${from.x + size.width / 2} ${from.y + size.height}V${to.y - 4}`;
  const at = wide ? { x: (from.x + size.width + to.x - 4) / 2, y: from.y + size.height / 2 - 9, "text-anchor": "middle" } : { x: from.x + size.width / 2 + 12, y: (from.y + size.height + to.y) / 2 + 3 };
  return svg("g", null, svg("path", { d: line, class: flows, "marker-end": "url(#tip)" }), svg("text", { ...at, class: "rate" }, rate(value)));
}

// Dead letters of enrich and of publish.
function toDead(places, grave, [enrich, publish], wide) {
  const middle = grave.x + PILL.width / 2;
  const lines = wide
    ? [[enrich, `M${middle} ${places[2].y + BOX.height}V${grave.y - 4}`], [publish, `M${places[4].x + BOX.width / 2} ${places[4].y + BOX.height}V${grave.y + 37}H${grave.x + PILL.width + 4}`]]
    : [[enrich, `M${places[2].x} ${places[2].y + 82}H14V${grave.y + 37}H${grave.x - 4}`], [publish, `M${middle} ${places[4].y + BOX.height}V${grave.y - 4}`]];
  const both = enrich + publish;
  return [...lines.map(([perMinute, d]) => svg("path", { d, class: perMinute > 0 ? "edge deadly flows" : "edge deadly", "marker-end": "url(#tip)" })),
    svg("text", { x: middle + (wide ? 90 : 12), y: grave.y + (wide ? 62 : -22), class: both > 0 ? "rate bad" : "rate" }, `${number(both)} dead/min`)];
}

// The stage beside the way of the events: it runs where dead letters are wanted elsewhere, too.
function toArchive(grave, archive, wide) {
  const to = filed(wide);
  const line = wide ? `M${grave.x} ${grave.y + PILL.height / 2}H${to.x + BOX.width + 4}` : `M${grave.x + PILL.width / 2} ${grave.y + PILL.height}V${to.y - 4}`;
  const at = wide ? { x: (grave.x + to.x + BOX.width) / 2, y: grave.y + PILL.height / 2 - 9, "text-anchor": "middle" } : { x: grave.x + PILL.width / 2 + 12, y: (grave.y + PILL.height + to.y) / 2 + 3 };
  return svg("g", null, svg("path", { d: line, class: archive.rates.in > 0 ? "edge deadly flows" : "edge deadly", "marker-end": "url(#tip)" }), svg("text", { ...at, class: "rate" }, rate(archive.rates.in)));
}

function box({ stage, under }, { x, y }, open) {
  if (!stage) return svg("g");
  const kind = KIND[stage.standing] ?? "idle";
  const act = () => open(stage.name);
  const lines = [
    ["name", 30, stage.name], ["under", 50, cut(under, 31)], ["big", 84, stage.seconds_behind === null ? "lag unknown" : `${duration(stage.seconds_behind)} behind`],
    ["line", 108, stage.name === "bridge" ? statesOf(stage) : stage.records_behind === null ? "" : `${count(stage.records_behind, "record")} to do`],
    [stage.rates.dead_per_minute > 0 ? "line bad" : "line", 128, MOVES[stage.name]?.(stage) ?? `${number(stage.rates.dead_per_minute)} dead/min`],
    ["under", 150, cut(ownersOf(stage), 31)],
  ];
  return svg("g", {
    id: `stage-${stage.name}`, class: `stage ${kind}`, transform: `translate(${x} ${y})`, role: "button", tabindex: "0", "aria-haspopup": "dialog",
    "aria-label": `${spoken(stage)} Open details.`, onclick: act,
    onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); } },
  }, svg("title", null, `${stage.name}: ${SAYS[stage.standing] ?? "unknown"}`),
  svg("rect", { class: "ring", width: BOX.width, height: BOX.height, rx: 14 }),
  lines.filter(([, , text]) => text).map(([name, at, text]) => svg("text", { x: 18, y: at, class: name }, text)),
  svg("text", { x: BOX.width - 18, y: 30, class: "state", "text-anchor": "end" }, `${kind === "ok" ? "● " : "▲ "}${stage.standing ?? "unknown"}`));
}

function pill({ topic, waits, dead }, { x, y }) {
  const name = topic.length === 1 ? topic[0] : `${topic.length} raw topics`;
  return svg("g", { class: dead ? "topic dead" : "topic", transform: `translate(${x} ${y})` }, svg("title", null, topic.join(", ")),
    svg("rect", { width: PILL.width, height: PILL.height, rx: 37 }),
    svg("text", { x: PILL.width / 2, y: 33, class: "topic-name", "text-anchor": "middle" }, cut(name, 18)),
    svg("text", { x: PILL.width / 2, y: 53, class: "under", "text-anchor": "middle" }, dead && waits === undefined ? "dead letters" : waits === null ? "not known" : `${number(waits)} wait`));
}

const cut = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

// Records of these topics that the stage has not committed.
function waiting(stage, topics) {
  const rows = (stage?.partitions ?? []).filter((row) => topics.includes(row.topic) && row.records !== null);
  return rows.length ? rows.reduce((sum, row) => sum + row.records, 0) : null;
}

const shardsOf = (stage) => {
  const all = Object.values(stage?.shards ?? {}).reduce((sum, some) => sum + some, 0);
  return `Kinesis, ${count(all, "shard")}`;
};
const statesOf = (stage) => Object.entries(stage.shards).map(([state, some]) => `${some} ${state.toLowerCase()}`).join(", ");
const tablesOf = (stage) => {
  const names = Object.keys(stage?.tables ?? {});
  return names.length ? `${count(names.length, "table")}, ${count(Object.values(stage.tables).reduce((a, b) => a + b, 0), "entry", "entries")}` : "tables not known";
};
const busesOf = (stage) => {
  const names = [...new Set((stage?.buses ?? []).map((bus) => bus.name))];
  return names.length === 1 ? `bus ${names[0]}` : names.length ? `EventBridge, ${names.length} buses` : "EventBridge";
};
const sinksOf = (stage) => `to ${stage.sinks.map((sink) => sink.toUpperCase()).join(", ") || "S3, SQS, SNS"}`;
const ownersOf = (stage) => {
  const working = stage.owners.filter((owner) => owner.slots.length);
  return working.length === 1 ? `on ${working[0].worker}` : working.length ? `on ${working.length} workers` : "on no worker";
};

const spoken = (stage) =>
  `${stage.name}: ${SAYS[stage.standing] ?? "not known"}, ${stage.seconds_behind === null ? "lag not known" : `${duration(stage.seconds_behind)} behind`}, `
  + `${stage.records_behind === null ? "" : `${count(stage.records_behind, "record")} to do, `}${rate(stage.rates.in, "records a second in")}, ${number(stage.rates.dead_per_minute)} dead letters a minute, ${ownersOf(stage)}.`;

function legend() {
  const entries = [["ok", "● runs"], ["warn", "▲ waits, and goes on by itself"], ["bad", "▲ ringed: blocked, paused or parked, look at the reason"]];
  return element("ul", { class: "legend", "aria-label": "Legend" }, entries.map(([kind, text]) => element("li", { class: kind }, text)),
    element("li", { class: "muted" }, "rates: mean of the last 10 s; dead letters: of the last minute"));
}

// beside the graph

function obstacles(body, context) {
  const reasons = body.stages.flatMap((stage) => stage.reasons.map((reason) => ({ ...reason, stage: stage.name })));
  const absent = body.stages.filter((stage) => stage.standing === "absent");
  const free = body.stages.filter((stage) => stage.unowned.length && stage.standing === "running");
  const items = [
    ...absent.map((stage) => obstacle("bad", stage.name, "no worker runs this stage: what it has to do waits", `cdc worker --stages ${stage.name}`, context)),
    ...reasons.map((reason) => obstacle(KIND[reason.kind], reason.stage, `${reason.what}: ${reason.why} (${told(reason)})`, NEXT[reason.kind], context)),
    ...free.map((stage) => obstacle("warn", stage.name, `${count(stage.unowned.length, "slot")} without an owner: ${ranges(stage.unowned)}`, "cdc status", context)),
  ];
  const more = body.stages.reduce((sum, stage) => sum + stage.more_reasons, 0);
  if (more) items.push(element("li", { class: "muted" }, `and ${number(more)} more`));
  if (items.length) return element("ul", { class: "obstacles" }, items);
  const idle = body.stages.every((stage) => stage.taken === 0);
  return element("div", { class: "empty" }, element("p", { class: "ok" }, "Nothing."),
    idle ? element("p", null, "No record has come since these workers began. Is something written to the stream? ", element("code", null, "cdc check"), " looks at the stream, the topics and the bus.") : null);
}

// By whom, and since when if they know.
const told = (reason) => [reason.workers.join(", "), reason.since_ms ? `since ${moment(reason.since_ms)}` : null].filter(Boolean).join(", ");

const obstacle = (kind, where, what, command, context) => element("li", { class: "card" },
  element("p", null, badge(kind, where), " ", what), command ? element("p", { class: "command" }, element("code", null, command), copyButton(command, "the command", context.say)) : null);

function asTable(body, open) {
  return table({
    id: "stages", caption: "Stages of all workers", rows: body.stages, key: (stage) => stage.name, empty: "No stage is known.",
    columns: [
      { title: "Stage", value: (stage) => element("button", { type: "button", class: "small", onclick: () => open(stage.name) }, stage.name) },
      { title: "State", value: (stage) => badge(KIND[stage.standing] ?? "idle", stage.standing ?? "unknown") },
      { title: "In", numeric: true, value: (stage) => rate(stage.rates.in) },
      { title: "Out", numeric: true, value: (stage) => rate(stage.rates.out) },
      { title: "Filtered", numeric: true, value: (stage) => rate(stage.rates.drop) },
      { title: "Dead", numeric: true, value: (stage) => rate(stage.rates.dead_per_minute, "/min") },
      { title: "Behind", numeric: true, value: (stage) => duration(stage.seconds_behind) },
      { title: "To do", numeric: true, value: (stage) => number(stage.records_behind) },
      { title: "Workers", value: (stage) => stage.owners.map((owner) => owner.worker).join(", ") || "none" },
    ],
  });
}

// details

function about(stage, context) {
  const outcomes = Object.entries(stage.outcomes).sort(([, a], [, b]) => b - a);
  return [
    element("p", null, badge(KIND[stage.standing] ?? "idle", stage.standing ?? "unknown"), ` ${DOES[stage.name] ?? ""}; ${SAYS[stage.standing] ?? "not known"}`),
    context.mayWrite() ? element("p", { class: "row" }, element("button", { type: "button", id: "hold", onclick: () => hold(stage, context) }, "Pause …"),
      stage.reasons.some((reason) => reason.kind === "paused") ? element("button", { type: "button", id: "go-on", onclick: () => change(context, { action: "resume", stage: stage.name, all: true }, `${stage.name} goes on`) }, "Resume") : null) : null,
    stage.reasons.length ? element("ul", { class: "obstacles" }, stage.reasons.map((reason) => obstacle(KIND[reason.kind], reason.what, `${reason.why} (${told(reason)})`, null, context))) : null,
    facts([
      ["Behind", duration(stage.seconds_behind)], ["Records to do", stage.records_behind === null ? null : number(stage.records_behind)],
      ["In", rate(stage.rates.in)], ["Out", rate(stage.rates.out)], ["Filtered", rate(stage.rates.drop)], ["Dead letters", rate(stage.rates.dead_per_minute, "/min")],
      ["Taken since its start", number(stage.taken)], ["Transactions done again", number(stage.aborted)], ["Fenced", number(stage.fenced)],
    ]),
    table({ id: "owners", caption: "Owners", rows: stage.owners, empty: element("p", null, "No worker runs this stage. Start one: ", element("code", null, `cdc worker --stages ${stage.name}`)), columns: [
      { title: "Worker", value: (owner) => owner.worker }, { title: "State", value: (owner) => owner.standing },
      { title: "Slots", value: (owner) => ranges(owner.slots) || "none" }, { title: "Restarts", numeric: true, value: (owner) => number(owner.restarts) },
    ] }),
    outcomes.length ? table({ id: "outcomes", caption: "How records ended", rows: outcomes, columns: [
      { title: "Outcome", code: true, value: ([name]) => name }, { title: "Records", numeric: true, value: ([, records]) => number(records) },
    ] }) : null,
    Object.keys(stage.tables).length ? table({ id: "held", caption: "Tables", rows: Object.entries(stage.tables), columns: [
      { title: "Table", code: true, value: ([name]) => name }, { title: "Entries", numeric: true, value: ([, entries]) => number(entries) },
    ] }) : null,
    stage.buses.length ? table({ id: "buses", caption: "Buses", rows: stage.buses, columns: [
      { title: "Bus", value: (bus) => bus.name }, { title: "Worker", value: (bus) => bus.worker }, { title: "Circuit", value: (bus) => bus.circuit },
      { title: "Trouble", value: (bus) => bus.trouble || "none" }, { title: "In flight", numeric: true, value: (bus) => `${number(bus.in_flight)} of ${number(bus.in_flight_limit)}` },
      { title: "Throttles", numeric: true, value: (bus) => number(bus.throttles) },
    ] }) : null,
    stage.partitions.length ? table({ id: "partitions", caption: "Partitions", rows: stage.partitions, columns: [
      { title: "Partition", code: true, value: (row) => `${row.topic}/${row.partition}` }, { title: "To do", numeric: true, value: (row) => number(row.records) },
      { title: "Behind", numeric: true, value: (row) => duration(row.seconds) },
    ] }) : null,
  ].filter(Boolean);
}

async function hold(stage, context) {
  const told = await ask({
    title: `Pause ${stage.name}`, action: "Pause",
    children: [element("p", null, "It commits what it has done and takes nothing new until somebody resumes it. Nothing is lost. The same in a terminal: ", element("code", null, `cdc pause ${stage.name} --reason …`))],
    fields: [["why", "Why (whoever is called next reads it)", true], ["for", "For how long, such as 30m; empty: until somebody resumes it", false]],
  });
  if (told) await change(context, { action: "pause", stage: stage.name, why: told.why, ...(told.for ? { for: told.for } : {}) }, `${stage.name} is paused`);
}

async function change(context, body, done) {
  try {
    await context.post("/api/pauses", body);
    context.say(done);
  } catch (error) {
    details("Nothing was changed", [element("p", null, error.message), error.hint ? element("p", null, error.hint) : null]);
  }
}

// 0, 1, 2, 5 as "0-2, 5".
export function ranges(numbers) {
  const parts = [];
  for (const one of numbers) {
    const last = parts.at(-1);
    if (last && last[1] === one - 1) last[1] = one;
    else parts.push([one, one]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}-${to}`)).join(", ");
}

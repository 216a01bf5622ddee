// The streams: lineage of their shards, who reads them and how far, and what threatens what is unread.

import { copyButton } from "./copy.js";
import { details } from "./dialog.js";
import { element, show } from "./element.js";
import { UNKNOWN, count, duration, moment, number, percent } from "./format.js";
import { badge, facts, table } from "./table.js";

const EVERY = 3;
const WARN = 0.5;
const DANGER = 0.8;
const KIND = { READING: "ok", BLOCKED: "idle", WAITING: "warn", STOPPED: "bad", ENDED: "idle", PENDING: "warn", GONE: "bad" };
const SAYS = {
  READING: "is read", BLOCKED: "waits until its parents are read to their end", WAITING: "its slot cannot commit", STOPPED: "waits for an operator",
  ENDED: "closed and read to its end", PENDING: "nobody reads it yet", GONE: "left the stream before it was read to its end",
};

export const view = {
  title: "Sources",
  command: () => "cdc checkpoint status",
  api: () => "/api/sources",
  render(root, context) {
    let last = null;
    let panel = null;
    let ended = context.parameters.get("ended") === "yes";
    const draw = () => {
      if (!last) return;
      show(root, last.sources.length ? last.sources.map((source) => section(source, ended, open, toggle)) : nothing());
      const now = panel && find(last, panel);
      if (now) panel.window.update(about(now, context));
    };
    const toggle = () => { ended = !ended; draw(); };
    const open = (source, shard) => {
      panel = { source: source.name, shard: shard.id };
      panel.window = details(shard.id, about({ source, shard }, context), () => { panel = null; });
    };
    context.signal.addEventListener("abort", () => panel?.window.close());
    let told = "";
    context.live("/api/sources", {}, EVERY, (body) => {
      last = body;
      draw();
      const news = body.sources.flatMap((source) => source.shards.filter((shard) => shard.state === "STOPPED" || risk(source, shard) >= DANGER).map((shard) => shard.id)).join(", ");
      if (news && news !== told) context.say(`shards that need somebody: ${news}`);
      told = news;
    });
  },
};

const nothing = () => element("div", { class: "empty" }, element("p", null, "No worker that answers runs the bridge, so nobody knows the streams."),
  element("p", null, "Start one: ", element("code", null, "cdc worker --stages bridge")));

function find(body, { source, shard }) {
  const from = body.sources.find((one) => one.name === source);
  const found = from?.shards.find((one) => one.id === shard);
  return found ? { source: from, shard: found } : null;
}

// Share of the retention that a shard is behind: at 1 records are deleted unread.
const risk = (source, shard) => (source.retention_ms && shard.age_ms !== null && shard.age_ms !== undefined ? shard.age_ms / source.retention_ms : 0);

function section(source, ended, open, toggle) {
  const id = `source-${source.name}`;
  const title = element("h2", { id: `${id}-title` }, `${source.name} `, element("span", { class: "muted" }, source.stream));
  if (source.disabled) {
    return element("section", { id, "aria-labelledby": `${id}-title` }, title, element("p", { class: "empty" }, "It is not read on purpose: sources.yaml disables it."));
  }
  const over = source.shards.filter((shard) => shard.state === "ENDED").length;
  const shown = tree(source.shards.filter((shard) => ended || shard.state !== "ENDED"));
  const worst = Math.max(0, ...source.shards.map((shard) => risk(source, shard)));
  const ages = source.shards.map((shard) => shard.age_ms).filter((age) => typeof age === "number");
  const troubles = [...source.troubles, ...Object.entries(source.listing_errors).map(([code, times]) => `listing its shards failed ${count(times, "time")}: ${code}`)];
  return element("section", { id, "aria-labelledby": `${id}-title` }, title,
    troubles.length ? element("ul", { class: "trouble" }, troubles.map((text) => element("li", null, text))) : null,
    worst >= WARN ? element("p", { class: "trouble" }, element("strong", null, `${percent(worst)} of the retention. `), "Records are deleted unread at 100 %: run more workers, or raise the retention of the stream.") : null,
    element("div", { class: "card" }, facts([
      ["Behind", ages.length ? duration(Math.max(...ages) / 1000) : UNKNOWN],
      ["Shards", states(source.shards)],
      ["Retention", source.retention_ms ? duration(source.retention_ms / 1000) : UNKNOWN], ["Topic", element("code", null, source.topic)],
      ["Throttles", number(sum(source.shards, "throttles"))], ["Records in Kafka", number(sum(source.shards, "records"))],
      ["Order", source.unordered ? "none per key: the stream distributes by itself" : "per partition key"],
    ])),
    table({
      id: `${id}-shards`, caption: `Shards of ${source.stream}, children below their parents`, rows: shown, key: ({ shard }) => shard.id,
      empty: element("p", null, source.listed ? "No shard is open." : "The stream was not listed yet. ", source.listed ? null : element("code", null, "cdc check")),
      columns: [
        { title: "Shard", value: ({ shard, depth }) => element("span", { class: `depth depth-${Math.min(depth, 6)}` }, depth ? element("span", { "aria-hidden": "true" }, "└ ") : null,
          element("button", { type: "button", class: "small code", "aria-label": `Details of ${shard.id}`, onclick: () => open(source, shard) }, shard.id)) },
        { title: "State", value: ({ shard }) => element("span", null, badge(KIND[shard.state] ?? "idle", shard.state.toLowerCase()), shard.why ? ` ${shard.why}` : shard.waits_for.length ? ` by ${shard.waits_for.map(short).join(", ")}` : "") },
        { title: "Owner", value: ({ shard }) => element("span", null, shard.owner ?? "nobody", shard.slot === null ? "" : element("span", { class: "muted" }, `, slot ${shard.slot}`)) },
        { title: "Behind", numeric: true, value: ({ shard }) => behind(source, shard) },
        { title: "Records", numeric: true, value: ({ shard }) => number(shard.records) },
        { title: "Throttles", numeric: true, value: ({ shard }) => number(shard.throttles) },
        { title: "Errors", value: ({ shard }) => errors(shard) },
      ],
    }),
    over ? element("p", null, element("button", { type: "button", onclick: toggle }, ended ? "Hide shards that ended" : `Show ${count(over, "shard")} that ended`)) : null);
}

function behind(source, shard) {
  if (shard.age_ms === null || shard.age_ms === undefined) return shard.ended ? "ended" : UNKNOWN;
  const share = risk(source, shard);
  const text = duration(shard.age_ms / 1000);
  return share >= WARN ? element("span", { class: share >= DANGER ? "bad" : "warn" }, `${text}, ${percent(share)} of the retention`) : text;
}

const errors = (shard) => Object.entries(shard.errors).map(([code, times]) => `${code} ${number(times)}`).join(", ") || (shard.gaps ? "" : "none");
const sum = (shards, name) => shards.reduce((all, shard) => all + (shard[name] ?? 0), 0);
const short = (id) => id.replace(/^shardId-0*(?=\d)/, "shard ");

function states(shards) {
  const found = new Map();
  for (const { state } of shards) found.set(state, (found.get(state) ?? 0) + 1);
  return [...found].map(([state, some]) => `${some} ${state.toLowerCase()}`).join(", ") || "none";
}

// Children after their first known parent, each with its depth; a shard whose parents are not known is a root.
export function tree(shards) {
  const known = new Set(shards.map((shard) => shard.id));
  const children = new Map();
  const roots = [];
  for (const shard of shards) {
    const parent = shard.parents.find((id) => known.has(id));
    if (parent === undefined) roots.push(shard);
    else children.set(parent, [...(children.get(parent) ?? []), shard]);
  }
  const found = [];
  const walk = (shard, depth) => {
    found.push({ shard, depth });
    for (const child of children.get(shard.id) ?? []) walk(child, depth + 1);
  };
  for (const root of roots) walk(root, 0);
  return found;
}

function about({ source, shard }, context) {
  const share = risk(source, shard);
  return [
    element("p", null, badge(KIND[shard.state] ?? "idle", shard.state.toLowerCase()), ` ${SAYS[shard.state] ?? ""}${shard.why ? `: ${shard.why}` : ""}`),
    shard.state === "STOPPED" ? element("p", { class: "trouble" }, "What is missing was deleted unread. docs/runbook.md says how to go on; ", element("code", null, "cdc checkpoint status"), " shows the position.") : null,
    facts([
      ["Owner", shard.owner ?? "nobody"], ["Slot", shard.slot === null ? UNKNOWN : String(shard.slot)], ["Parents", shard.parents.join(", ") || "none"],
      ["Waits for", shard.waits_for.join(", ") || null], ["Share of the hash space", percent(shard.share)],
      ["Behind", behind(source, shard)], ["Of the retention", share ? percent(share) : null], ["Behind, says Kinesis", shard.behind_ms === null ? null : duration(shard.behind_ms / 1000)],
      ["Last record arrived", moment(shard.arrival)], ["Records in Kafka", number(shard.records)], ["Gaps gone over", number(shard.gaps)],
      ["Throttles", number(shard.throttles)], ["Iterators made anew", number(shard.rebuilds)], ["Other failures", number(shard.failures)],
    ]),
    shard.sequence ? element("p", { class: "command" }, element("span", { class: "muted" }, "Position"), element("code", null, shard.sequence), copyButton(shard.sequence, "the position", context.say)) : null,
    Object.keys(shard.errors).length ? table({ id: "errors", caption: "Errors by code", rows: Object.entries(shard.errors), columns: [
      { title: "Code", code: true, value: ([code]) => code }, { title: "Times", numeric: true, value: ([, times]) => number(times) },
    ] }) : null,
  ].filter(Boolean);
}

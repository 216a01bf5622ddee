// Tables: sizes on every worker, entries by key, and why an event has its owner.

import { confirm, details } from "./dialog.js";
import { element, show } from "./element.js";
import { bytes, count, moment, number, UNKNOWN } from "./format.js";
import { badge, facts, table } from "./table.js";
import { Refused } from "./api.js";

const FIELDS = [
  ["key", "Key", "users:7"], ["prefix", "Key begins with", "orders:4"], ["org", "Organisation", "3"], ["user", "User", "7"],
  ["where", "JMESPath", "!orgId"],
];
const quoted = (text) => (/^[\w:.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function command(parameters) {
  const [what, name, key] = ["what", "table", "key"].map((one) => parameters.get(one));
  if (what) return `cdc table explain ${quoted(what)}`;
  if (!name) return "cdc table list";
  if (key) return `cdc table get ${name} ${quoted(key)}`;
  const given = FIELDS.slice(1).filter(([field]) => parameters.get(field));
  return given.length ? `cdc table find ${name} ${given.map(([field]) => `--${field} ${quoted(parameters.get(field))}`).join(" ")}` : `cdc table stats ${name}`;
}

function api(parameters) {
  if (parameters.get("what")) return `/api/tables/explain?${parameters}`;
  return FIELDS.some(([field]) => parameters.get(field)) ? `/api/tables/find?${parameters}` : "/api/tables";
}

export const view = {
  title: "Tables",
  command,
  api,
  async render(root, context) {
    const { parameters } = context;
    const sizes = element("div", { id: "sizes" });
    const found = element("div", { id: "found" });
    show(root, element("link", { rel: "stylesheet", href: "./tables.css" }), question(context), parameters.get("table") ? finder(context, parameters.get("table")) : null, found, sizes);
    context.live("/api/tables", {}, 10, (body) => show(sizes, parameters.get("table") ? one(body, context) : all(body, context)));
    try {
      if (parameters.get("what")) await answer(found, context);
      else if (FIELDS.some(([field]) => parameters.get(field))) await entries(found, context);
    } catch (error) {
      if (context.signal.aborted || !(error instanceof Refused)) throw error;
      show(found, element("p", { class: "trouble", role: "alert" }, error.hint ? `${error.message}; ${error.hint}` : error.message));
    }
  },
};

// why does this event have this owner?

function question(context) {
  return element("form", {
    id: "question", class: "filters", role: "search",
    onsubmit: (event) => {
      event.preventDefault();
      const what = new FormData(event.target).get("what").trim();
      if (what) context.go("tables", { what });
    },
  },
  element("label", { for: "what" }, "Why this owner? ", element("input", { id: "what", name: "what", type: "search", autocomplete: "off", spellcheck: "false", placeholder: "Event id, or a row: orders:41", value: context.parameters.get("what") ?? "" })), element("button", { type: "submit", class: "primary" }, "Explain"));
}

async function answer(root, context) {
  show(root, element("p", { class: "muted" }, "Looking for the record …"));
  const story = await context.get("/api/tables/explain", { what: context.parameters.get("what") }, { seconds: 30 });
  if (context.signal.aborted) return;
  const made = story.event;
  show(root,
    facts([
      ["Row", `${story.row}, ${story.operation}`],
      ["Raw record", `${story.raw.topic}/${story.raw.partition} offset ${story.raw.offset}`],
      ["Event", made ? `${made.eventId}, ${made.topic}/${made.partition} offset ${made.offset}` : null],
      ["Owner then", made ? `orgId ${made.orgId ?? UNKNOWN}, userId ${made.userId ?? UNKNOWN}, from ${made.source}${made.stale ? " (table younger than the change)" : ""}` : null],
    ], true),
    story.ownerRule ? story.now.map(search) : element("p", { class: "empty" }, "The table has no owner rule, so its events have no owner. `owner:` in tables.yaml gives it one."),
    story.databaseLeftOut ? element("p", { class: "muted" }, "The database behind the lookups was not asked: only workers ask it, for what the lookups lack.") : null,
    silent(story.workers));
  context.say(`explained: ${story.now.map((one) => `${one.id} ${one.value ?? "missing"}`).join(", ")}`);
}

function search(one) {
  const found = one.value === null ? badge(one.source === "missing" ? "warn" : "idle", one.source) : badge("ok", `from ${one.source}`);
  return element("section", null,
    element("h2", null, `${one.id} ${one.value ?? UNKNOWN} `, found, one.stale ? badge("warn", "younger than the change") : null),
    one.places.length
      ? table({
        caption: `What each place says of ${one.id} now, in the order of the search`, rows: one.places, empty: "",
        columns: [
          { title: "Place", value: (place) => (place.decided ? element("strong", null, `${place.place} (decides)`) : place.place) },
          { title: "Said", value: (place) => place.said }, { title: one.id, value: (place) => place.value ?? UNKNOWN, code: true },
        ],
      })
      : element("p", { class: "muted" }, "The table's rule does not name it."));
}

const silent = (workers) => {
  const away = workers.filter((worker) => worker.error);
  return away.length ? element("p", { class: "trouble" }, `Not asked: ${away.map((worker) => `${worker.name} (${worker.error})`).join(", ")}. What they hold is missing here.`) : null;
};

// sizes

function all(body, context) {
  return table({
    id: "tables", key: (row) => row.table, caption: "Tables of the enrich stage", rows: body.tables,
    empty: "No worker runs the enrich stage. Start one: cdc worker --stages enrich",
    columns: [
      { title: "Table", value: (row) => element("a", { href: context.link("tables", { table: row.table }) }, row.table) },
      { title: "For", value: (row) => row.purpose },
      { title: "Entries", numeric: true, value: (row) => number(row.entries) },
      { title: "Size", numeric: true, value: (row) => bytes(row.bytes) },
      { title: "Held by", value: (row) => holders(row) },
    ],
  });
}

const holders = (row) => (row.holders.length
  ? element("ul", { class: "plain" }, row.holders.map((one) => element("li", null,
    `${one.worker}: ${count(one.partitions, "partition")}, ${bytes(one.memoryBytes)} of memory`, one.behind ? `, ${number(one.behind)} records behind` : "")))
  : "no worker");

function one(body, context) {
  const name = context.parameters.get("table");
  const row = body.tables.find((known) => known.table === name);
  if (!row) return element("p", { class: "empty" }, `There is no table ${name}. `, element("a", { href: context.link("tables") }, "All tables"));
  const entriesOf = (part) => (row.entries ? `${((part.entries * row.partitions.length) / row.entries).toFixed(2)}x` : UNKNOWN);
  return [
    element("p", null, element("a", { href: context.link("tables") }, "All tables"), ` · ${row.table}: ${row.purpose}`),
    facts([["Entries", number(row.entries)], ["Size", bytes(row.bytes)], ["Held by", holders(row)]], true),
    table({
      caption: "Partitions", rows: row.partitions, empty: "No worker holds a partition of it.",
      columns: [
        { title: "Partition", value: (part) => number(part.partition) }, { title: "Entries", numeric: true, value: (part) => number(part.entries) },
        { title: "Share", numeric: true, value: entriesOf }, { title: "Size", numeric: true, value: (part) => bytes(part.bytes) },
        { title: "Changelog known to offset", numeric: true, value: (part) => number(part.applied) },
      ],
    }),
  ];
}

// entries

function finder(context, name) {
  return element("form", {
    id: "finder", class: "filters", role: "search",
    onsubmit: (event) => {
      event.preventDefault();
      const given = Object.fromEntries([...new FormData(event.target)].map(([field, value]) => [field, value.trim()]).filter(([, value]) => value));
      context.go("tables", { table: name, ...given });
    },
  },
  FIELDS.map(([field, label, example]) => element("label", { for: `field-${field}` }, `${label} `,
    element("input", { id: `field-${field}`, name: field, type: "text", autocomplete: "off", spellcheck: "false", placeholder: example, value: context.parameters.get(field) ?? "" }))),
  element("button", { type: "submit", class: "primary" }, "Find"));
}

async function entries(root, context) {
  const { parameters } = context;
  const body = await context.get("/api/tables/find", Object.fromEntries(parameters));
  if (context.signal.aborted) return;
  context.say(`${count(body.entries.length, "entry", "entries")} found`);
  show(root,
    table({
      id: "entries", caption: `Entries of ${parameters.get("table")}${body.more ? `, the first ${body.entries.length}` : ""}`, rows: body.entries,
      empty: [element("p", null, "No worker holds such an entry."),
        parameters.get("key") ? element("p", null, element("a", { href: context.link("tables", { what: parameters.get("key") }) }, "What is known of its owner?")) : null],
      columns: [
        { title: "Key", code: true, value: (entry) => entry.key },
        { title: "orgId", code: true, value: (entry) => entry.orgId ?? UNKNOWN }, { title: "userId", code: true, value: (entry) => entry.userId ?? UNKNOWN },
        { title: "Since", whole: true, value: (entry) => moment(entry.sinceMs) },
        { title: "More", value: (entry) => entry.unreadable ?? (["schema", "columns", "version", "changes", "block"].filter((name) => name in entry).map((name) => `${name} ${entry[name]}`).join(", ") || UNKNOWN) },
        { title: "Partition", numeric: true, value: (entry) => number(entry.partition) }, { title: "Held by", value: (entry) => entry.holders.join(", ") },
        { title: "As it is", value: (entry) => element("button", { type: "button", class: "small", onclick: () => reveal(context, entry) }, "Reveal") },
      ],
    }),
    body.unheld.length ? element("p", { class: "trouble" }, `No worker holds partition ${body.unheld.join(", ")} now: what stands there is missing here. Is enrich starting?`) : null,
    body.undecided.map((text) => element("p", { class: "muted" }, text)), silent(body.workers));
}

async function reveal(context, entry) {
  const sure = await confirm({
    title: "Show it as it is?", action: "Reveal", danger: true,
    children: element("p", null, "You will see what redaction takes away elsewhere. That you looked is written to the worker's audit log."),
  });
  if (!sure) return;
  try {
    const body = await context.post("/api/tables/reveal", { table: entry.table, key: context.parameters.get("key") ?? entry.key });
    details(`${entry.table}, as it is`, [facts([["Key", body.entry.keyInKafka], ["Held by", body.worker]]), element("pre", null, JSON.stringify(body.entry.value, null, 2))]);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    details("It is not shown", element("p", null, error.hint ? `${error.message}; ${error.hint}` : error.message));
  }
}

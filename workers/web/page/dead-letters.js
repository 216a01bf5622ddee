// Dead letters: what there is by kind, one letter, and a redrive in two steps.

import { Refused } from "./api.js";
import { confirm, details } from "./dialog.js";
import { element, show } from "./element.js";
import { count, moment, number, UNKNOWN } from "./format.js";
import { badge, facts, table } from "./table.js";

const SINCE = [["1h", "1 hour"], ["1d", "1 day"], ["7d", "7 days"], ["30d", "30 days"]];
const FILTERS = [["stage", "Stage"], ["code", "Code"], ["table", "Table"], ["key", "Row"]];
const quoted = (text) => (/^[\w:.-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const options = (parameters) => [...FILTERS.map(([name]) => name), "since"].filter((name) => parameters.get(name))
  .map((name) => ` --${name} ${quoted(parameters.get(name))}`).join("");

export const view = {
  title: "Dead letters",
  command: (parameters) => `cdc dlq list${options(parameters)}${parameters.get("all") === "1" ? " --all" : ""}`,
  api: (parameters) => `/api/dead-letters?${parameters}`,
  render(root, context) {
    const body = element("div", { id: "letters-body" });
    const running = element("div", { id: "running" });
    show(root, element("link", { rel: "stylesheet", href: "./tables.css" }), filters(context), running, body);
    const shown = context.live("/api/dead-letters", Object.fromEntries(context.parameters), 20, (found) => show(body, overview(found, context, redriven)));
    const redriven = () => { follow(running, context, () => shown.refresh()); };
    redriven();
  },
};

function filters(context) {
  const { parameters } = context;
  return element("form", {
    id: "filters", class: "filters", role: "search",
    onsubmit: (event) => {
      event.preventDefault();
      context.go("dead-letters", Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value)));
    },
  },
  FILTERS.map(([name, label]) => element("label", { for: `filter-${name}` }, `${label} `,
    element("input", { id: `filter-${name}`, name, type: name === "key" ? "search" : "text", autocomplete: "off", spellcheck: "false", value: parameters.get(name) ?? "" }))),
  element("label", { for: "filter-since" }, "Written within ",
    element("select", { id: "filter-since", name: "since" }, SINCE.map(([value, label]) => element("option", { value, selected: value === (parameters.get("since") ?? "7d") }, label)))),
  element("label", { for: "filter-all", class: "check" }, element("input", { id: "filter-all", name: "all", type: "checkbox", value: "1", checked: parameters.get("all") === "1" }), " also redriven and dropped ones"),
  element("button", { type: "submit", class: "primary" }, "Show"));
}

function overview(body, context, redriven) {
  if (!body.total) {
    return element("div", { class: "empty" }, element("p", null, "No dead letters here."),
      element("p", null, "Every record became an event or was left out on purpose, or the letters are older than what is chosen above."));
  }
  return [
    element("p", null, `${count(body.total, "letter")}. `, element("button", { type: "button", class: "primary", onclick: () => redrive(context, chosen(context.parameters), redriven) }, "Redrive these …")),
    body.heldBack.map((place) => element("p", { class: "trouble" }, `Not read: ${place}, an open transaction stands before it.`)),
    table({
      id: "groups", caption: "By kind", rows: body.groups, empty: "",
      columns: [
        { title: "What is wrong", value: (row) => row.message || UNKNOWN }, { title: "Letters", numeric: true, value: (row) => number(row.letters) },
        { title: "Code", value: (row) => badge(row.code === "GAP" ? "bad" : "warn", row.code) }, { title: "Stage", value: (row) => row.stage || UNKNOWN },
        { title: "Table", value: (row) => row.table || UNKNOWN }, { title: "Oldest", whole: true, value: (row) => moment(row.oldestMs) }, { title: "Newest", whole: true, value: (row) => moment(row.newestMs) },
        { title: "Only these", value: (row) => element("a", { href: context.link("dead-letters", only(row, context.parameters)) }, "Show") },
      ],
    }),
    table({
      id: "letters", key: (row) => row.id.replace(":", "-"), caption: body.more ? `The newest ${body.letters.length}` : "Letters, the newest first", rows: body.letters, empty: "",
      columns: [
        { title: "Letter", value: (row) => element("button", { type: "button", class: "small", onclick: () => letter(context, row.id, redriven) }, row.id) },
        { title: "Time", whole: true, value: (row) => moment(row.timeMs) }, { title: "Row", code: true, value: (row) => row.key ?? UNKNOWN },
        { title: "Code", value: (row) => row.code }, { title: "Stage", value: (row) => row.stage || UNKNOWN },
        { title: "Redriven", numeric: true, value: (row) => number(row.letter?.replay ?? 0) },
        { title: "Message", value: (row) => [row.message, row.handled ? badge("idle", row.handled.action) : null] },
      ],
    }),
  ];
}

const only = (row, parameters) => Object.fromEntries(Object.entries({ stage: row.stage, code: row.code, table: row.table, since: parameters.get("since") }).filter(([, value]) => value));

// one letter

async function letter(context, id, redriven) {
  const dialog = details(`Dead letter ${id}`, element("p", { class: "muted" }, "Looking …"));
  let found;
  try {
    ({ letter: found } = await context.get("/api/dead-letters/letter", { id }, { seconds: 30 }));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    dialog.update(element("p", { class: "trouble" }, error.message));
    return;
  }
  const told = found.letter ?? {};
  const payload = found.payload;
  dialog.update(
    element("p", null, element("strong", null, found.message), ` (${found.code})`),
    element("p", null, `To do: ${found.whatToDo}.`),
    facts([
      ["Row", found.key], ["Table", found.table],
      ["Source", told.stream ? `${told.stream} ${told.shard} ${told.sequence}/${told.subSequence ?? told.sub_sequence ?? 0}` : null],
      ["Read", told.topic ? `${told.topic}/${told.partition} offset ${told.offset}` : null], ["Failed in", found.stage || null],
      ["Attempts", told.attempts ? `${told.attempts}, redriven ${told.replay ?? 0} times` : null], ["Letter", `${moment(found.timeMs)}, ${id}`],
      ["Handled", found.handled ? `${found.handled.action} ${moment(found.handled.atMs)}` : null],
      ["Payload", payload ? `${number(payload.bytes)} bytes, SHA-256 ${payload.sha256.slice(0, 16)}…${payload.notShown ? `, not shown: ${payload.notShown}` : ", masked as in events"}` : "none"],
      ["Same in a terminal", element("code", null, `cdc dlq show ${id}`)],
    ], true),
    payload?.content ? element("pre", { tabindex: "0", "aria-label": "Payload, masked" }, JSON.stringify(payload.content, null, 2)) : null,
    Object.entries(payload?.wrongTypes ?? {}).map(([column, kind]) => element("p", null, `${column} is not of type or form ${kind}: not shown`)),
    payload?.shownByRulesOfNow
      ? element("p", null, `Not as they stand in the record, but as the rules of now leave them: ${payload.shownByRulesOfNow.join(", ")}`)
      : null,
    found.redrivable
      ? element("p", null, element("button", { type: "button", onclick: () => { dialog.close(); redrive(context, { ids: [id] }, redriven); } }, "Redrive it …"))
      : element("p", { class: "muted" }, `It cannot be redriven: ${found.notRedrivable}`));
}

// a redrive: first what it would do, then it

const chosen = (parameters) => ({
  since: parameters.get("since") ?? "7d",
  ...Object.fromEntries(FILTERS.map(([name]) => [`${name}s`, parameters.get(name) ? [parameters.get(name)] : []])),
});

async function redrive(context, which, redriven) {
  let planned;
  try {
    planned = await context.post("/api/dead-letters/plan", which, { seconds: 30 });
  } catch (error) {
    refused(error);
    return;
  }
  const reasons = planned.reasons.map((one) => element("li", null, `${number(one.letters)} stay: ${one.reason}`));
  if (!planned.letters) {
    details("Nothing to redrive", [element("p", null, "None of these letters can be redriven."), element("ul", null, reasons)]);
    return;
  }
  const sure = await confirm({
    title: `Redrive ${count(planned.letters, "letter")}?`, action: `Redrive ${number(planned.letters)}`, expect: planned.letters,
    children: [
      element("p", null, "They go back to their stages, once each, in the order of their rows. Correct first what made them fail, and restart the workers with it."),
      element("ul", null, planned.kinds.map((kind) => element("li", null, `${number(kind.letters)}: ${kind.message} (${[kind.code, kind.stage, kind.table].filter(Boolean).join(", ")})`)), reasons),
    ],
  });
  if (!sure) return;
  try {
    await context.post("/api/dead-letters/redrive", { ...which, expected: planned.letters }, { seconds: 30 });
    context.say("the redrive has begun");
    redriven();
  } catch (error) {
    refused(error);
  }
}

function refused(error) {
  if (!(error instanceof Refused)) throw error;
  details("Not done", element("p", null, error.hint ? `${error.message}; ${error.hint}` : error.message));
}

async function follow(root, context, ended) {
  let known = null;
  while (!context.signal.aborted) {
    let body;
    try {
      body = await context.get("/api/dead-letters/redrive");
    } catch {
      return; // the view itself says what does not answer
    }
    if (context.signal.aborted) return;
    show(root, body.redrives.map((one) => progress(one)));
    const runs = body.redrives.some((one) => one.endedMs === null);
    if (known && !runs) {
      context.say("the redrive has ended");
      ended();
    }
    known = runs;
    if (!runs) return;
    await new Promise((resolve) => { setTimeout(resolve, 1000); });
  }
}

function progress(one) {
  const state = one.error ? badge("bad", `stopped: ${one.error}`) : one.endedMs ? badge("ok", `done ${moment(one.endedMs)}`) : badge("idle", "runs");
  return element("p", null, `Redrive on ${one.worker}: ${number(one.done)} of ${number(one.total)} `,
    element("progress", { max: one.total, value: one.done, "aria-label": `Redrive on ${one.worker}` }), " ", state);
}

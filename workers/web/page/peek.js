// What the stages write: a live sample, or a time in the past. Masked; filters are JMESPath and run on the worker.

import { details } from "./dialog.js";
import { element, show } from "./element.js";
import { UNKNOWN, bytes, count, number } from "./format.js";
import { copyButton } from "./copy.js";
import { table } from "./table.js";

const EVERY = 2;
const SHOWN = 100;
const PATIENCE_SECONDS = 20;
const STAGES = [["enrich", "events"], ["bridge", "raw records"], ["publish", "receipts of the bus"], ["dead", "dead letters"]];
const NAMES = ["stage", "table", "key", "where", "from", "to"];

const plain = (parameters) => Object.fromEntries(NAMES.map((name) => [name, parameters.get(name) ?? ""]).filter(([, value]) => value));
const quoted = (text) => (/^[\w.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const isPast = (asked) => Boolean(asked.from || asked.to);

export const view = {
  title: "Peek",
  command: (parameters) => {
    const asked = plain(parameters);
    const options = NAMES.filter((name) => asked[name]).map((name) => `--${name} ${quoted(asked[name])}`);
    return ["cdc tail", ...(asked.stage ? [] : ["--stage enrich"]), ...options, ...(isPast(asked) ? ["--no-follow"] : [])].join(" ");
  },
  api: (parameters) => {
    const asked = plain(parameters);
    return `/api/peek${isPast(asked) ? "/past" : ""}?${new URLSearchParams({ stage: "enrich", ...asked })}`;
  },
  render(root, context) {
    const asked = { stage: "enrich", ...plain(context.parameters) };
    const result = element("div", { id: "peeked" });
    show(root, form(asked, context), result);
    if (isPast(asked)) past(result, asked, context);
    else live(result, asked, context);
  },
};

function form(asked, context) {
  const field = (name, label, attributes) => [name, element("label", { class: attributes.class ?? null }, `${label} `,
    element("input", { id: `peek-${name}`, type: "text", value: asked[name] ?? "", autocomplete: "off", spellcheck: "false", ...attributes }))];
  const stage = element("select", { id: "peek-stage" }, STAGES.map(([id, what]) => element("option", { value: id, selected: id === asked.stage }, `${id}: ${what}`)));
  const fields = [
    field("table", "Table", { placeholder: "users" }), field("key", "Row or eventId", { placeholder: "users:7" }),
    field("where", "Filter", { type: "search", class: "grow", placeholder: "orgId == '3' && contains(changedFields, 'Email')" }),
    field("from", "From", { placeholder: "live; or -15m" }), field("to", "To", { placeholder: "now" }),
  ];
  return element("form", {
    id: "peek-form", class: "card row", role: "search", "aria-label": "What to look at",
    onsubmit: (event) => {
      event.preventDefault();
      const wanted = Object.fromEntries(fields.map(([name, label]) => [name, label.querySelector("input").value.trim()]).filter(([, value]) => value));
      context.go("peek", { stage: stage.value, ...wanted });
    },
  }, element("label", null, "Stage ", stage), fields.map(([, label]) => label), element("button", { type: "submit", class: "primary" }, "Look"));
}

function live(result, asked, context) {
  const { from, to, ...query } = asked;
  const state = { records: [], after: 0, held: false, waiting: 0, jumped: 0, told: [] };
  const hold = () => {
    state.held = !state.held;
    state.waiting = 0;
    context.say(state.held ? "the list stands still" : "the list goes on");
    draw();
  };
  const draw = () => show(result, head(), list(state.records, context, empty()), state.told.map((text) => element("p", { class: "muted" }, text)));
  const head = () => element("p", { class: "row" },
    element("button", { type: "button", id: "hold", "aria-pressed": String(state.held), onclick: hold }, state.held ? "Go on" : "Hold the list"),
    element("span", { class: "muted" }, state.held ? `held; ${count(state.waiting, "record")} came since` : `the newest first, ${number(state.records.length)} shown`,
      state.jumped ? `; ${number(state.jumped)} more were written than a sample shows` : ""));
  const empty = () => element("div", null, element("p", null, query.where || query.table || query.key ? "Nothing that fits has been written since you look." : "Nothing has been written yet."),
    element("p", null, "To look at the past, write a time like ", element("code", null, "-15m"), " into “From”."));
  const changing = { ...query, after: 0 };
  draw();
  context.live("/api/peek", changing, EVERY, (body) => {
    if (body.next < changing.after) state.records = []; // the worker began to count anew
    changing.after = body.next;
    state.jumped = body.jumped;
    state.told = body.told;
    if (state.held) {
      state.waiting += body.records.length;
      state.kept = [...(state.kept ?? []), ...body.records].slice(-SHOWN);
    } else {
      state.records = [...body.records.reverse(), ...(state.kept ?? []).reverse(), ...state.records].slice(0, SHOWN);
      state.kept = [];
    }
    draw();
  });
}

async function past(result, asked, context) {
  show(result, element("p", { class: "muted", role: "status" }, "Looking …"));
  try {
    const body = await context.get("/api/peek/past", asked, { seconds: PATIENCE_SECONDS });
    if (context.signal.aborted) return;
    const last = body.records.at(-1);
    show(result, element("p", { class: "muted" }, `${count(body.records.length, "record")} of ${number(body.lookedAt)} looked at, the oldest first`),
      list(body.records, context, element("p", null, "Nothing fits in this time.")),
      body.told.map((text) => element("p", { class: "muted" }, text)),
      body.more && last ? element("p", null, element("a", { href: context.link("peek", { ...asked, from: last.time }) }, `On from ${last.time}`)) : null,
      body.more && !last ? element("p", { class: "trouble" }, "So many records do not fit that the look ended before the time did. Choose a shorter time or a row, or use the command.") : null);
    context.say(count(body.records.length, "record"));
  } catch (error) {
    if (context.signal.aborted) return;
    show(result, element("div", { class: "trouble", role: "alert" }, element("p", null, error.message), error.hint ? element("p", null, error.hint) : null));
  }
}

const place = (record) => `${record.topic}/${record.partition}:${record.offset}`;

function list(records, context, empty) {
  return table({
    id: "records", caption: "Records", rows: records, key: (record) => place(record).replace(/[^\w]/g, "-"), empty,
    columns: [
      { title: "Time", whole: true, value: (record) => record.time ?? UNKNOWN },
      { title: "Place", value: (record) => element("button", { type: "button", class: "small code nowrap", "aria-label": `All of ${place(record)}`, onclick: () => open(record, context) }, place(record)) },
      { title: "What", value: (record) => [record.operation, record.entity ?? record.table].filter(Boolean).join(" ") || UNKNOWN },
      { title: "Event", value: (record) => (record.eventId ? element("a", { href: context.link("trace", { id: record.eventId }), class: "code nowrap" }, record.eventId) : UNKNOWN) },
      { title: "Size", numeric: true, value: (record) => bytes(record.bytes) },
      { title: "Besides", clip: true, value: (record) => (record.broken ? element("span", { class: "bad" }, `broken: ${record.broken}`) : record.said) },
    ],
  });
}

function open(record, context) {
  const { number: _, ...rest } = record;
  const text = JSON.stringify(rest, null, 2);
  details(place(record), [
    element("p", null, element("a", { href: context.link("trace", { id: place(record) }) }, "Trace it")), copyButton(text, "the record", context.say),
    element("pre", { tabindex: "0", "aria-label": "the masked record" }, text),
  ]);
}

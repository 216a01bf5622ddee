// The way of one change: paste what names it, and see every hop, when it happened, where it stands, and where the trail ends.

import { copyButton } from "./copy.js";
import { element, show } from "./element.js";
import { UNKNOWN, count, duration } from "./format.js";
import { badge, table } from "./table.js";

const AGAIN_SECONDS = 3;
const PATIENCE_SECONDS = 20;
const KIND = { delivered: "ok", dropped: "idle", dead: "bad", waiting: "warn", gone: "idle" };
const EXAMPLES = [
  ["evt_1768473060000_36fe4ed5d04a2c6b5675", "an eventId, or an event that holds one"], ["users:7", "a row: the last change of it"],
  ["cdc.events/3:1841", "a place in a topic, as Peek shows it"], ["3:12", "a dead letter"],
  ["4968…", "a sequence number of the stream, or metadata.sequence of an event"], ["74b5971d-…", "the id that the bus gave it"],
];

const plain = (parameters) => Object.fromEntries(["id", "table", "from", "limit"].map((name) => [name, parameters.get(name) ?? ""]).filter(([, value]) => value));
const quoted = (text) => (/^[\w.:/-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

export const view = {
  title: "Trace",
  command: (parameters) => {
    const { id, table: of, from, limit } = plain(parameters);
    if (!id) return "cdc trace --help";
    return ["cdc trace", of && `--table ${quoted(of)}`, from && `--from ${quoted(from)}`, limit && `--limit ${quoted(limit)}`, quoted(id)].filter(Boolean).join(" ");
  },
  api: (parameters) => (parameters.get("id") ? `/api/trace?${new URLSearchParams(plain(parameters))}` : null),
  render(root, context) {
    const asked = plain(context.parameters);
    const result = element("div", { id: "trails", "aria-live": "off" });
    show(root, form(asked, context), result);
    if (!asked.id) {
      show(result, nothingAsked());
      return;
    }
    show(result, element("p", { class: "muted", id: "searching", role: "status" }, "Searching …"));
    let timer = 0;
    context.signal.addEventListener("abort", () => clearTimeout(timer));
    let ended = "";
    const look = async () => {
      let again = false;
      try {
        const body = await context.get("/api/trace", asked, { seconds: PATIENCE_SECONDS });
        if (context.signal.aborted) return;
        show(result, body.trails.length ? body.trails.map((trail, at) => section(trail, at, context)) : notFound(body), notes(body));
        again = !body.final && body.trails.length > 0;
        const told = body.trails.map((trail) => trail.ending).join(", ") || "nothing was found";
        if (told !== ended) context.say(told);
        ended = told;
      } catch (error) {
        if (context.signal.aborted) return;
        show(result, element("div", { class: "trouble", role: "alert" }, element("p", null, error.message), error.hint ? element("p", null, error.hint) : null));
      }
      if (again && !context.signal.aborted) timer = setTimeout(look, AGAIN_SECONDS * 1000);
    };
    look();
  },
};

function form(asked, context) {
  const id = element("input", { id: "trace-id", type: "search", value: asked.id ?? "", autocomplete: "off", spellcheck: "false", placeholder: "eventId, users:7, a place, a sequence, …" });
  const from = element("input", { id: "trace-from", type: "text", value: asked.from ?? "", autocomplete: "off", placeholder: "-2h" });
  const limit = element("input", { id: "trace-limit", type: "number", min: "1", max: "10", value: asked.limit ?? "1" });
  return element("form", {
    id: "trace-form", class: "card row", role: "search", "aria-label": "What to trace",
    onsubmit: (event) => {
      event.preventDefault();
      const wanted = { id: id.value.trim(), from: from.value.trim(), limit: limit.value === "1" ? "" : limit.value };
      context.go("trace", Object.fromEntries(Object.entries(wanted).filter(([, value]) => value)));
    },
  }, element("label", { class: "grow" }, "What to trace ", id), element("label", null, "Since ", from), element("label", null, "The last ", limit),
  element("button", { type: "submit", class: "primary" }, "Trace"));
}

const nothingAsked = () => element("div", { class: "empty" }, element("p", null, "Paste anything that names a change:"),
  element("ul", { class: "plain" }, EXAMPLES.map(([example, what]) => element("li", null, element("code", null, example), ` ${what}`))));

const notFound = (body) => element("div", { class: "empty" },
  element("p", null, `Nothing was found of this ${body.asked}.`),
  element("p", null, `Looked at: ${body.searched ?? "nothing"}.`),
  element("p", null, "It may be older than what Kafka keeps, or not be forwarded yet. An earlier time in “Since” looks further back."));

const notes = (body) => [
  body.more ? element("p", { class: "muted" }, "There may be earlier ones: raise “The last”, or choose an earlier time.") : null,
  ...(body.notes ?? []).map((text) => element("p", { class: "muted" }, text)),
];

function section(trail, at, context) {
  const id = `trail-${at}`;
  const name = trail.eventId ?? trail.entity ?? trail.hops.find((hop) => hop.place)?.place ?? "a record";
  return element("section", { id, class: "trail", "aria-labelledby": `${id}-title` },
    element("h2", { id: `${id}-title` }, element("code", null, name), " ", copyButton(name, "the name", context.say)),
    element("p", null, badge(KIND[trail.ending] ?? "idle", trail.ending), ` ${[trail.operation, trail.entity].filter(Boolean).join(" ")}`),
    element("p", { class: trail.ending === "dead" || trail.ending === "waiting" ? "trouble" : null }, trail.told),
    table({
      id: `${id}-hops`, caption: `Hops of ${name}`, rows: trail.hops, empty: "No hop is known.",
      columns: [
        { title: "Hop", value: (hop) => hop.hop },
        { title: "Time", whole: true, value: (hop) => hop.time ?? UNKNOWN },
        { title: "After", numeric: true, value: (hop) => took(hop.tookMs) },
        { title: "Place", value: (hop) => (hop.place ? element("code", { class: "nowrap" }, hop.place) : "") },
        { title: "What happened", value: (hop) => hop.text },
      ],
    }),
    trail.steps.length ? element("details", { id: `${id}-steps` }, element("summary", null, `What ${count(trail.steps.length, "step")} of the pipeline say of it now`),
      element("ul", { class: "plain" }, trail.steps.map((step) => element("li", null, element("strong", null, step.step), ` ${step.text}`))),
      trail.notes.map((text) => element("p", { class: "muted" }, text))) : null);
}

const took = (ms) => (typeof ms !== "number" ? "" : Math.abs(ms) < 1000 ? `${ms} ms` : `${ms < 0 ? "-" : ""}${duration(Math.abs(ms) / 1000)}`);

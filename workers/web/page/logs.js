// The last log lines of all workers, by time, the newest first. Workers masked them when they wrote them.

import { element, show } from "./element.js";
import { count } from "./format.js";
import { badge, table } from "./table.js";

const EVERY = 3;
const MOST = 200;
const KIND = { DEBUG: "idle", INFO: "ok", WARNING: "warn", ERROR: "bad", CRITICAL: "bad" };
const CHOICES = {
  level: ["At least", [["", "any level"], ["info", "info"], ["warning", "warning"], ["error", "error"]]],
  stage: ["Stage", [["", "all"], ["bridge", "bridge"], ["enrich", "enrich"], ["publish", "publish"], ["archive", "archive"]]],
  since: ["Since", [["", "any time"], ["5m", "5 minutes"], ["1h", "1 hour"], ["1d", "1 day"]]],
};
const SECONDS = { "5m": 300, "1h": 3600, "1d": 86400 };
const NAMES = ["worker", "stage", "level", "since", "grep"];
const quoted = (text) => (/^[\w.:-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);
const plain = (parameters) => Object.fromEntries(NAMES.map((name) => [name, parameters.get(name) ?? ""]).filter(([, value]) => value));

function query(asked) {
  const ago = SECONDS[asked.since];
  return { ...asked, since: ago ? new Date(Date.now() - ago * 1000).toISOString() : "", limit: MOST };
}

export const view = {
  title: "Logs",
  command: (parameters) => ["cdc logs", ...Object.entries(plain(parameters)).map(([name, value]) => `--${name} ${quoted(value)}`)].join(" "),
  api: (parameters) => `/api/logs?${new URLSearchParams(Object.entries(query(plain(parameters))).filter(([, value]) => value))}`,
  render(root, context) {
    const asked = plain(context.parameters);
    const lines = element("div", { id: "log" });
    const changing = query(asked);
    show(root, form(asked, context), lines);
    context.live("/api/logs", changing, EVERY, (body) => {
      Object.assign(changing, query(asked));
      show(lines, silent(body.unreachable), list(body));
    });
  },
};

function form(asked, context) {
  const choice = (name) => element("label", null, `${CHOICES[name][0]} `, element("select", { name },
    CHOICES[name][1].map(([value, label]) => element("option", { value, selected: value === (asked[name] ?? "") }, label))));
  return element("form", {
    id: "logs-form", class: "card row", role: "search", "aria-label": "Which lines",
    onsubmit: (event) => {
      event.preventDefault();
      context.go("logs", Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, value.trim()]).filter(([, value]) => value)));
    },
  },
  element("label", { class: "grow" }, "Holds the text ", element("input", { id: "log-grep", name: "grep", type: "search", autocomplete: "off", spellcheck: "false", value: asked.grep ?? "" })),
  element("label", null, "Worker ", element("input", { name: "worker", type: "text", autocomplete: "off", spellcheck: "false", placeholder: "all", value: asked.worker ?? "" })),
  ["stage", "level", "since"].map(choice), element("button", { type: "submit", class: "primary" }, "Show"));
}

const silent = (unreachable) => Object.entries(unreachable).map(([name, why]) => element("p", { class: "trouble" }, `worker ${name} does not answer: ${why}`));

function list({ lines, missed }) {
  const more = Object.values(missed).reduce((sum, one) => sum + one, 0);
  return [
    table({
      id: "lines", caption: `${count(lines.length, "line")}, the newest first`, rows: lines.toReversed(),
      empty: [element("p", null, "No such line."), element("p", null, "Each worker keeps its last 5,000 lines; older ones are where its stderr goes.")],
      columns: [
        { title: "Time", whole: true, value: (line) => line.time }, { title: "Level", value: (line) => badge(KIND[line.level] ?? "idle", line.level.toLowerCase()) },
        { title: "Worker", value: (line) => element("span", { class: "nowrap" }, line.worker) }, { title: "Stage", value: (line) => line.stage ?? "" },
        { title: "Message", value: (line) => [line.message, line.error ? element("pre", null, line.error) : null] },
      ],
    }),
    more ? element("p", { class: "muted" }, `${count(more, "older line")} not shown: choose fewer, or see more with --limit 1000.`) : null,
  ];
}

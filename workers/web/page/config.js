// What the workers run with, where they differ, and what an examination finds.

import { copyButton } from "./copy.js";
import { element, show } from "./element.js";
import { count, duration, moment } from "./format.js";
import { badge, table } from "./table.js";

const EVERY = 10;
const PATIENCE = 120;

export const view = {
  title: "Config & health",
  command: () => "cdc check",
  api: () => "/api/config",
  render(root, context) {
    const workers = element("section", { id: "workers", "aria-label": "Workers" });
    const health = element("section", { id: "health", "aria-labelledby": "health-title" });
    const settings = element("section", { id: "settings", "aria-labelledby": "settings-title" });
    root.append(workers, health, settings);
    let last = null;
    let report = null;
    let under = false;
    let failed = null;
    const filter = element("input", { type: "search", id: "filter", placeholder: "Name, value or meaning", oninput: () => draw() });
    const changed = element("input", { type: "checkbox", id: "changed", checked: true, onchange: () => draw() });
    settings.append(element("h2", { id: "settings-title" }, "Settings"),
      element("div", { class: "row" }, element("label", { for: "filter" }, "Find"), filter, element("label", { class: "row", for: "changed" }, changed, "only what is set")));
    const rows = element("div", { id: "rows" });
    settings.append(rows);
    const examine = async () => {
      if (under) return;
      [under, failed] = [true, null];
      draw();
      context.say("the examination has begun");
      try {
        report = await context.post("/api/check", {}, { seconds: PATIENCE });
        context.say(report.findings.length ? count(report.findings.length, "finding") : "nothing was found");
      } catch (error) {
        if (context.signal.aborted) return;
        failed = error;
        context.say(`the examination failed: ${error.message}`);
      }
      under = false;
      draw();
    };
    const draw = () => {
      if (!last) return;
      show(workers, crew(last), drift(last));
      show(health, element("h2", { id: "health-title" }, "Examination"), examination(report, under, failed, examine, context));
      show(rows, chosen(last, filter.value.trim().toLowerCase(), changed.checked));
    };
    context.live("/api/config", {}, EVERY, (body) => {
      last = body;
      draw();
    });
  },
};

function crew(body) {
  const prints = new Set(body.workers.map((worker) => worker.fingerprint).filter(Boolean));
  const versions = new Set(body.workers.map((worker) => worker.version).filter(Boolean));
  return table({
    id: "crew", caption: "Workers", rows: body.workers, key: (worker) => worker.name, empty: "No worker answers.",
    columns: [
      { title: "Worker", value: (worker) => element("span", null, worker.name, worker.name === body.here ? element("span", { class: "muted" }, " (this one)") : "") },
      { title: "State", value: (worker) => (worker.error ? badge("bad", "silent") : badge("ok", "answers")) },
      { title: "Version", value: (worker) => odd(worker.version, versions) },
      { title: "Python", value: (worker) => worker.python ?? "–" },
      { title: "Started", value: (worker) => (worker.started ? element("span", { title: moment(worker.started) }, `${duration((body.at - worker.started) / 1000)} ago`) : "–") },
      { title: "Stages", value: (worker) => Object.keys(worker.tables ?? {}).join(", ") || "–" },
      { title: "Settings", code: true, value: (worker) => odd(worker.fingerprint, prints) },
    ],
  });
}

const odd = (value, all) => (!value ? "–" : all.size > 1 ? element("span", null, value, " ", badge("warn", "differs")) : value);

function drift(body) {
  if (!body.drift.length) return element("p", { class: "muted" }, body.workers.length > 1 ? "All workers that answer run the same version with the same settings. Secrets are compared as set or not set only." : null);
  return table({
    id: "drift", caption: "What differs between workers, and should not", rows: body.drift, key: (one) => one.what,
    columns: [{ title: "What", code: true, value: (one) => one.what },
      { title: "Values", value: (one) => element("ul", { class: "plain" }, Object.entries(one.values).map(([worker, value]) => element("li", null, element("strong", null, `${worker}: `), element("code", null, value || "not set")))) }],
  });
}

function examination(report, under, failed, examine, context) {
  const button = element("p", { class: "row" },
    element("button", { type: "button", id: "examine", class: "primary", "aria-disabled": String(under), onclick: examine }, under ? "Looking …" : "Examine now"),
    element("span", { class: "muted" }, report ? `made ${moment(report.at)}, took ${report.took} s` : "What cdc check does, from this worker: settings, tables, Kafka, bus. It writes nothing but one transaction that it aborts."));
  if (failed) return [button, element("p", { class: "trouble" }, failed.hint ? `${failed.message}; ${failed.hint}` : failed.message)];
  if (!report) return [button];
  const skipped = report.skipped.length ? element("p", { class: "warn" }, `Not looked at because of a finding before: ${report.skipped.join(", ")}`) : null;
  return [button, skipped, table({
    id: "findings", caption: `Findings; looked at: ${report.checked.join(", ")}`, rows: report.findings,
    empty: element("p", { class: "ok" }, `Nothing was found. Looked at: ${report.checked.join(", ")}.`),
    columns: [
      { title: "Finding", code: true, value: (one) => one.id },
      { title: "How bad", value: (one) => badge(one.severity === "error" ? "bad" : "warn", one.severity) },
      { title: "About", value: (one) => one.subject }, { title: "What", value: (one) => one.message }, { title: "What to do", value: (one) => one.action },
    ],
  }), element("p", { class: "command" }, element("code", null, "cdc check"), copyButton("cdc check", "the command", context.say))];
}

function chosen(body, wanted, changed) {
  const rows = body.settings.filter((row) => (!changed || row.origin !== "default")
    && (!wanted || `${row.name} ${row.value} ${row.description}`.toLowerCase().includes(wanted)));
  return [
    element("p", { class: "muted", "aria-live": "polite" }, `${rows.length} of ${count(body.settings.length, "setting")}${body.of ? ` of ${body.of}` : ""}`),
    table({
      id: "values", caption: "Effective settings", rows, key: (row) => row.field,
      empty: element("p", null, "No setting is like that. ", element("code", null, "cdc config show"), " lists them all."),
      columns: [
        { title: "Setting", code: true, value: (row) => row.name },
        { title: "Value", code: true, value: (row) => (row.value === "" ? element("span", { class: "muted" }, "not set") : row.changed ? element("strong", null, row.value) : row.value) },
        { title: "From", value: (row) => (row.origin === "default" ? element("span", { class: "muted" }, "default") : `${row.origin}${row.where && row.where !== row.name ? ` ${row.where}` : ""}`) },
        { title: "Meaning", value: (row) => row.description },
      ],
    }),
  ];
}

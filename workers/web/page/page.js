/* The shell of the page: views, addresses, updates, and what is the same on all of them.

A view is one module `<id>.js` beside this one, listed in VIEWS. It exports

    export const view = {
      title: "Tables",                           // of the document and of the heading
      command: (parameters) => "cdc table list", // the same in a terminal; parameters: URLSearchParams of the address
      api: (parameters) => "/api/tables",        // the same as JSON; null if there is none
      render(root, context) {…},                 // fill `root`, once per address; may be async
      leave() {…},                               // optional: the address changes, clean up what `context` does not know
    };

Addresses are `#<id>?name=value`. `context` has

    parameters            URLSearchParams of the address
    go(id, parameters)    another address; link(id, parameters) is the same as href
    get(path, query)      a JSON document, or throws Refused {status, message, hint, body} (api.js)
    post(path, body)      the same for writes
    live(path, query, seconds, shown)   ask now and every so many seconds; `shown(body)` draws it. Asks nothing while the
                          tab is hidden or updates are paused. Errors, old data and workers of `body.workers` that have
                          an `error` are told above the view. Returns {refresh()}.
    say(text)             to screen readers, politely
    command(text)         replaces what `view.command` gave, once it is better known; json(path) the same for `view.api`
    signal                AbortSignal: the address has changed
    mayWrite()            whether whoever looks may change something; ask before you offer it

Draw with `element`, `svg` and `show` of element.js (all data is text there: never innerHTML), `table`, `facts` and
`badge` of table.js, `details` and `confirm` of dialog.js, the formats of format.js, `copyButton` of copy.js. No view
sets styles: CSP allows classes only; a new class goes into page.css or a `<id>.css` of the view's own. A search field of a
view is `<input type="search">`: `/` focuses the first one of the view, else the one of the page. */

import { Refused, get, post } from "./api.js";
import { copyButton } from "./copy.js";
import { element, show } from "./element.js";
import { duration } from "./format.js";

const VIEWS = [
  ["pipeline", "Pipeline"], ["sources", "Sources"], ["tables", "Tables"], ["dead-letters", "Dead letters"],
  ["trace", "Trace"], ["peek", "Peek"], ["logs", "Logs"], ["config", "Config & health"],
];
const byId = (id) => document.getElementById(id);
const state = { view: null, abort: null, paused: false, asked: null, wake: new Set(), who: null };

// addresses

const link = (id, parameters = {}) => {
  const query = new URLSearchParams(parameters).toString();
  return `#${id}${query ? `?${query}` : ""}`;
};
const go = (id, parameters) => { location.hash = link(id, parameters); };

async function open() {
  const [name, query] = location.hash.slice(1).split(/\?(.*)/s);
  const id = VIEWS.some(([known]) => known === name) ? name : VIEWS[0][0];
  state.view?.leave?.();
  state.abort?.abort();
  const abort = (state.abort = new AbortController());
  Object.assign(state, { view: null, asked: null });
  state.wake.clear();
  for (const tab of byId("tabs").querySelectorAll("a")) {
    if (tab.dataset.view === id) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  const root = element("div", { id: "view" });
  byId("view").replaceWith(root);
  show(byId("trouble"));
  const parameters = new URLSearchParams(query ?? "");
  heading(VIEWS.find(([known]) => known === id)[1]);
  let view;
  try {
    ({ view } = await import(`./${id}.js`));
  } catch (error) {
    if (abort.signal.aborted) return;
    show(root, element("div", { class: "empty" }, element("p", null, "This view is not there yet, or could not be loaded."),
      element("p", null, element("button", { type: "button", onclick: () => location.reload() }, "Load again"))));
    console.warn(`view ${id}: ${error}`);
    return;
  }
  if (abort.signal.aborted) return;
  state.view = view;
  heading(view.title);
  const context = contextOf(view, parameters, abort.signal);
  same(context.shown);
  freshness();
  try {
    await view.render(root, context);
  } catch (error) {
    if (!abort.signal.aborted) broken(error);
  }
}

function heading(title) {
  document.title = `${title} · cdc`;
  show(byId("title"), title);
}

function contextOf(view, parameters, signal) {
  const shown = { command: view.command?.(parameters) ?? null, json: view.api?.(parameters) ?? null };
  const context = {
    parameters, go, link, signal, say, shown, mayWrite: () => Boolean(state.who?.write),
    get: (path, query, options) => get(path, query, { signal, ...options }).catch(signIn),
    post: (path, body, options) => post(path, body, { signal, ...options }).catch(signIn),
    command: (text) => { shown.command = text; if (!signal.aborted) same(shown); },
    json: (path) => { shown.json = path; if (!signal.aborted) same(shown); },
    live: (path, query, seconds, draw) => live(context, path, query, seconds, draw),
  };
  return context;
}

// updates

function live(context, path, query, seconds, draw) {
  const one = { seconds, at: 0, error: null, workers: [], timer: 0, asking: false };
  state.asked = one;
  const ask = async () => {
    clearTimeout(one.timer);
    if (one.asking || context.signal.aborted) return;
    one.asking = true;
    try {
      const body = await context.get(path, query);
      Object.assign(one, { at: Date.now(), error: null, workers: Array.isArray(body.workers) ? body.workers : [] });
      if (body.here) show(byId("here"), String(body.here));
      if (!context.signal.aborted) draw(body);
    } catch (error) {
      if (context.signal.aborted) return;
      if (!(error instanceof Refused)) broken(error);
      if (!one.error) say(`updates fail: ${error.message}`);
      one.error = error;
    } finally {
      one.asking = false;
    }
    freshness();
    if (!context.signal.aborted && !resting()) one.timer = setTimeout(ask, seconds * 1000);
  };
  state.wake.add(ask);
  context.signal.addEventListener("abort", () => clearTimeout(one.timer));
  ask();
  return { refresh: ask };
}

const resting = () => state.paused || document.hidden;

function wake() {
  if (!resting()) for (const ask of state.wake) ask();
  freshness();
}

// How old the view is, and whose part is missing: said plainly rather than shown as if it were of now.
function freshness() {
  const one = state.asked;
  const age = one?.at ? (Date.now() - one.at) / 1000 : null;
  const old = age !== null && age > 2 * one.seconds + 3;
  const text = !one ? "" : age === null ? (one.error ? "nothing came yet" : "asking …") : `last update ${age < 60 ? `${Math.floor(age)} s` : duration(age)} ago`;
  show(byId("fresh"), state.paused && one ? `paused, ${text}` : text);
  byId("fresh").classList.toggle("old", old || Boolean(one?.error));
  const told = [];
  if (one?.error) told.push([one.error.message, one.error.hint]);
  for (const worker of one?.workers ?? []) if (worker.error) told.push([`worker ${worker.name} does not answer: ${worker.error}`, ""]);
  show(byId("trouble"), told.length ? element("ul", { class: "trouble" }, told.map(([what, hint]) => element("li", null, hint ? `${what}; ${hint}` : what))) : null);
}

function broken(error) {
  console.error(error);
  show(byId("trouble"), element("p", { class: "trouble" }, "This view failed. That is a bug of the page; the JSON below still holds."));
}

// what is the same on every view

function same({ command, json }) {
  show(byId("same"),
    command ? element("p", { class: "command" }, element("span", { class: "muted" }, "In a terminal"), element("code", { id: "command" }, command), copyButton(command, "the command", say)) : null,
    json ? element("p", null, element("a", { href: json, id: "json" }, "This view as JSON")) : null);
}

function say(text) {
  byId("said").textContent = "";
  setTimeout(() => { byId("said").textContent = text; }, 50);
}

// signing in

function signIn(error) {
  if (error instanceof Refused && error.status === 401) askForToken();
  throw error;
}

function askForToken() {
  if (byId("sign-in")) return;
  const field = element("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const why = element("p", { class: "bad", role: "alert" });
  const form = element("form", {
    id: "sign-in", class: "empty",
    onsubmit: async (event) => {
      event.preventDefault();
      try {
        await post("/api/session", { token: field.value });
        field.value = "";
        form.remove();
        await who();
        open();
      } catch (error) {
        show(why, error.message);
        field.select();
      }
    },
  }, element("p", null, "This worker wants a token. It stands in the file that CDC_WEB_TOKEN_FILE names."),
  element("label", { for: "token" }, "Token"), field, element("button", { type: "submit", class: "primary" }, "Sign in"), why);
  byId("view").before(form);
  field.focus();
}

async function who() {
  state.who = await get("/api/session").catch(() => null);
  byId("leave").hidden = state.who?.by !== "session";
}

async function leave() {
  await post("/api/session/end").catch(() => null);
  location.reload();
}

// the frame

function tabs() {
  show(byId("tabs"), VIEWS.map(([id, title]) => element("li", null, element("a", { href: `#${id}`, "data-view": id }, title))));
  byId("tabs").onkeydown = (event) => {
    const all = [...byId("tabs").querySelectorAll("a")];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    all[(to + all.length) % all.length].focus();
  };
}

function theme() {
  const told = () => {
    const dark = document.documentElement.dataset.theme === "dark";
    show(byId("theme"), dark ? "Light" : "Dark");
    byId("theme").setAttribute("aria-label", dark ? "Use light colours" : "Use dark colours");
  };
  byId("theme").onclick = () => {
    const chosen = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    try { localStorage.setItem("theme", chosen); } catch { /* it holds until the page is loaded again */ }
    told();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    try { if (localStorage.getItem("theme")) return; } catch { /* nothing was chosen */ }
    document.documentElement.dataset.theme = event.matches ? "dark" : "light";
    told();
  });
  told();
}

function pause() {
  state.paused = !state.paused;
  byId("pause").classList.toggle("on", state.paused);
  show(byId("pause"), state.paused ? "Resume updates" : "Pause updates");
  say(state.paused ? "updates are paused" : "updates go on");
  wake();
}

function slash(event) {
  const writes = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.nodeName) || event.target.isContentEditable;
  if (event.key !== "/" || writes || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  (byId("view").querySelector("input[type=search]") ?? byId("wanted")).focus();
}

tabs();
theme();
byId("pause").onclick = pause;
byId("skip").onclick = (event) => { event.preventDefault(); byId("main").focus(); };
byId("search").onsubmit = (event) => {
  event.preventDefault();
  const wanted = byId("wanted").value.trim();
  if (wanted) go("trace", { id: wanted });
};
byId("leave").onclick = leave;
addEventListener("keydown", slash);
addEventListener("hashchange", open);
document.addEventListener("visibilitychange", wake);
setInterval(freshness, 1000);
await who();
open();

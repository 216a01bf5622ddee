// Dialogs of the browser itself: Esc closes them, the focus stays inside and goes back to where it was.

import { element, show } from "./element.js";

let opened = 0;

// Details of something; returns {update(...children), close(), open}. `onclose` is called however it is closed.
export function details(title, children, onclose = () => {}) {
  const body = element("div", { class: "dialog-body" });
  const dialog = frame(title, body, [element("button", { type: "button", onclick: () => dialog.close() }, "Close")], () => onclose());
  show(body, children);
  dialog.classList.add("details");
  dialog.showModal();
  return { update: (...fresh) => show(body, fresh), close: () => dialog.close(), get open() { return dialog.open; } };
}

// Ask before something is done: resolves to true or false. With `expect` the text has to be typed first.
export function confirm({ title, children = [], action, danger = false, expect = null }) {
  return new Promise((resolve) => {
    let agreed = false;
    const go = element("button", { type: "submit", class: danger ? "danger" : "primary", disabled: expect !== null }, action);
    const typed = expect === null ? null : element("label", null, `Type ${expect} to go on`,
      element("input", { type: "text", autocomplete: "off", oninput: (event) => { go.disabled = event.target.value.trim() !== String(expect); } }));
    const form = element("form", { class: "dialog-body", method: "dialog", onsubmit: () => { agreed = true; } }, children, typed,
      element("p", { class: "actions" }, element("button", { type: "button", onclick: () => dialog.close() }, "Cancel"), go));
    const dialog = frame(title, form, [], () => resolve(agreed));
    dialog.showModal();
  });
}

function frame(title, body, buttons, closed) {
  const id = `dialog-${(opened += 1)}`;
  const dialog = element("dialog", { "aria-labelledby": id, onclose: () => { dialog.remove(); closed(); } },
    element("div", { class: "dialog-head" }, element("h2", { id }, title), buttons), body);
  document.body.append(dialog);
  return dialog;
}

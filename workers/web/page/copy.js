// Copying works without a secure context, too: workers are often reached by plain http on loopback or through a tunnel.

import { element } from "./element.js";

export function copyButton(text, what, say) {
  return element("button", {
    type: "button", class: "small", "aria-label": `Copy ${what}`,
    onclick: async () => say((await copied(text)) ? `${what} copied` : `cannot copy ${what} here`),
  }, "Copy");
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "hidden", "aria-hidden": "true" });
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

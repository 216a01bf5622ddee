// A table that screen readers read as one and that becomes a list of cards where the screen is narrow.

import { element } from "./element.js";

// {caption, columns: [{title, value: row => text or node, numeric?, code?, whole?, clip?}], rows, empty, id?, key?: row => text}
// `whole`: one that is not broken into lines, such as a time; `clip`: one of which two lines are enough.
// `empty`: what to show without rows; say there what to do next.
export function table({ caption, columns, rows, empty, id = null, key = null }) {
  if (!rows.length) return element("div", { id, class: "empty" }, empty);
  const head = columns.map((column) => element("th", { role: "columnheader", scope: "col", class: column.numeric ? "numeric" : null }, column.title));
  const body = rows.map((row) =>
    element("tr", { role: "row", id: key ? `${id}-${key(row)}` : null }, columns.map((column, index) => {
      const first = index === 0;
      const name = first ? "th" : "td";
      const kind = [column.numeric && "numeric", column.code && "code", column.whole && "whole", column.clip && "clip"].filter(Boolean).join(" ") || null;
      return element(name, { role: first ? "rowheader" : "cell", scope: first ? "row" : null, class: kind, "data-title": column.title }, element("span", null, column.value(row)));
    })));
  return element("div", { id, class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
    element("table", { role: "table" },
      element("caption", null, caption),
      element("thead", { role: "rowgroup" }, element("tr", { role: "row" }, head)),
      element("tbody", { role: "rowgroup" }, body)));
}

// Name and value pairs: [["owner", "worker-1"], …]; those whose value is null are left out. `wide`: values are ids and
// places rather than numbers.
export function facts(pairs, wide = false) {
  return element("dl", { class: wide ? "facts wide" : "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => element("div", null, element("dt", null, name), element("dd", null, value))));
}

// A word with a colour that says the same: kind is "ok", "warn", "bad" or "idle".
export const badge = (kind, text) => element("span", { class: `badge ${kind}` }, text);

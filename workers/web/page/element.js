// The only way nodes are made on this page: data becomes text, never markup (P6, and no script of a record runs).

const SVG = "http://www.w3.org/2000/svg";
const SAFE_LINK = /^(#|\/(?!\/)|\.\/|https:\/\/)/;

// element("p", {class: "muted", onclick: f}, "text", node, [more], null): attributes that are false, null or undefined
// are left out, true is an empty one, functions are handlers.
export function element(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

// The same for SVG. Give the root a title and a desc.
export function svg(name, attributes, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") {
      node[name.toLowerCase()] = value;
      (node.handlers ??= []).push(name.toLowerCase());
    } else if (name.startsWith("on")) {
      throw new TypeError(`${name} takes a function`);
    } else if (name === "href" && !SAFE_LINK.test(value)) {
      throw new TypeError("a link leads to this page, this worker or an https address");
    } else if (value === true || (value !== false && value !== null && value !== undefined)) {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  node.append(...nodes(children));
  return node;
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}

// Make `root` hold these children, changing what differs only: focus, selection, scrolling, typed text and opened
// details stay. Children with an id find their old selves; the others are compared by place.
export function show(root, ...children) {
  merge(root, nodes(children));
}

function merge(old, wanted) {
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = old.firstChild;
  for (const fresh of wanted) {
    const known = fresh.id ? named.get(fresh.id) : at && !at.id ? at : null;
    if (known && known.nodeName === fresh.nodeName && known !== fresh) {
      if (known !== at) old.insertBefore(known, at);
      else at = at.nextSibling;
      adopt(known, fresh);
    } else if (known === fresh) {
      if (known === at) at = at.nextSibling;
      else old.insertBefore(fresh, at);
    } else {
      old.insertBefore(fresh, at);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function adopt(known, fresh) {
  if (known.nodeType !== Node.ELEMENT_NODE) {
    if (known.data !== fresh.data) known.data = fresh.data;
    return;
  }
  const users = known.nodeName === "DETAILS" || known.nodeName === "DIALOG" ? "open" : null;
  for (const { name } of [...known.attributes]) {
    if (name !== users && !fresh.hasAttribute(name)) known.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== users && known.getAttribute(name) !== value) known.setAttribute(name, value);
  }
  for (const name of known.handlers ?? []) known[name] = null;
  for (const name of fresh.handlers ?? []) known[name] = fresh[name];
  known.handlers = fresh.handlers;
  merge(known, [...fresh.childNodes]);
}

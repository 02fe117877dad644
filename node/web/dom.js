// The few things this page does to the document. Text goes in as text, never as markup.

export const find = (id) => document.getElementById(id);

/** Make an element: make("td", { class: "up" }, "12"). */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") element.className = value;
    else if (key.startsWith("--")) element.style.setProperty(key, value);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Set text only when it changed, so that screen readers and the layout stay quiet. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function ipfsLink(cid, head = 9, tail = 5) {
  if (!cid) return document.createTextNode("–");
  const label = `${cid.slice(0, head)}…${cid.slice(-tail)}`;
  return make("a", { href: `/ipfs/${encodeURIComponent(cid)}?format=raw`, title: cid }, label);
}

export async function fetchJson(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

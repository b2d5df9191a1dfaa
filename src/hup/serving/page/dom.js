// Elements and lists of them. Whatever a shop or a user named becomes text, never markup.

export const $ = (id) => document.getElementById(id);

/** An element with properties, or attributes where it has no such property, and children: elements, or text. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Change a text only where it is another one, so that screen readers do not hear it again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Make the children of a parent those of `things`, by key: what stays keeps its element, and with it the focus.
 * `make(thing)` gives a new element, `change(element, thing, place)` brings it up to date.
 */
export function reconcile(parent, things, key, make, change) {
  const before = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const met = new Map();
  things.forEach((thing, place) => {
    const name = String(key(thing));
    const times = met.get(name) ?? 0;
    met.set(name, times + 1);
    const unique = times ? `${name}\u0000${times}` : name;
    let child = before.get(unique);
    before.delete(unique);
    if (!child) {
      child = make(thing);
      child.dataset.key = unique;
    }
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
    change(child, thing, place);
  });
  for (const gone of before.values()) gone.remove();
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

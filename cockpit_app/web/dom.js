// Elements, made without markup: whatever a text holds, it stays a text.

export function h(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

export function s(tag, options = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(options)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Set a text only where it changes: what a person has selected stays selected, and nothing is read out twice.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// A name, whose lines break behind its underscores.
export function sayName(element, name) {
  if (element.textContent === name) return;
  element.replaceChildren(...name.split(/(?<=_)/).flatMap((part) => [part, h("wbr")]));
}

export function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

// Keep a list's elements by key: `make(item)` gives {element, update(item)}; only what is new or gone changes.
export class Keyed {
  constructor(container, key, make) {
    Object.assign(this, { container, key, make, parts: new Map() });
  }

  update(items) {
    const wanted = new Set(items.map(this.key));
    for (const [key, part] of this.parts) {
      if (wanted.has(key)) continue;
      part.element.remove();
      this.parts.delete(key);
    }
    items.forEach((item, place) => {
      const key = this.key(item);
      if (!this.parts.has(key)) this.parts.set(key, this.make(item));
      const part = this.parts.get(key);
      if (this.container.children[place] !== part.element) {
        this.container.insertBefore(part.element, this.container.children[place] ?? null);
      }
      part.update?.(item);
    });
  }
}

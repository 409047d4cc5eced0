// What a person holds down: keys, buttons and sticks of the page, a gamepad. Together they are rates.

import { get } from "./api.js";

// Buttons of the Gamepad API's standard layout, by the names of SDL, as teleop has them.
const PAD_BUTTONS = { LEFTSHOULDER: 4, RIGHTSHOULDER: 5, DPAD_UP: 12, DPAD_DOWN: 13, DPAD_LEFT: 14, DPAD_RIGHT: 15 };
const PAD_AXES = { LEFTX: 0, LEFTY: 1, RIGHTX: 2, RIGHTY: 3 };
let asked = null;

// The terminal's bindings: {rates, keys, axes, buttons, dead_zone, slow_key}.
export function controls() {
  asked ??= get("controls").catch((error) => {
    asked = null;
    throw error;
  });
  return asked;
}

// The key's name as the terminal has it; letters by their place while a Korean keyboard writes Hangul.
export function keyName(event) {
  const names = { Enter: "enter", Tab: "tab", Backspace: "backspace", Delete: "delete", " ": "space", Escape: "escape" };
  if (event.key in names) return names[event.key];
  if (/^[\x21-\x7e]$/.test(event.key)) return event.key.toLowerCase();
  return /^Key[A-Z]$/.test(event.code) ? event.code.at(-1).toLowerCase() : event.key.toLowerCase();
}

export class Hands {
  // onchange: something was taken hold of or let go
  constructor(onchange) {
    Object.assign(this, { onchange, held: new Map(), slow: false, isOn: false, bindings: null, ends: [] });
    controls().then((bindings) => { this.bindings = bindings; }, () => {});
    this.letGo = () => this.release();
    this.listens = [[window, "blur"], [window, "pagehide"], [document, "visibilitychange"], [document, "cockpit:stop"]];
    for (const [where, what] of this.listens) where.addEventListener(what, this.letGo);
  }

  // Whether rates count now; what is held when they cease to count does not come back by itself.
  enable(isOn) {
    if (this.isOn && !isOn) this.release();
    this.isOn = isOn;
  }

  // source: a name of what is held; shares: {rate: -1 .. 1}
  hold(source, shares) {
    if (!this.isOn) return;
    this.held.set(source, shares);
    this.onchange();
  }

  // Let one thing go, or all: then a finger that still lies on a stick has to be lifted first.
  release(source) {
    const had = this.held.size;
    if (source === undefined) {
      this.held.clear();
      for (const end of this.ends) end();
    } else this.held.delete(source);
    if (this.held.size !== had) this.onchange();
  }

  isHeld(rate, sign) {
    return [...this.held.values()].some((shares) => Math.sign(shares[rate] ?? 0) === sign);
  }

  rates() {
    if (!this.isOn || !this.bindings) return null;
    const all = [...this.held.values(), this.pad()];
    return this.bindings.rates.map((name) => {
      const sum = all.reduce((total, shares) => total + (shares[name] ?? 0), 0);
      return Math.max(-1, Math.min(1, sum));
    });
  }

  pad() {
    const { axes, buttons, dead_zone: zone } = this.bindings;
    const shares = {};
    const add = (name, share) => { shares[name] = (shares[name] ?? 0) + share; };
    if (!document.hasFocus()) return shares;
    for (const pad of navigator.getGamepads?.() ?? []) {
      if (pad?.mapping !== "standard") continue;
      for (const [key, [name, sign]] of Object.entries(axes)) {
        const share = pad.axes[PAD_AXES[key]] ?? 0;
        if (Math.abs(share) > zone) add(name, sign * share);
      }
      for (const [key, [name, sign]] of Object.entries(buttons)) {
        if (pad.buttons[PAD_BUTTONS[key]]?.pressed) add(name, sign);
      }
    }
    return shares;
  }

  close() {
    this.enable(false);
    for (const [where, what] of this.listens) where.removeEventListener(what, this.letGo);
  }
}

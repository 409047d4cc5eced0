// Driving the arm on the page: two sticks as a gamepad has them, and a button for each way.

import { h, say } from "./dom.js";
import { controls } from "./hands.js";
import { t } from "./texts.js";

const STICKS = { left: ["LEFTX", "LEFTY"], right: ["RIGHTX", "RIGHTY"] };
const TURNS = 6; // rates of the tool, or joints; the last one is the gripper's

// Something that is held down by pointer or by Enter; it lets go wherever the pointer is released.
function holdable(element, hands, { take, move = () => {}, drop }) {
  let pointer = null;
  const ends = ["pointerup", "pointercancel"];
  const onmove = (event) => { if (event.pointerId === pointer) move(event); };
  const onend = (event) => { if (event.pointerId === pointer) end(); };
  const end = () => {
    if (pointer === null) return;
    pointer = null;
    window.removeEventListener("pointermove", onmove, true);
    for (const name of ends) window.removeEventListener(name, onend, true);
    drop();
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || pointer !== null || !hands.isOn) return;
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    pointer = event.pointerId;
    window.addEventListener("pointermove", onmove, true); // wherever the pointer goes
    for (const name of ends) window.addEventListener(name, onend, true);
    take(event);
  });
  element.addEventListener("lostpointercapture", onend);
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  hands.ends.push(end);
}

export class JogPanel {
  // hands: of hands.js
  constructor(hands) {
    this.hands = hands;
    this.buttons = [];
    this.space = h("b", {});
    this.waits = h("span", { class: "soft" });
    this.pad = h("p", { class: "help" });
    this.slow = h("button", { type: "button", class: "toggle", "aria-pressed": "false", onclick: () => this.toggle() },
      t("slow"), " ", h("kbd", {}, "x"));
    this.sticks = h("div", { class: "sticks" });
    this.ways = h("div", { class: "ways" });
    this.element = h("section", { class: "card jog", "aria-label": t("drive by hand") },
      h("header", {}, h("p", {}, this.space, " ", this.waits), this.slow), this.sticks, this.ways, this.pad);
    controls().then((bindings) => this.make(bindings), () => {});
  }

  make(bindings) {
    this.bindings = bindings;
    this.sticks.replaceChildren(...Object.entries(STICKS).map(([side, axes]) => this.stick(side, axes)));
    const key = (rate, sign) => Object.entries(bindings.keys).find(([, way]) => way[0] === rate && way[1] === sign)?.[0];
    this.ways.replaceChildren(...bindings.rates.map((rate) => h("div", { class: "way" },
      this.button(rate, -1, key(rate, -1)), this.button(rate, 1, key(rate, 1)))));
    this.name();
  }

  button(rate, sign, key) {
    const word = h("span", {});
    const button = h("button", { type: "button", class: "hold" }, word, h("kbd", {}, key));
    const source = `button ${rate} ${sign}`;
    const take = () => this.hands.hold(source, { [rate]: sign });
    const drop = () => this.hands.release(source);
    holdable(button, this.hands, { take, drop });
    button.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.repeat) take(); });
    button.addEventListener("keyup", (event) => { if (event.key === "Enter") drop(); });
    button.addEventListener("blur", drop);
    this.buttons.push({ button, word, rate, sign });
    return button;
  }

  stick(side, axes) {
    const knob = h("span", { class: "knob" });
    const words = h("figcaption", {});
    const base = h("div", { class: "stick", role: "img", "aria-label": t(`stick ${side}`) }, knob);
    const source = `stick ${side}`;
    const move = (event) => {
      const { left, top, width } = base.getBoundingClientRect();
      const reach = width / 2 - 24; // px the knob travels
      let [x, y] = [(event.clientX - left - width / 2) / reach, (event.clientY - top - width / 2) / reach];
      const length = Math.hypot(x, y);
      if (length > 1) [x, y] = [x / length, y / length];
      knob.style.translate = `${x * reach}px ${y * reach}px`;
      const shares = {};
      axes.forEach((axis, place) => {
        const [rate, sign] = this.bindings.axes[axis];
        const share = [x, y][place];
        if (Math.abs(share) > this.bindings.dead_zone) shares[rate] = sign * share;
      });
      this.hands.hold(source, shares);
    };
    const drop = () => {
      knob.style.translate = "";
      this.hands.release(source);
    };
    holdable(base, this.hands, { take: move, move, drop });
    say(words, t(`stick ${side}`));
    return h("figure", {}, base, words);
  }

  // What the ways are called: of the tool, or of the joints.
  name() {
    const isJoint = this.mode === "joint";
    this.buttons.forEach(({ word, rate, sign }) => {
      const place = this.bindings.rates.indexOf(rate);
      const way = sign < 0 ? "−" : "+";
      say(word, isJoint && place < TURNS ? t("joint {n} {way}", { n: place + 1, way }) : t(`way ${rate} ${way}`));
    });
    this.sticks.classList.toggle("joint", isJoint);
  }

  toggle() {
    this.hands.slow = !this.hands.slow;
    this.slow.setAttribute("aria-pressed", String(this.hands.slow));
    this.hands.onchange();
  }

  update(state, isMine) {
    const jog = state?.jog;
    const isOn = Boolean(jog) && isMine && !state.question;
    this.hands.enable(isOn);
    this.element.classList.toggle("off", !isOn);
    if (jog && jog.space !== this.mode) {
      this.mode = jog.space;
      if (this.bindings) this.name();
    }
    say(this.space, jog ? t(`space ${jog.space}`) : t("the arm cannot be driven now"));
    say(this.waits, jog?.waits_for ? t("waits for {what}", { what: jog.waits_for }) : "");
    const pads = [...(navigator.getGamepads?.() ?? [])].filter((pad) => pad?.mapping === "standard");
    say(this.pad, pads.length ? t("the gamepad drives too: {name}", { name: pads[0].id }) : t("a gamepad drives too"));
    for (const { button, rate, sign } of this.buttons) {
      button.disabled = !isOn;
      button.classList.toggle("held", this.hands.isHeld(rate, sign));
    }
  }
}

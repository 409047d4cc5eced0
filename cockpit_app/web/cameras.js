// Cameras of a desk, live: each newest picture is asked for when the one before has come, so that none lies in wait.
// A stream for each would take the few connections that a browser has for one host, and the beats would starve.

import { Keyed, h, show } from "./dom.js";
import { known, t } from "./texts.js";

const COMPARED = / against its reference$/; // so the checks call a picture that lies over another
const EVERY = 66, AGAIN = 1000; // ms between pictures; after one that did not come

export class Cameras {
  constructor(job) {
    this.job = job;
    this.grid = h("div", { class: "cameras" });
    this.none = h("p", { class: "unseen soft", hidden: true }, t("no camera is open"));
    this.element = h("div", { class: "seen" }, this.grid, this.none);
    this.keyed = new Keyed(this.grid, (name) => name, (name) => new Camera(job, name));
  }

  update(names) {
    const gone = [...this.keyed.parts].filter(([name]) => !names.includes(name));
    for (const [, camera] of gone) camera.close();
    this.keyed.update(names);
    this.grid.dataset.count = names.length;
    show(this.grid, names.length > 0);
    show(this.none, names.length === 0);
  }

  close() {
    for (const camera of this.keyed.parts.values()) camera.close();
  }
}

function called(name) {
  if (!COMPARED.test(name)) return known(`camera ${name}`, name);
  return t("{camera} against its reference", { camera: called(name.replace(COMPARED, "")) });
}

class Camera {
  constructor(job, name) {
    this.address = `/desk/${job}/${encodeURIComponent(name)}.jpg`;
    const words = called(name);
    this.picture = h("img", { alt: t("camera {name}, live", { name: words }), width: "640", height: "480" });
    this.picture.addEventListener("load", () => this.come(true));
    this.picture.addEventListener("error", () => this.come(false));
    this.element = h("figure", { class: "camera" }, this.picture, h("figcaption", {}, words));
    this.count = 0;
    this.next();
  }

  next() {
    if (document.hidden) {
      this.timer = setTimeout(() => this.next(), AGAIN);
      return;
    }
    this.at = performance.now();
    this.picture.src = `${this.address}?n=${(this.count += 1)}`;
  }

  come(isThere) {
    this.element.classList.toggle("live", isThere);
    const took = performance.now() - this.at; // a slow browser rests as long as a picture takes it
    const wait = isThere ? Math.max(took, EVERY - took) : AGAIN;
    clearTimeout(this.timer);
    if (!this.isClosed) this.timer = setTimeout(() => this.next(), wait);
  }

  close() {
    this.isClosed = true;
    clearTimeout(this.timer);
  }
}

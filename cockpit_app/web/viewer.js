// A page that a script wrote, shown inside: it can do nothing outside its frame.

import { view } from "./api.js";
import { h, say, show } from "./dom.js";
import { t } from "./texts.js";

export class Viewer {
  constructor(title) {
    this.frame = h("iframe", { title, sandbox: "allow-scripts allow-downloads" });
    this.name = h("h2");
    this.close = h("button", { type: "button", class: "quiet small", onclick: () => this.look(null) }, t("close"));
    this.element = h("section", { class: "viewer", hidden: true }, h("header", {}, this.name, this.close), this.frame);
  }

  // part: of the page, by its id
  look(name, link, part = "") {
    show(this.element, Boolean(name));
    if (name) {
      say(this.name, name);
      this.frame.src = view(link) + (part && `#${part}`);
      this.element.scrollIntoView();
      this.close.focus();
    } else {
      this.frame.removeAttribute("src");
    }
  }
}

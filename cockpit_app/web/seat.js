// The desk of whichever job of some programs moves the arm, for as long as one does.

import { Desk } from "./desk.js";
import { h, show } from "./dom.js";
import { isRunning } from "./jobs.js";
import { t } from "./texts.js";

export class Seat {
  // programs: whose jobs; jog(job): whether the arm is driven in it
  constructor(programs, jog = () => false) {
    Object.assign(this, { programs, jog, desk: null });
    this.element = h("section", { class: "seat", hidden: true });
  }

  update(all) {
    const job = all.jobs.find((one) => this.programs.includes(one.program) && isRunning(one));
    if (job && this.desk?.job !== job.number) this.open(job);
    this.desk?.update(all);
  }

  open(job) {
    this.close();
    this.desk = new Desk({ job: job.number, jog: this.jog(job), onended: () => this.empty() });
    this.desk.element.classList.add(job.program);
    this.element.replaceChildren(h("h2", {}, t(`program ${job.program}`)), this.desk.element);
    show(this.element, true);
    this.element.scrollIntoView();
  }

  empty() {
    this.desk = null;
    show(this.element, false);
    this.element.replaceChildren();
    document.dispatchEvent(new Event("cockpit:changed"));
  }

  close() {
    this.desk?.close();
    this.desk = null;
  }
}

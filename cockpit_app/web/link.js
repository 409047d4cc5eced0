// The line to the desk of a job: it beats ten times a second, and brings back the desk's state.

import { post, postLast } from "./api.js";

const EVERY = 100, PATIENCE = 1500; // ms
const AGAIN = 1000; // ms, where nobody answers
const MOST = 4; // beats on their way at once; a slow network must not starve the others
const CLIENT = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
let number = Date.now(); // of a beat; it rises as long as the page lives

const ask = (job, name, body = {}) => post("desk", { job, name, body: { client: CLIENT, ...body } }, PATIENCE);

// Let the arm hold at once. A job without a desk yet is stopped as any other.
export async function stopDesk(job) {
  try {
    await ask(job, "stop");
  } catch {
    await post("stop", { job });
  }
}

export class Link {
  // hands: what is held down, {rates(), slow}, read at each beat; onstate(state); onsilence(why)
  constructor(job, { hands, onstate, onsilence }) {
    Object.assign(this, { job, hands, onstate, onsilence, keys: [], waiting: 0, seen: 0, state: null, isClosed: false });
    this.onhide = () => this.leave();
    addEventListener("pagehide", this.onhide);
  }

  // The desk is there by now: begin to beat.
  begin() {
    if (this.timer || this.isClosed) return;
    this.timer = setInterval(() => this.tick(), EVERY);
    this.tick();
  }

  get isMine() {
    return this.state?.owner === CLIENT;
  }

  // A page in the background is not looked at: it lets go, and is silent.
  tick() {
    if (!document.hidden && this.waiting < MOST && performance.now() > (this.pause ?? 0)) this.beat();
  }

  beat() {
    if (this.isClosed) return;
    const keys = this.keys.splice(0);
    const mine = ++number;
    this.waiting += 1;
    ask(this.job, "beat", { number: mine, keys, rates: this.hands.rates(), slow: this.hands.slow })
      .then((state) => this.take(state, mine), (error) => this.miss(error, mine)).finally(() => { this.waiting -= 1; });
  }

  take(state, mine) {
    if (mine < this.seen || this.isClosed) return;
    this.seen = mine;
    this.state = state;
    this.pause = 0;
    this.onstate(state);
  }

  miss(error, mine) {
    if (mine < this.seen || this.isClosed) return;
    this.pause = performance.now() + AGAIN;
    this.onsilence(error.message);
  }

  press(key) {
    this.keys.push(key);
    this.beat();
  }

  answer(question, given) {
    return this.tell("answer", { question, ...given });
  }

  own() {
    return this.tell("own");
  }

  // The page goes: whoever comes next need not wait until it is forgotten.
  leave() {
    if (this.state) postLast("desk", { job: this.job, name: "leave", body: { client: CLIENT } });
  }

  async tell(name, body) {
    const mine = ++number;
    try {
      this.take(await ask(this.job, name, body), mine);
    } catch (error) {
      this.miss(error, mine);
    }
  }

  close() {
    removeEventListener("pagehide", this.onhide);
    clearInterval(this.timer);
    if (this.state && !this.pause) this.beat(); // with nothing held any more
    this.isClosed = true;
  }
}

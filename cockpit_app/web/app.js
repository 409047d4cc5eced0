// The frame: pages, language, light, and what all pages are told again and again.

import { connection, get, post } from "./api.js";
import { h, say, show } from "./dom.js";
import { LANGUAGES, language, load, t } from "./texts.js";
import { stopDesk } from "./desk.js";
import { isAtArm, isRunning } from "./jobs.js";
import { Home } from "./page_home.js";
import { Arm } from "./page_arm.js";
import { Record } from "./page_record.js";
import { Train } from "./page_train.js";
import { Run } from "./page_run.js";
import { Data } from "./page_data.js";
import { Results } from "./page_results.js";

const PAGES = { home: Home, arm: Arm, record: Record, data: Data, train: Train, run: Run, results: Results };
const JOBS_EVERY = 1000, ALL_EVERY = 5000; // ms
const LIGHT = "cockpit light";

let page = null;
let name = "home";
let all = null; // what there is: tasks, presets, datasets, runs, jobs
let states = "";
let isAsking = false;

function draw() {
  name = location.hash.slice(1).split("?")[0] || "home";
  if (!(name in PAGES)) name = "home";
  const query = Object.fromEntries(new URLSearchParams(location.hash.split("?")[1] ?? ""));
  document.title = `${t(`page ${name}`)} · ${t("cockpit")}`;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  page?.leave?.();
  page = new PAGES[name](query);
  document.getElementById("main").replaceChildren(h("h1", {}, t(`page ${name}`)), page.element);
  if (all) page.update(all);
}

function frame() {
  document.getElementById("stop").replaceChildren();
  document.getElementById("brand").textContent = t("cockpit");
  document.getElementById("skip").textContent = t("to the content");
  const nav = document.getElementById("nav");
  nav.setAttribute("aria-label", t("pages"));
  nav.replaceChildren(...Object.keys(PAGES).map((one, place) =>
    h("a", { href: `#${one}`, title: t("key {key}", { key: place + 1 }) }, t(`page ${one}`))));
  const choose = h("select", { "aria-label": t("language"), onchange: () => speak(choose.value) },
    ...Object.entries(LANGUAGES).map(([key, word]) => h("option", { value: key, lang: key }, word)));
  choose.value = language;
  const light = h("select", { "aria-label": t("light and dark"), onchange: () => shine(light.value) },
    ...["auto", "light", "dark"].map((one) => h("option", { value: one }, t(`light ${one}`))));
  light.value = localStorage.getItem(LIGHT) ?? "auto";
  document.getElementById("switches").replaceChildren(choose, light);
}

function shine(light) {
  localStorage.setItem(LIGHT, light);
  document.documentElement.dataset.light = light;
}

async function speak(wanted) {
  await load(wanted);
  frame();
  draw();
  document.querySelector("#switches select").focus();
}

// Ask for everything, or for the jobs alone; a page is told what is new.
async function ask(isAll) {
  if (isAsking) return;
  isAsking = true;
  try {
    if (isAll || !all) all = await get("overview");
    else all = { ...all, jobs: await get("jobs") };
    page.update(all);
    stopper();
    const now = all.jobs.map((job) => `${job.number} ${job.state}`).join();
    if (now !== states) announce(now);
  } catch (error) {
    if (!connection.isLost) say(document.getElementById("said"), error.message);
  } finally {
    isAsking = false;
  }
}

// Something began or ended: say it to those who cannot see it, and look what it made.
function announce(now) {
  const before = new Set(states.split(","));
  const news = all.jobs.find((job) => states && !before.has(`${job.number} ${job.state}`));
  if (news) say(document.getElementById("said"), `${news.title}: ${t(`state ${news.state}`)}`);
  states = now;
  setTimeout(() => ask(true), 0);
}

// While something may move the arm or the twin, a button that stops it is in view on every page.
const mayMove = (job) => isRunning(job) && (job.program === "twin" || isAtArm(job));
const moving = () => all?.jobs.filter(mayMove) ?? [];

function stopper() {
  const place = document.getElementById("stop");
  const jobs = moving();
  show(place, jobs.length > 0);
  if (!jobs.length) return;
  if (!place.children.length) {
    const name = h("b", {}, t("STOP")), keys = h("small", {}, t("space bar, Escape"));
    place.append(h("span", {}), h("button", { type: "button", onclick: () => stop() }, name, " ", keys));
  }
  const names = jobs.map((job) => job.title || t(`program ${job.program}`));
  say(place.firstChild, t("{name} may move the arm", { name: names.join(", ") }));
}

async function stop() {
  document.dispatchEvent(new Event("cockpit:stop"));
  const asks = moving().map((job) => {
    if (job.program !== "twin") return stopDesk(job.number);
    return job.state === "running" ? post("stop", { job: job.number }) : null;
  });
  try {
    await Promise.all(asks);
  } catch (error) {
    say(document.getElementById("said"), error.message);
  }
  ask(true);
}

const isTyped = (element) => element.closest("textarea, input:not([type=checkbox], [type=radio], [type=range])");

// Escape and the space bar stop, before any button that has the focus hears of them.
function stops(event) {
  if (event.isComposing || !moving().length) return;
  const isSpace = event.key === " " && document.querySelector(".desk") && !isTyped(event.target);
  if (event.key !== "Escape" && !isSpace) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (event.type === "keydown" && !event.repeat) stop();
}

function keys(event) {
  if (event.target.closest("input, select, textarea, pre, video") || event.ctrlKey || event.metaKey || event.altKey) return;
  const wanted = Object.keys(PAGES)[Number(event.key) - 1];
  if (wanted) location.hash = wanted;
}

connection.onchange = () => {
  const line = document.getElementById("lost");
  say(line, connection.isLost ? t("the cockpit does not answer; what it started goes on") : "");
  show(line, connection.isLost);
};

shine(localStorage.getItem(LIGHT) ?? "auto");
history.replaceState(null, "", location.pathname + location.hash); // the token need not stay in sight
await load();
frame();
draw();
await ask(true);
window.addEventListener("hashchange", () => {
  draw();
  window.scrollTo(0, 0);
  document.getElementById("main").focus({ preventScroll: true });
});
document.addEventListener("keydown", stops, true);
document.addEventListener("keyup", stops, true);
document.addEventListener("keydown", keys);
document.addEventListener("cockpit:changed", () => ask(true));
setInterval(() => document.hidden || ask(false), JOBS_EVERY);
setInterval(() => document.hidden || ask(true), ALL_EVERY);

// A phone that leads the arm: fingers on pads, and the phone's own turning where the browser tells it.
// A finger that is down leads; what it says is sent about 20 times a second, as a whole each time.

const PERIOD = 50; // ms between beats
const PATIENCE = 1000; // ms for an answer
const METRES = 0.0004; // for a pixel of a finger's way
const TURN = 0.006; // rad for a pixel
const LANGUAGES = { en: "English", ko: "한국어" };
const token = new URLSearchParams(location.search).get("token") ?? "";
const client = crypto.getRandomValues(new Uint32Array(2)).join("-");
const at = (id) => document.getElementById(id);

let texts = {};
let language = "en";
let mode = "move";
let tilt = null; // degrees: alpha, beta, gamma, as last told, and how the page is turned
let isTilting = false;
let number = 0;
let grip = 0;
let gripper = 0;
let presses = 0;
let pressed = []; // [number of the press, command], until the arm's computer answered
const fingers = new Map(); // pointer: the pad it is on, and where it was
const position = [0, 0, 0]; // m: right, away, up
const angles = [0, 0, 0]; // rad: tip up, roll right, turn left
let state = "connecting";

// --- texts

const t = (key) => texts[key] ?? key;

async function speak(wanted) {
  language = wanted in LANGUAGES ? wanted : "en";
  texts = await (await fetch(`/${language}.json`)).json();
  document.documentElement.lang = language;
  document.title = t("title");
  at("language").textContent = LANGUAGES[language === "en" ? "ko" : "en"];
  for (const each of document.querySelectorAll("[data-text]")) each.textContent = t(each.dataset.text);
  label();
  show(state);
}

function label() {
  at("pad").firstElementChild.textContent = t(`pad ${mode}`);
  at("strip").firstElementChild.textContent = t(`strip ${mode}`);
}

function show(wanted) {
  state = wanted;
  at("state").textContent = t(wanted);
}

// --- fingers

const clamp = (value) => Math.max(-9, Math.min(9, value));

function move(pad, dx, dy) {
  const isStrip = pad === at("strip");
  if (mode === "move") {
    if (isStrip) position[2] = clamp(position[2] - METRES * dy);
    else {
      position[0] = clamp(position[0] + METRES * dx);
      position[1] = clamp(position[1] - METRES * dy);
    }
  } else if (isStrip) angles[1] = clamp(angles[1] - TURN * dy);
  else {
    angles[2] = clamp(angles[2] - TURN * dx);
    angles[0] = clamp(angles[0] - TURN * dy);
  }
}

// What was led so far counts no more: the next touch begins where the arm then is.
function takeHold() {
  grip += 1;
  position.fill(0);
  angles.fill(0);
}

function letGo() {
  fingers.clear();
  gripper = 0;
  for (const pad of document.querySelectorAll(".pad")) pad.classList.remove("held");
}

for (const pad of document.querySelectorAll(".pad")) {
  pad.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    pad.setPointerCapture(event.pointerId);
    if (!fingers.size) takeHold();
    fingers.set(event.pointerId, { pad, x: event.clientX, y: event.clientY });
    pad.classList.add("held");
  });
  pad.addEventListener("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    move(pad, event.clientX - finger.x, event.clientY - finger.y);
    Object.assign(finger, { x: event.clientX, y: event.clientY });
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    pad.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      if (![...fingers.values()].some((finger) => finger.pad === pad)) pad.classList.remove("held");
    });
  }
}

for (const [id, rate] of [["close", -1], ["open", 1]]) {
  at(id).addEventListener("pointerdown", (event) => {
    at(id).setPointerCapture(event.pointerId);
    gripper = rate;
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture"]) {
    at(id).addEventListener(name, () => { gripper = 0; });
  }
}
const press = (command) => pressed.push([presses++, command]);
for (const id of ["keep", "redo"]) at(id).addEventListener("click", () => press(id));
// At the first touch: a finger that stays or slides makes no click, or a late one.
at("stop").addEventListener("pointerdown", () => { letGo(); press("stop"); });
at("stop").addEventListener("click", (event) => { if (!event.detail) press("stop"); }); // by a key
document.addEventListener("contextmenu", (event) => event.preventDefault());
document.addEventListener("visibilitychange", () => { if (document.hidden) letGo(); });
window.addEventListener("blur", letGo);

// --- move, turn, and turn with the phone

function choose(wanted) {
  mode = wanted;
  for (const id of ["move", "turn"]) at(id).setAttribute("aria-pressed", String(id === wanted));
  label();
}
at("move").addEventListener("click", () => choose("move"));
at("turn").addEventListener("click", () => choose("turn"));

function onTilt(event) {
  if (event.alpha === null) return;
  tilt = [event.alpha, event.beta, event.gamma, screen.orientation?.angle ?? window.orientation ?? 0];
}

// Browsers tell it only over https or from localhost, iPhones only after asking.
async function startTilting() {
  if (!window.isSecureContext) return t("tilt needs https");
  const sensor = window.DeviceOrientationEvent;
  if (!sensor) return t("no tilt");
  if (sensor.requestPermission && (await sensor.requestPermission()) !== "granted") return t("tilt refused");
  window.addEventListener("deviceorientation", onTilt);
  await new Promise((resolve) => setTimeout(resolve, 500));
  return tilt ? "" : t("no tilt");
}

at("tilt").addEventListener("click", async () => {
  letGo();
  const why = isTilting ? "" : await startTilting();
  isTilting = !isTilting && !why;
  at("tilt").setAttribute("aria-pressed", String(isTilting));
  at("note").textContent = why;
});

// --- beats

async function beat() {
  const commands = pressed;
  pressed = [];
  const body = {
    client, number: number++, grip: fingers.size ? grip : null, position, angles, tilt: isTilting ? tilt : null, gripper, commands,
  };
  try {
    const answer = await fetch("/beat", {
      method: "POST", headers: { "Content-Type": "application/json", "X-Token": token },
      body: JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE),
    });
    if (!answer.ok) throw new Error(String(answer.status));
    const { mine } = await answer.json();
    show(mine ? (fingers.size ? "leads" : "ready") : "another leads");
  } catch (error) {
    pressed = [...commands, ...pressed];
    letGo();
    show(error.message === "403" ? "no token" : "lost");
  }
}

async function run() {
  for (;;) {
    const due = performance.now() + PERIOD;
    if (!document.hidden) await beat();
    await new Promise((resolve) => setTimeout(resolve, Math.max(5, due - performance.now())));
  }
}

at("language").addEventListener("click", () => speak(language === "en" ? "ko" : "en"));
await speak(navigator.language.startsWith("ko") ? "ko" : "en");
run();

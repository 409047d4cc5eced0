"use strict";

// The twin's state, five times a second; a hand that leads the arm while its motors are off, or takes the cube. To do something,
// a page posts JSON with the token of its own address.
const HELD_EVERY = 100; // ms between moves while a button or key is held
const STRIDE = 0.006; // m, of one move
const LIMITS = [168, 135, 145, 145, 168, 180]; // degrees, either way
const token = new URLSearchParams(location.search).get("token") ?? "";
const find = (id) => document.getElementById(id);
const degrees = (radians) => (radians * 180) / Math.PI;

let isReleased = false;
let isBusy = false; // one request at a time: what comes meanwhile is of the past when its turn comes

async function post(body, action = "guide") {
  if (isBusy) return;
  isBusy = true;
  try {
    const headers = { "Content-Type": "application/json", "X-Token": token };
    const answer = await fetch(`/${action}`, { method: "POST", body: JSON.stringify(body), headers });
    find("refused").textContent = answer.ok ? "" : (await answer.json()).error;
  } catch {
    find("refused").textContent = "the twin does not answer";
  } finally {
    isBusy = false;
  }
}

// --- the joints

const sliders = LIMITS.map((limit, index) => {
  const label = document.createElement("label");
  const slider = Object.assign(document.createElement("input"), { type: "range", min: -limit, max: limit, step: 0.5 });
  const value = document.createElement("output");
  label.append(`joint ${index + 1}`, slider, value);
  find("joints").append(label);
  slider.addEventListener("input", () => post({ qpos: sliders.map((each) => (each.slider.value * Math.PI) / 180) }));
  return { slider, value };
});

function showJoints(qpos) {
  sliders.forEach(({ slider, value }, index) => {
    const angle = degrees(qpos[index]);
    value.textContent = `${angle.toFixed(1)}°`;
    if (document.activeElement !== slider) slider.value = angle;
    slider.disabled = !isReleased;
  });
}

// --- the tool, along the picture

let held = null; // the button that is pressed
let timer = 0;

function move() {
  if (held && isReleased) post({ along: held.dataset.along.split(",").map((sign) => sign * STRIDE) });
}

function press(button) {
  letGo();
  held = button;
  move();
  timer = setInterval(move, HELD_EVERY);
}

function letGo() {
  clearInterval(timer);
  held = null;
}

const buttons = [...document.querySelectorAll("[data-along]")];
for (const button of buttons) button.addEventListener("pointerdown", () => press(button));
addEventListener("pointerup", letGo);
addEventListener("blur", letGo);
addEventListener("keydown", (event) => {
  const button = buttons.find((each) => each.dataset.key === event.key.toLowerCase());
  if (button && !event.repeat && !event.ctrlKey && !event.metaKey) press(button);
});
find("knock_loose").addEventListener("click", () => post({}, "knock_loose"));
addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "t" && !event.repeat && !event.ctrlKey && !event.metaKey) post({}, "knock_loose");
});
addEventListener("keyup", (event) => {
  if (held?.dataset.key === event.key.toLowerCase()) letGo();
});

// --- how it stands

function rows(state) {
  const seconds = (value) => `${value.toFixed(2)} s`;
  const all = {
    reward: `${state.reward} of ${state.max_reward} (highest ${state.highest_reward})`,
    success: state.success ? "yes" : "no",
    "strictly (still so at the end)": state.strict_success === null ? "-" : state.strict_success ? "yes" : "no",
    case: state.case_label ?? "-",
    gripper: `${Math.round(100 * state.gripper)} % open`,
    "time of the episode": seconds(state.time),
    "behind the clock": `${seconds(state.lag)}, ${seconds(state.slipped)} given up`,
    motors: state.released ? "off" : "on",
  };
  return Object.entries(all).map(([name, value]) => {
    const row = document.createElement("tr");
    for (const [kind, text] of [["th", name], ["td", value]]) {
      row.append(Object.assign(document.createElement(kind), { textContent: text }));
    }
    return row;
  });
}

function show(state) {
  const wasReleased = isReleased;
  isReleased = state.released;
  if (isReleased && !wasReleased) post({ qpos: state.qpos.slice(0, 6) }); // catch the arm before it drops
  find("state").replaceChildren(...rows(state));
  find("advice").textContent = isReleased
    ? "The motors are off, and this page holds the arm: move it by buttons, keys or sliders. Poses are captured in the terminal."
    : "The motors hold the arm. record_episodes.py --guide releases them, and so does g while you have taken over.";
  for (const button of buttons) button.disabled = !isReleased;
  showJoints(state.qpos);
}

async function refresh() {
  try {
    show(await (await fetch("/state")).json());
  } catch {
    find("advice").textContent = "the twin has ended";
  }
}

refresh();
setInterval(refresh, 200);

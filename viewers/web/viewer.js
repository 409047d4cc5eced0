// What is shown, and when. This follows viewer_pane.js, which draws an episode.

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 4];

// --- time

function span() { // s, of all plots
  return Math.max(...panes.map((pane) => pane.duration));
}

function seek(time) {
  const last = Math.max(...panes.map(({ entry }) => (entry.steps - 1) / entry.fps));
  view.time = Math.min(Math.max(time, 0), last);
  panes.forEach((pane) => pane.at(view.time));
  for (const pane of panes) {
    for (const video of pane.videos) {
      if (!view.playing) {
        pane.settle(video);
      } else {
        video.currentTime = Math.min(view.time, pane.duration);
        if (video.paused && view.time < pane.duration) start(video);
      }
    }
  }
  tell();
}

function start(video) {
  video.play().catch(() => {}); // one that is missing; its figure says so
}

function move(steps) { // by steps of the longest episode
  pause();
  const { entry } = longest();
  seek((stepAt(entry, view.time) + steps) / entry.fps);
}

function longest() {
  return panes.reduce((a, b) => (b.duration > a.duration ? b : a));
}

let before = 0; // ms, of the last frame that was drawn

function play() {
  if (!panes.length) return;
  const { entry } = longest();
  if (stepAt(entry, view.time) === entry.steps - 1) seek(0);
  view.playing = true;
  before = performance.now();
  for (const pane of panes) {
    for (const video of pane.videos) {
      video.playbackRate = view.speed;
      video.currentTime = Math.min(view.time, pane.duration);
      if (view.time < pane.duration) start(video);
    }
  }
  requestAnimationFrame(advance);
  tell();
}

function pause() {
  view.playing = false;
  panes.forEach((pane) => pane.videos.forEach((video) => video.pause()));
  if (!panes.length) return;
  const { entry } = longest();
  seek(stepAt(entry, view.time) / entry.fps);
}

function advance(now) { // the longest episode's first video leads; the others, and the cursors, follow
  if (!view.playing) return;
  const [leader] = longest().videos.filter((video) => !video.error);
  if (leader && !leader.ended) view.time = leader.currentTime;
  else view.time += (now - before) / 1000 * view.speed;
  before = now;
  for (const pane of panes) {
    pane.at(view.time);
    const late = Math.max(0.06, 1.5 / pane.entry.fps);
    for (const video of pane.videos) {
      if (video !== leader && !video.seeking && view.time < pane.duration
          && Math.abs(video.currentTime - view.time) > late) video.currentTime = view.time;
    }
  }
  if ((leader && leader.ended) || view.time >= span()) {
    view.time = span();
    pause();
    return;
  }
  tell();
  requestAnimationFrame(advance);
}

// --- what is shown

let order = 0; // of what was asked for; numbers that arrive late are not shown

async function show(names, time = 0) {
  const mine = ++order;
  const was = view.playing;
  pause();
  view.names = names;
  mark();
  const results = await Promise.allSettled(names.map(load));
  if (mine !== order) return;
  panes.forEach((pane) => pane.release());
  panes = results.flatMap(({ value }, i) => (value ? [new Pane(entries.get(names[i]), value)] : []));
  const problems = results.filter((result) => result.reason);
  $("panes").replaceChildren(...panes.map((pane) => pane.root),
    ...problems.map(({ reason }) => make("p", { className: "problem", textContent: reason.message })));
  $("other").hidden = panes.length < 2;
  $("compare").textContent = names.length > 1 ? "Show one" : "Compare";
  if (!panes.length) return;
  draw();
  seek(time);
  if (was) play();
}

function draw() {
  panes.forEach((pane, i) => pane.draw(panes[1 - i]));
}

function tell() { // the transport, and the address
  $("play").textContent = view.playing ? "Pause" : "Play";
  if (!panes.length) return;
  const { entry } = panes[0];
  const step = stepAt(entry, view.time);
  $("clock").textContent = `step ${step} / ${entry.steps - 1}, ${(step / entry.fps).toFixed(2)} s`;
  if (!view.playing) {
    const address = `#${view.names.map(encodeURIComponent).join("&")}@${+view.time.toFixed(4)}`;
    if (address !== location.hash) history.replaceState(null, "", address);
  }
}

function shown() { // entries that the filter lets through
  const words = view.text.toLowerCase().split(/\s+/).filter(Boolean);
  return dataset.episodes.filter((entry) => (view.outcome === "all" || outcomeOf(entry) === view.outcome)
    && (view.case === "" || entry.case === view.case)
    && words.every((word) => `${entry.name} ${entry.task} ${entry.case || ""}`.toLowerCase().includes(word)));
}

function list() {
  const tasks = new Set(dataset.episodes.map((entry) => entry.task));
  $("episodes").replaceChildren(...shown().map((entry) => {
    const outcome = outcomeOf(entry);
    const row = make("button", { className: "row", title: `${entry.task || "unknown task"}: ${outcome}` },
      make("span", { className: `dot ${outcome}` }),
      make("span", { textContent: entry.name }),
      make("span", { className: "length", textContent: `${entry.steps} · ${(entry.steps / entry.fps).toFixed(1)} s` }));
    const kinds = [tasks.size > 1 && (entry.task || "unknown task"), entry.case].filter(Boolean);
    if (kinds.length) row.append(make("span", { className: "task", textContent: kinds.join(", ") }));
    const beside = make("button", { className: "beside", textContent: "compare", title: "Show it beside the present one" });
    row.addEventListener("click", (event) => choose(entry.name, event.shiftKey));
    beside.addEventListener("click", () => choose(entry.name, true));
    const item = make("li", {}, row, beside);
    item.dataset.name = entry.name;
    return item;
  }));
  mark();
}

function mark() {
  for (const item of $("episodes").children) {
    item.classList.toggle("first", item.dataset.name === view.names[0]);
    item.classList.toggle("second", item.dataset.name === view.names[1]);
    item.classList.toggle("marked", marked.has(item.dataset.name));
  }
  const first = $("episodes").querySelector(".first");
  if (first) first.scrollIntoView({ block: "nearest" });
}

// --- marked episodes: the page changes none, it gives the command that does

const marked = new Set(); // names
const MARKS = `marked episodes of ${dataset.folder}`;

function remember() {
  try {
    localStorage.setItem(MARKS, JSON.stringify([...marked]));
  } catch { /* a browser that keeps nothing for pages on disk */ }
}

function recall() {
  try {
    const names = JSON.parse(localStorage.getItem(MARKS)) || [];
    names.filter((name) => entries.has(name)).forEach((name) => marked.add(name));
  } catch { /* as above */ }
}

function toggleMark() {
  const name = view.names[0];
  if (!marked.delete(name)) marked.add(name);
  tellMarked();
}

function tellMarked() {
  const words = dataset.episodes.filter((entry) => marked.has(entry.name)).map((entry) => entry.word);
  $("edit").hidden = !words.length;
  $("command").textContent = `${dataset.edit} ${$("change").value} --dataset_dir ${dataset.folder} `
    + `--episodes ${words.join(" ")} --in_place`;
  remember();
  mark();
}

function choose(name, asSecond) {
  const comparing = view.names.length > 1;
  if (asSecond) show([view.names[0], name], view.time);
  else show(comparing ? [name, view.names[1]] : [name], comparing ? view.time : 0);
}

function neighbour(by, second) { // the episode so many rows below
  const names = shown().map((entry) => entry.name);
  const at = names.indexOf(view.names[second ? 1 : 0]);
  const name = names[Math.min(Math.max(at + by, 0), names.length - 1)];
  if (name && name !== view.names[second ? 1 : 0]) choose(name, second);
}

function compare() {
  if (view.names.length > 1) show(view.names.slice(0, 1), view.time);
  else {
    const others = shown().filter((entry) => entry.name !== view.names[0]);
    const at = others.findIndex((entry) => dataset.episodes.indexOf(entry) > dataset.episodes.indexOf(entries.get(view.names[0])));
    const next = others[Math.max(at, 0)];
    if (next) show([view.names[0], next.name], view.time);
  }
}

function setSpeed(speed) {
  view.speed = speed;
  panes.forEach((pane) => pane.videos.forEach((video) => { video.playbackRate = speed; }));
  press("speeds", speed);
}

function press(id, value) {
  for (const button of $(id).children) button.setAttribute("aria-pressed", button.value === String(value));
}

function choices(id, values, label, then) {
  $(id).append(...values.map((value) => make("button", { value, textContent: label(value), onclick: () => then(value) })));
}

function onKey(event) {
  if ($("help").open || event.altKey || event.metaKey) return;
  if (event.target.matches("input, select")) {
    if (event.key === "Escape" || event.key === "Enter") event.target.blur();
    return;
  }
  const { entry } = longest();
  const stride = event.ctrlKey ? Math.round(entry.fps) : event.shiftKey ? 10 : 1;
  const faster = (by) => setSpeed(SPEEDS[Math.min(Math.max(SPEEDS.indexOf(view.speed) + by, 0), SPEEDS.length - 1)]);
  const keys = {
    " ": () => (view.playing ? pause() : play()),
    ArrowLeft: () => move(-stride),
    ArrowRight: () => move(stride),
    ArrowUp: () => neighbour(-1, event.shiftKey),
    ArrowDown: () => neighbour(1, event.shiftKey),
    Home: () => seek(0),
    End: () => seek(span()),
    c: compare,
    m: toggleMark,
    "-": () => faster(-1),
    "+": () => faster(1),
    "/": () => $("search").focus(),
    "?": () => $("help").showModal(),
  };
  if (!(event.key in keys) || (event.ctrlKey && !event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  keys[event.key]();
}

function begin() {
  const total = dataset.episodes.length;
  const told = dataset.episodes.filter((entry) => entry.success !== null);
  const successes = told.filter((entry) => entry.success).length;
  const seconds = dataset.episodes.reduce((sum, entry) => sum + entry.steps / entry.fps, 0);
  const length = seconds < 100 ? `${seconds.toFixed(0)} s` : `${(seconds / 60).toFixed(0)} min`;
  $("summary").textContent = `${total} episode${total > 1 ? "s" : ""}, ${length}`
    + (told.length ? `, ${successes} of ${told.length} successful` : "");
  choices("outcomes", ["all", "success", "failure"], (value) => value, (value) => {
    view.outcome = value;
    press("outcomes", value);
    list();
  });
  press("outcomes", "all");
  choices("speeds", SPEEDS, (speed) => `${speed}×`, setSpeed);
  press("speeds", 1);
  $("search").addEventListener("input", (event) => {
    view.text = event.target.value;
    list();
  });
  $("play").addEventListener("click", () => (view.playing ? pause() : play()));
  $("back").addEventListener("click", () => move(-1));
  $("forward").addEventListener("click", () => move(1));
  $("compare").addEventListener("click", compare);
  $("mark").addEventListener("click", toggleMark);
  $("change").addEventListener("change", tellMarked);
  $("copy").addEventListener("click", () => navigator.clipboard.writeText($("command").textContent));
  $("unmark").addEventListener("click", () => {
    marked.clear();
    tellMarked();
  });
  const cases = [...new Set(dataset.episodes.map((entry) => entry.case).filter(Boolean))].sort();
  $("cases").hidden = cases.length < 2;
  $("cases").append(new Option("all cases", ""), ...cases.map((name) => new Option(name, name)));
  $("cases").addEventListener("change", (event) => {
    view.case = event.target.value;
    list();
  });
  $("keys").addEventListener("click", () => $("help").showModal());
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", (event) => { // space is for playing, whatever was clicked before
    if (event.target.closest("button") && !event.target.closest("dialog")) document.activeElement.blur();
  });
  window.addEventListener("resize", draw);
  window.addEventListener("hashchange", fromAddress);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  recall();
  list();
  tellMarked();
  fromAddress();
}

function fromAddress() {
  const [names, time] = location.hash.slice(1).split("@");
  const known = names.split("&").map(decodeURIComponent).filter((name) => entries.has(name)).slice(0, 2);
  show(known.length ? known : [dataset.episodes[0].name], Number(time) || 0);
}

begin();

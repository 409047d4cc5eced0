// What a person marks: objects, in each episode, and four points of the table, once, as the camera stands
// still. A mark is x, y in pixels, whose middles are whole numbers. `show` brings the page to what `view`,
// `marks` and `points` hold.

const { camera, size, props, episodes } = JSON.parse(document.getElementById("data").textContent);
const marks = Object.fromEntries(episodes.map(({ name }) => [name, {}])); // by episode and prop
const points = [1, 2, 3, 4].map(() => ({ pixel: null, place: [null, null] })); // place: x, y in m
const targets = [...props, ...points.map((_, i) => `table ${i + 1}`)];
const view = { episode: 0, target: 0 };

const round = (value) => Math.round(10 * value) / 10;
const own = () => marks[episodes[view.episode].name];
const point = () => points[view.target - props.length];
const marked = () => point()?.pixel ?? own()[props[view.target]] ?? null;

function mark(pixel) { // null: take it away
  if (point()) point().pixel = pixel;
  else if (pixel) own()[props[view.target]] = pixel;
  else delete own()[props[view.target]];
}

function content() {
  const used = points.filter(({ pixel, place }) => pixel || place.some((value) => value !== null));
  const clicked = Object.fromEntries(Object.entries(marks).filter(([, each]) => Object.keys(each).length));
  return JSON.stringify({ camera, size, points: used, props: clicked });
}

function missing() {
  const lines = props.map((prop) => {
    const names = episodes.map(({ name }) => name).filter((name) => !(prop in marks[name]));
    return names.length ? `${prop} is not marked in ${names.length} of ${episodes.length} episodes` : "";
  });
  const whole = points.filter(({ pixel, place }) => pixel && !place.includes(null)).length;
  if (whole < 4) {
    const unless = "not needed where the camera stands as in the scene";
    lines.push(`${whole} of the table's 4 points have a mark and a place (${unless})`);
  }
  return lines.filter(Boolean).join("; ");
}

function draw() {
  const context = drawPicture(episodes[view.episode].image, size, draw);
  if (!context) return;
  const all = [...props.map((prop) => own()[prop]), ...points.map(({ pixel }) => pixel)];
  all.forEach((pixel, i) => pixel && drawMark(context, pixel, targets[i], i === view.target));
}

function drawMark(context, [column, row], label, isChosen) {
  const [x, y] = [column + 0.5, row + 0.5]; // from the edges
  for (const [colour, width] of [["black", 3], [isChosen ? "cyan" : "yellow", 1]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    context.arc(x, y, 9, 0, 2 * Math.PI);
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 2 * dx, y + 2 * dy);
      context.lineTo(x + 14 * dx, y + 14 * dy);
    }
    context.stroke();
    context.lineWidth = width;
    if (colour === "black") context.strokeText(label, x + 12, y - 8);
  }
  context.fillStyle = isChosen ? "cyan" : "yellow";
  context.fillText(label, x + 12, y - 8);
}

function show() {
  $("targets").replaceChildren(...targets.map((label, i) =>
    button(label, i === view.target, () => { view.target = i; show(); })));
  $("episodes").value = view.episode;
  $("missing").textContent = missing();
  $("file").textContent = content();
  draw();
}

function placeInput(number, axis) {
  const label = `${number + 1}: ${"xy"[axis]} (m)`;
  const input = Object.assign(document.createElement("input"), { type: "number", step: 0.001, placeholder: label });
  input.setAttribute("aria-label", `table ${label}`);
  input.oninput = () => {
    points[number].place[axis] = Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : null;
    show();
  };
  return input;
}

canvas.onclick = (event) => {
  const limits = [size[1] - 1, size[0] - 1];
  mark(pointed(event).map((value, axis) => Math.min(Math.max(round(value - 0.5), 0), limits[axis])));
  const isLast = view.target === props.length - 1 || view.target === targets.length - 1;
  if (!isLast) view.target += 1;
  show();
};

function nudge(dx, dy) {
  const pixel = marked();
  if (!pixel) return;
  const moved = [round(pixel[0] + dx), round(pixel[1] + dy)];
  if (moved.every((value, axis) => value >= 0 && value <= [size[1] - 1, size[0] - 1][axis])) mark(moved);
}

document.onkeydown = (event) => {
  if (event.target.tagName === "INPUT") return;
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!way) return;
  const [dx, dy] = way;
  if (dx || event.altKey) nudge(dx / 2, dy / 2);
  else view.episode = (view.episode + dy + episodes.length) % episodes.length;
  if (dy && !event.altKey && !point()) view.target = 0;
  event.preventDefault();
  show();
};

$("episodes").replaceChildren(...episodes.map(({ name }, i) => new Option(name, i)));
$("episodes").onchange = () => { view.episode = Number($("episodes").value); $("episodes").blur(); show(); };
$("places").replaceChildren(...points.flatMap((_, i) => [placeInput(i, 0), placeInput(i, 1)]));
$("clear").onclick = () => { mark(null); show(); };
$("copy").onclick = () => navigator.clipboard.writeText(content());
$("save").onclick = () => {
  const address = URL.createObjectURL(new Blob([`${content()}\n`], { type: "application/json" }));
  Object.assign(document.createElement("a"), { href: address, download: "clicks.json" }).click();
  URL.revokeObjectURL(address);
};
show();

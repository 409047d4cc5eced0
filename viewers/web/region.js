// One box a camera, in pixels of the recorded frame: x0, y0, x1, y1, the latter two outside of it. `show`
// brings the page to what `view` and `boxes` hold.

const cameras = JSON.parse(document.getElementById("data").textContent);
const boxes = Object.fromEntries(cameras.map((camera) => [camera.name, camera.boxes[0]?.box ?? null]));
const view = { camera: 0, layer: 0 };
let corner = null; // where a drag began

const shown = () => cameras[view.camera];

function flags() {
  const given = cameras.filter((camera) => boxes[camera.name])
    .map((camera) => `${camera.name}=${boxes[camera.name].join(",")}`).join(" ");
  return given ? ["--crop", "--mask_outside", "--roi"].map((flag) => `${flag} ${given}`).join("\n") : "";
}

function draw() {
  const camera = shown();
  const box = boxes[camera.name];
  const context = drawPicture(camera.layers[view.layer].image, camera.size, draw);
  if (!context || !box) return;
  const [x0, y0, x1, y1] = box;
  context.fillStyle = "rgba(0, 0, 0, 0.45)"; // what a mask would hide
  context.beginPath();
  context.rect(0, 0, canvas.width, canvas.height);
  context.rect(x0, y0, x1 - x0, y1 - y0);
  context.fill("evenodd");
  context.strokeStyle = "cyan";
  context.lineWidth = 2;
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
}

function show() {
  const camera = shown();
  view.layer = Math.min(view.layer, camera.layers.length - 1);
  $("cameras").replaceChildren(...cameras.map((each, i) =>
    button(each.name, i === view.camera, () => { view.camera = i; show(); })));
  $("layers").replaceChildren(...camera.layers.map((layer, i) => new Option(layer.name, i)));
  $("layers").value = view.layer;
  $("proposals").replaceChildren(...camera.boxes.map(({ name, box }) =>
    button(name, String(box) === String(boxes[camera.name]), () => { boxes[camera.name] = box; show(); })));
  $("flags").textContent = flags();
  draw();
}

canvas.onpointerdown = (event) => {
  corner = pointed(event).map(Math.round);
  canvas.setPointerCapture(event.pointerId);
};

canvas.onpointermove = (event) => {
  if (!corner) return;
  const other = pointed(event).map(Math.round);
  const [x, y] = [0, 1].map((axis) => [corner[axis], other[axis]].sort((a, b) => a - b));
  if (x[0] < x[1] && y[0] < y[1]) {
    boxes[shown().name] = [x[0], y[0], x[1], y[1]];
    show();
  }
};

canvas.onpointerup = canvas.onpointercancel = () => { corner = null; };

function nudge(dx, dy, isCorner) {
  const { name, size: [height, width] } = shown();
  if (!boxes[name]) return;
  const [x0, y0, x1, y1] = boxes[name];
  const moved = isCorner ? [x0, y0, x1 + dx, y1 + dy] : [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
  const fits = moved[0] >= 0 && moved[1] >= 0 && moved[2] <= width && moved[3] <= height;
  if (fits && moved[0] < moved[2] && moved[1] < moved[3]) boxes[name] = moved;
}

document.onkeydown = (event) => {
  const count = shown().layers.length;
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    nudge(event.key === "ArrowRight" ? 1 : -1, 0, event.shiftKey);
  } else if (event.shiftKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
    nudge(0, event.key === "ArrowDown" ? 1 : -1, true);
  } else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
    nudge(0, event.key === "ArrowDown" ? 1 : -1, false);
  } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
    view.layer = (view.layer + (event.key === "ArrowDown" ? 1 : count - 1)) % count;
  } else return;
  event.preventDefault();
  show();
};

$("layers").onchange = () => { view.layer = Number($("layers").value); $("layers").blur(); show(); };
$("clear").onclick = () => { boxes[shown().name] = null; show(); };
$("copy").onclick = () => navigator.clipboard.writeText(flags());
show();

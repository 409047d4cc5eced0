"use strict";

// A picture on a canvas, at which a person points.

const canvas = document.getElementById("picture");
const pictures = new Map(); // by address: the image, once it is loaded

const $ = (id) => document.getElementById(id);

function button(label, isChosen, onclick) {
  const element = Object.assign(document.createElement("button"), { textContent: label, onclick });
  element.setAttribute("aria-pressed", isChosen);
  return element;
}

// Draw the picture at an address, of this size (height, width). Returns what draws on top of it; null while
// it is being loaded, after which `again` is called.
function drawPicture(address, size, again) {
  [canvas.height, canvas.width] = size;
  const picture = pictures.get(address);
  if (!picture) {
    const image = new Image();
    image.onload = () => { pictures.set(address, image); again(); };
    image.src = address;
    return null;
  }
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return context;
}

// Of the mouse, from the picture's left and upper edge, in its pixels.
function pointed(event) {
  const frame = canvas.getBoundingClientRect();
  const scale = Math.min(frame.width / canvas.width, frame.height / canvas.height);
  const clip = (value, limit) => Math.min(Math.max(value / scale, 0), limit);
  return [clip(event.clientX - frame.left, canvas.width), clip(event.clientY - frame.top, canvas.height)];
}

"use strict";

// What the pictures show, in words, three times a second.
const EVERY = 330; // ms

async function refresh() {
  try {
    const placements = await (await fetch("/state")).json();
    for (const [camera, { text, advice, moved }] of Object.entries(placements)) {
      const figure = document.getElementById(`camera ${camera}`);
      figure.className = moved ? "moved" : "well";
      figure.querySelector("strong").textContent = advice || "it stands well";
      figure.querySelector("span").textContent = text;
    }
  } catch {
    for (const strong of document.querySelectorAll("strong")) strong.textContent = "the check has ended";
  }
  setTimeout(refresh, EVERY);
}

refresh();

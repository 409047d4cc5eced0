"use strict";

// The twin's state, twice a second. To do something, a page posts JSON with the token of its own address:
// fetch("/reset", {method: "POST", body: "{}", headers: {"Content-Type": "application/json", "X-Token": token}})
const shown = document.getElementById("state");

const rounded = (_, value) => (typeof value === "number" ? +value.toFixed(3) : value);

async function refresh() {
  try {
    const answer = await fetch("/state");
    shown.textContent = JSON.stringify(await answer.json(), rounded, 1);
  } catch {
    shown.textContent = "the twin has ended";
  }
}

refresh();
setInterval(refresh, 500);

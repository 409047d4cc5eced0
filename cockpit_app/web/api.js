// What the server is asked, and whether it answers.

const TOKEN = document.querySelector("meta[name=token]").content;
const KEY = document.querySelector("meta[name=key]").content;
const PATIENCE = 150000; // ms; a busy machine takes long to tell a script's flags

export const connection = { isLost: false, onchange: () => {} };

async function ask(address, options, patience = PATIENCE) {
  let answer;
  try {
    answer = await fetch(address, { ...options, signal: AbortSignal.timeout(patience) });
  } catch (error) {
    note(true);
    throw error;
  }
  note(false);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

function note(isLost) {
  if (connection.isLost === isLost) return;
  connection.isLost = isLost;
  connection.onchange();
}

export function get(question, values = {}) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  const query = new URLSearchParams(given).toString();
  return ask(`/api/${question}${query ? `?${query}` : ""}`);
}

const posted = (body) => ({ method: "POST", headers: { "Content-Type": "application/json", "X-Token": TOKEN }, body: JSON.stringify(body) });

// patience: ms after which no answer counts as none
export function post(action, body, patience) {
  return ask(`/api/${action}`, posted(body), patience);
}

// Said by a page that goes: it outlives the page, and nobody waits for the answer.
export function postLast(action, body) {
  fetch(`/api/${action}`, { ...posted(body), keepalive: true }).catch(() => {});
}

// The address of a file of the data or runs folder.
export function view(link) {
  return `/view/${KEY}/${link.split("/").map(encodeURIComponent).join("/")}`;
}

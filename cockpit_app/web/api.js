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

// patience: ms after which no answer counts as none
export function post(action, body, patience) {
  const headers = { "Content-Type": "application/json", "X-Token": TOKEN };
  return ask(`/api/${action}`, { method: "POST", headers, body: JSON.stringify(body) }, patience);
}

// The address of a file of the data or runs folder.
export function view(link) {
  return `/view/${KEY}/${link.split("/").map(encodeURIComponent).join("/")}`;
}

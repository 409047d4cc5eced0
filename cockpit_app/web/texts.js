// Texts in the chosen language, numbers and times as it writes them.

const CHOSEN = "cockpit language";
export const LANGUAGES = { en: "English", ko: "한국어" };
let texts = {};
export let language = "en";

export async function load(wanted) {
  const usual = navigator.language.startsWith("ko") ? "ko" : "en";
  language = wanted ?? localStorage.getItem(CHOSEN) ?? usual;
  if (!(language in LANGUAGES)) language = "en";
  if (wanted) localStorage.setItem(CHOSEN, wanted);
  texts = await (await fetch(`/web/${language}.json`)).json();
  document.documentElement.lang = language;
}

// A text by its key; {name} in it stands for a value. Before a bar stands what is said of one, of {n}.
export function t(key, values = {}) {
  const [one, many = one] = (texts[key] ?? key).split("|");
  const text = String(values.n) === "1" ? one : many;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

// A text by its key, or something else where there is none: of names that a page may not know.
export function known(key, otherwise) {
  return key in texts ? t(key) : otherwise;
}

export function number(value, digits = 0) {
  return value.toLocaleString(language, { maximumFractionDigits: digits });
}

// How long ago something was (s since 1970), in words.
export function ago(time) {
  const seconds = Math.max(0, Date.now() / 1000 - time);
  const form = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  if (seconds < 60) return t("just now");
  if (seconds < 3600) return form.format(-Math.round(seconds / 60), "minute");
  if (seconds < 86400) return form.format(-Math.round(seconds / 3600), "hour");
  return form.format(-Math.round(seconds / 86400), "day");
}

// Seconds as 4 s, 3 min or 1 h 20 min.
export function duration(seconds) {
  if (seconds < 60) return t("{n} s", { n: Math.round(seconds) });
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return t("{n} min", { n: minutes });
  return t("{h} h {n} min", { h: Math.floor(minutes / 60), n: minutes % 60 });
}

// A field for a flag, as its script tells it; and the fields that pages put first.

import { h, say } from "./dom.js";
import { t } from "./texts.js";

let count = 0;

// One flag: a switch, a choice or a text, with its help and its default.
export class Field {
  constructor(flag, value, onchange) {
    const id = `field_${++count}`;
    Object.assign(this, { flag, touched: value !== undefined });
    this.text = `${flag.name} ${flag.rule.help} ${flag.title}`.toLowerCase();
    this.problem = h("p", { class: "problem", id: `${id}_problem` });
    const described = `${id}_help ${id}_problem`;
    const isSwitch = flag.item === "bool" && !flag.form;
    this.input = isSwitch ? this.toggle(value) : flag.rule.choices && !flag.form ? this.choice(value) : this.line(value);
    this.input.id = id;
    this.input.setAttribute("aria-describedby", described);
    this.input.addEventListener("input", () => {
      this.touched = true;
      onchange(this.value());
    });
    const label = h("label", { for: id }, flag.name, flag.rule.required ? h("span", { class: "soft" }, ` ${t("needed")}`) : null);
    const help = h("p", { class: "help", id: `${id}_help` }, flag.rule.help, this.range());
    this.element = h("div", { class: isSwitch ? "field switch" : "field" }, label, this.input, help, this.problem);
  }

  toggle(value) {
    return h("input", { type: "checkbox", checked: value ?? Boolean(this.flag.default) });
  }

  choice(value) {
    const { rule, shown } = this.flag;
    const usual = h("option", { value: "" }, shown === "" ? t("not given") : t("{value} (default)", { value: shown }));
    const select = h("select", {}, usual, ...rule.choices.map((one) => h("option", { value: String(one) }, String(one))));
    select.value = value ?? "";
    return select;
  }

  line(value) {
    const isNumber = ["int", "float"].includes(this.flag.item);
    const input = h("input", {
      type: "text", placeholder: this.flag.shown, autocomplete: "off", spellcheck: "false",
      inputmode: isNumber && !this.flag.form ? "decimal" : null,
    });
    input.value = Array.isArray(value) ? value.join(" ") : value ?? "";
    return input;
  }

  range() {
    const { rule, form, item } = this.flag;
    const words = [];
    if (form === "tuple" && rule.choices) words.push(rule.choices.join(", "));
    if (item !== "str" && rule.least !== null && rule.most !== null) words.push(`${rule.least} – ${rule.most}`);
    else if (rule.least !== null) words.push(`≥ ${rule.least}`);
    else if (rule.above !== null) words.push(`> ${rule.above}`);
    return words.length ? ` (${words.join("; ")})` : null;
  }

  value() {
    if (this.input.type === "checkbox") {
      return this.input.checked === Boolean(this.flag.default) ? "" : this.input.checked;
    }
    const text = this.input.value.trim();
    return this.flag.form ? text.split(/\s+/).filter(Boolean) : text;
  }

  tell(problem) {
    const why = (this.touched && problem) || "";
    say(this.problem, why);
    if (why) this.input.setAttribute("aria-invalid", "true");
    else this.input.removeAttribute("aria-invalid");
  }
}

// A line of a page's own: its flag, its words, what it begins with.
export function line({ flag, label, help, value = "", onchange, isNumber = false, before = "" }) {
  const id = `field_${++count}`;
  const input = h("input", {
    type: "text", id, autocomplete: "off", spellcheck: "false", inputmode: isNumber ? "numeric" : null,
    "aria-describedby": `${id}_help`, oninput: () => onchange(),
  });
  input.value = value;
  const note = h("p", { class: "help", id: `${id}_help` }, help ?? "");
  const box = before ? h("div", { class: "prefixed" }, h("span", {}, before), input) : input;
  return {
    flags: [flag], input, note,
    element: h("div", { class: "field" }, h("label", { for: id }, label), box, note),
    values: () => (input.value.trim() ? { [flag]: before + input.value.trim() } : {}),
    told: (flags) => { if (!before) input.placeholder = flags.get(flag)?.shown ?? ""; },
  };
}

// One of a few, side by side, each with a word about it: {value, label, about}.
export function cards({ flag, label, options, value, onchange }) {
  const name = `cards_${++count}`;
  const inputs = options.map((option) => h("input", {
    type: "radio", name, value: option.value, checked: option.value === value, onchange: () => onchange(),
  }));
  const element = h("fieldset", { class: "cards" }, h("legend", {}, label), h("div", {}, ...options.map((option, place) =>
    h("label", {}, inputs[place], h("span", {}, h("b", {}, option.label), option.about ? h("small", {}, option.about) : null)))));
  const chosen = () => inputs.find((input) => input.checked)?.value ?? "";
  return { flags: [flag], element, chosen, inputs, values: () => (chosen() ? { [flag]: chosen() } : {}) };
}

// One of a list: {value, label}. `fill` changes the list, and keeps what is chosen while it is there.
export function picker({ label, flags, values, onchange, empty }) {
  const id = `field_${++count}`;
  const select = h("select", { id, "aria-describedby": `${id}_help`, onchange: () => onchange() });
  const note = h("p", { class: "help", id: `${id}_help` });
  let filled = "";
  return {
    flags, select, note,
    element: h("div", { class: "field" }, h("label", { for: id }, label), select, note),
    chosen: () => select.value,
    values: () => values(select.value),
    fill(options, wanted) {
      const text = JSON.stringify(options);
      if (text === filled) return false;
      filled = text;
      const before = wanted ?? select.value;
      const shown = options.length ? options : [{ value: "", label: empty }];
      select.replaceChildren(...shown.map((one) => h("option", { value: one.value }, one.label)));
      select.disabled = options.length === 0;
      if (options.some((one) => one.value === before)) select.value = before;
      return true;
    },
  };
}

// Several of a list: {value, label}.
export function several({ flag, label, onchange }) {
  const box = h("div");
  const element = h("fieldset", { class: "several" }, h("legend", {}, label), box);
  const chosen = () => [...box.querySelectorAll(":checked")].map((input) => input.value);
  let filled = "";
  return {
    flags: [flag], element, chosen, values: () => ({ [flag]: chosen() }),
    fill(options) {
      const text = JSON.stringify(options);
      if (text === filled) return false;
      filled = text;
      const before = new Set(chosen());
      box.replaceChildren(...options.map((one) => h("label", {}, h("input", {
        type: "checkbox", value: one.value, checked: before.has(one.value), onchange: () => onchange(),
      }), one.label)));
      return true;
    },
  };
}

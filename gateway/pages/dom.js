// dom.js - elements, and text of others shown safely. Nothing here reads or makes markup: what
// comes from a server becomes text nodes only.
import { t, lang, sentence } from "./text.js";
import { clock, load } from "./api.js";

const SHOWN_MAX = 64 * 1024, NODES_MAX = 1500, DEPTH_MAX = 4, COLUMNS_MAX = 8, MEMBERS_MAX = 200;
const SVG = "http://www.w3.org/2000/svg";

function fill(e, props, children) {
  for (const [k, v] of Object.entries(props || {})) {
    if (v === undefined || v === null || v === false) continue;
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (k === "class") e.setAttribute("class", v);
    else if (k === "value") e.value = v;
    else e.setAttribute(k, v === true && !k.startsWith("aria-") ? "" : v);
  }
  add(e, children);
  return e;
}

export function add(e, ...children) {
  for (const c of children.flat(9)) if (c !== undefined && c !== null && c !== false) e.append(c);
  return e;
}

export const $ = (id) => document.getElementById(id);
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const svg = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);
export const empty = (e, ...children) => (e.replaceChildren(), add(e, children));
export const button = (text, onclick, more) => h("button", { type: "button", onclick, ...more }, text);
export const link = (href, ...text) => h("a", { href }, text);

// Characters that turn text around or cannot be seen are written out, like [U+202E]. Joiners stay
// behind letters of writing systems that need them.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]|(?<![^\u0000-\u024f])[\u200c\u200d]/gu;
export function clean(s) {
  return String(s).replace(/\r\n/g, "\n").replace(HIDDEN,
    (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
}

export function cut(s, max) {
  s = String(s);
  return s.length > max ? s.slice(0, max) + "…" : s;
}

// Text of others, its direction kept to itself.
export const foreign = (s, max = 400) => h("bdi", { class: "foreign" }, clean(cut(s, max)));

// ---- values of others: what is simple reads like text, the rest is JSON

const isFlat = (v) => v === null || typeof v !== "object";
const isRow = (v) => v && typeof v === "object" && !Array.isArray(v) && Object.values(v).every(isFlat);

const numbers = {};
export const number = (v) => (numbers[lang()] ||= new Intl.NumberFormat(lang(), { maximumFractionDigits: 10 })).format(v);

function some(list, max, left) { // or some of a text
  if (list.length > max) left.cut = true;
  return list.slice(0, max);
}

function part(s, left) {
  const text = clean(some(s, Math.max(left.bytes, 0), left));
  left.bytes -= text.length;
  return text;
}

function scalar(v, left) {
  if (v === null || v === undefined) return h("span", { class: "quiet" }, t("none"));
  if (typeof v === "number") return part(number(v), left);
  if (typeof v === "boolean") return t(v ? "yes" : "no");
  const text = part(v, left);
  return h("bdi", { class: text.length > 80 || text.includes("\n") ? "foreign long" : "foreign" }, text);
}

function table(all, left) {
  const keys = [...new Set(all.flatMap(Object.keys))];
  if (keys.length > COLUMNS_MAX || !keys.length) return null;
  const rows = some(all, Math.ceil(left.nodes / keys.length), left);
  left.nodes -= rows.length * keys.length;
  const numeric = (k) => rows.every((r) => typeof r[k] === "number");
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": t("table") }, h("table", {},
    h("thead", {}, h("tr", {}, keys.map((k) => h("th", { scope: "col", class: numeric(k) && "number" }, clean(cut(k, 60)))))),
    h("tbody", {}, rows.map((r) => h("tr", {}, keys.map((k) => h("td", { class: numeric(k) && "number" }, Object.hasOwn(r, k) ? scalar(r[k], left) : "")))))));
}

function tree(v, left, depth) {
  left.nodes -= 1;
  if (left.nodes < 0 || left.bytes < 0) { left.cut = true; return ""; }
  if (isFlat(v)) return scalar(v, left);
  if (depth > DEPTH_MAX) {
    const text = JSON.stringify(v);
    return h("code", { class: "foreign" }, part(some(text, 500, left), left));
  }
  const entries = Object.entries(v);
  if (!entries.length) return h("span", { class: "quiet" }, t("none"));
  if (Array.isArray(v)) {
    return (v.every(isRow) && table(v, left)) || h("ul", { class: "values" }, some(v, left.nodes, left).map((x) => h("li", {}, tree(x, left, depth + 1))));
  }
  return h("dl", { class: "values" }, some(entries, MEMBERS_MAX, left).map(([k, x]) =>
    h("div", {}, h("dt", {}, clean(cut(k, 80))), h("dd", {}, tree(x, left, depth + 1)))));
}

// A result as people read it, with its JSON folded below.
export function value(v) {
  const left = { bytes: SHOWN_MAX, nodes: NODES_MAX, cut: false };
  const shown = tree(v, left, 0);
  const box = h("div", { class: "value" }, shown);
  if (left.cut) box.append(h("p", { class: "quiet" }, t("cut", { kb: 64 })));
  if (!isFlat(v) || left.cut) box.append(json(v));
  return box;
}

export function json(v, label = "JSON") {
  const pre = h("pre", { tabindex: "0" });
  const all = () => JSON.stringify(v, null, 2);
  const d = h("details", { class: "json", ontoggle: () => {
    if (d.open && !pre.textContent) pre.textContent = clean(cut(all(), SHOWN_MAX));
  } }, h("summary", {}, label), pre, button(t("copy"), () => copy(all())));
  return d;
}

// One line of a result, for lists.
export function firstLine(v) {
  while (v && typeof v === "object") v = Object.values(v)[0];
  return v === undefined || v === null ? "" : clean(cut(String(v).split("\n")[0], 90));
}

// ---- time

export function took(time) {
  if (time === null || time === undefined || Number.isNaN(time)) return "";
  const ms = Math.max(0, Math.round(time)), s = Math.round(ms / 1000), m = Math.round(s / 60);
  if (ms < 1000) return t("ms", { n: ms });
  if (s < 60) return t("s", { n: ms < 9950 ? (ms / 1000).toFixed(1) : s });
  if (m < 60) return t("minS", { m: Math.floor(s / 60), s: s % 60 });
  return t("hMin", { h: Math.floor(m / 60), m: m % 60 });
}

// Dates go by the browser's language, unless its reader has chosen another here.
const locale = () => (load("lang") && !navigator.language.startsWith(lang()) ? lang() : navigator.language);
export const clockTime = (date) => new Intl.DateTimeFormat(locale(), { timeStyle: "medium" }).format(date);

function words(date) {
  const s = (clock() - date) / 1000;
  const rtf = new Intl.RelativeTimeFormat(locale(), { numeric: "auto" });
  if (s < 5 && s > -5) return t("now");
  if (Math.abs(s) < 60) return rtf.format(-Math.round(s), "second");
  if (Math.abs(s) < 3600) return rtf.format(-Math.round(s / 60), "minute");
  const today = new Date().toDateString() === date.toDateString();
  return new Intl.DateTimeFormat(locale(), { timeStyle: "short", ...(!today && { dateStyle: "medium" }) }).format(date);
}

export function time(text) {
  if (!text) return "";
  const date = new Date(text);
  return h("time", { datetime: text, title: `${date.toISOString().replace("T", " ").slice(0, 19)} UTC` }, words(date));
}

export function refreshTimes(root) {
  for (const e of root.querySelectorAll("time[datetime]")) {
    const now = words(new Date(e.getAttribute("datetime")));
    if (e.textContent !== now) e.textContent = now;
  }
}

// ---- state, copy, status, toast, dialog

export const ICONS = { queued: "…", waiting: "…", running: "▸", succeeded: "✓", partial: "◐", failed: "✕", expired: "⧖", cancelled: "⊘", skipped: "↷" };
export const state = (s) => h("span", { class: `state ${s}` }, h("span", { "aria-hidden": "true" }, ICONS[s] || "?"), " ", t("state." + s));

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t("copied"));
  } catch { // plain HTTP has no clipboard: offer the text, selected
    const area = h("textarea", { readonly: true, rows: 6, "aria-label": t("copyYourself") }, text);
    ask(t("copyYourself"), [area], [[t("close"), null]]);
    area.select();
  }
}

let said = "", sayTimer = 0;
export function say(text) { // one message per 3 s; what comes meanwhile is merged into the last
  said = text;
  if (sayTimer) return;
  const box = $("status");
  box.textContent = said;
  said = "";
  sayTimer = setTimeout(() => { sayTimer = 0; if (said) say(said); }, 3000);
}

export function toast(text, href) {
  const box = h("div", { class: "toast" }, href ? link(href, text) : h("span", {}, text),
    button("×", () => box.remove(), { "aria-label": t("close"), class: "plain" }));
  $("toasts").append(box);
  say(text);
  setTimeout(() => box.remove(), href ? 30000 : 5000);
}

// buttons: [text, value, {class, focus}]; resolves to the value, null on Esc, and when another question comes
let answer = null;
export function ask(title, content, buttons) {
  const d = $("dialog"), id = "dialog-title";
  answer?.(null);
  d.setAttribute("aria-labelledby", id);
  empty(d, h("h2", { id }, title), content, h("div", { class: "actions" },
    buttons.map(([text, v, more]) => button(text, () => answer(v), { class: more?.class, autofocus: more?.focus }))));
  d.showModal();
  return new Promise((resolve) => {
    answer = (v) => { answer = null; d.close(); resolve(v); };
    d.onclose = () => !d.open && answer?.(null); // the event comes late: another may be open
  });
}

// What is wrong, in one line.
export const brief = (e) => clean(e.detail || sentence(e.code)?.[0] || e.message);

// A problem+json as people read it: what happened, what it means, what to do.
export function problem(p, extra) {
  const known = sentence(p.code);
  return h("div", { class: "problem", role: "alert", tabindex: "-1" },
    h("h2", {}, known ? known[0] : clean(p.title || t("failed"))),
    h("p", {}, known ? known[1] : ""),
    p.detail && h("p", { class: "quiet" }, foreign(p.detail)),
    p.requestId && h("p", { class: "quiet" }, `${t("request")} `, h("code", {}, clean(p.requestId)), " ",
      button(t("copy"), () => copy(p.requestId), { class: "plain" })),
    extra);
}

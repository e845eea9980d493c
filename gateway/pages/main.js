// main.js - the frame: addresses, sign-in, language, colours, keys, and "your answer is ready".
import { $, h, empty, button, link, ask, problem, brief, toast, say, clean, refreshTimes } from "./dom.js";
import { t, lang, chooseLanguage, sentence } from "./text.js";
import { load, save, isOver, who, signIn, signOut, beDemoUser } from "./api.js";
import { watchMine } from "./live.js";
import { flowPage } from "./flow.js";
import { jobPage, isFinal } from "./job.js";
import { homePage, mePage } from "./lists.js";

const main = $("main"), header = $("top");
const READ_AGAIN = ["unavailable", "overloaded", "offline"];
let page = {}, turn = 0, first = true, timer = 0, ends = 0, shownAt = "", wrong = "";

// ---- addresses

// Each gets draw(...children): the page, drawn anew; false when another one is shown by now.
const ROUTES = [[/^\/$/, (draw) => homePage(draw)], [/^\/me$/, (draw) => mePage(draw, go)],
  [/^\/f\/([a-z0-9-]+)$/, (draw, m) => flowPage(draw, m[1], go)], [/^\/j\/([0-9a-fA-F-]+)$/, (draw, m) => jobPage(draw, m[1], go)]];
const address = () => location.pathname + location.search;

export function go(path, replace) {
  history[replace ? "replaceState" : "pushState"](null, "", path);
  return show();
}

async function show(quiet) { // quiet: nobody has asked for another page
  const mine = ++turn;
  const draw = (...children) => mine === turn && empty(main, children);
  shownAt = address();
  clearTimeout(timer);
  page.close?.();
  page = {};
  main.classList.remove("stale");
  frame();
  const old = main.firstChild; // what the page has drawn by then stays
  const wait = quiet ? 0 : setTimeout(() => main.firstChild === old && empty(main, h("h1", { tabindex: "-1" }, t("loading")), h("div", { class: "grey" }), h("div", { class: "grey" })), 300);
  try {
    const found = ROUTES.map(([re, f]) => [re.exec(location.pathname), f]).find(([m]) => m);
    const next = found ? await found[1](draw, found[0]) : draw(h("h1", { tabindex: "-1" }, t("gone")), link("/", t("flows")));
    if (mine === turn) {
      page = next || {};
      wrong = "";
    } else next?.close?.();
  } catch (e) {
    if (!(e.code || e.status)) console.error(e);
    else if (mine === turn) timer = tryAgain(e, () => show(true));
    if (!quiet || wrong !== e.code) draw(h("h1", { tabindex: "-1" }, t("failed")), trouble(e, () => show()));
    wrong = e.code;
  }
  clearTimeout(wait);
  if (mine !== turn) return;
  shownAt = address(); // a form has forgotten what it was filled from
  const h1 = main.querySelector("h1");
  if (!location.pathname.startsWith("/j/")) document.title = `${h1.textContent} - Offpath`;
  if (!first && !quiet && !main.querySelector(".marked")) h1.focus();
  first = false;
}

export const trouble = (e, again) => problem(e, [e.code === "signed-out" && button(t("signIn"), signInDialog), button(t("retry"), again)]);
export const tryAgain = (e, again) => READ_AGAIN.includes(e.code) && setTimeout(again, (e.retryAfter || 3) * 1000);

document.addEventListener("click", (e) => {
  const a = e.target.closest?.("a[href]");
  if (!a || e.defaultPrevented || e.button || e.ctrlKey || e.metaKey || e.shiftKey || e.altKey || a.target) return;
  const url = new URL(a.href);
  if (url.origin !== location.origin || url.hash || !ROUTES.some(([re]) => re.test(url.pathname))) return;
  e.preventDefault();
  go(url.pathname + url.search);
});
addEventListener("popstate", () => { if (address() !== shownAt) show(); });

// ---- frame

function frame() {
  const theme = load("theme", "auto"), user = load("me"), over = isOver(), other = lang() === "ko" ? "en" : "ko";
  const all = () => [...header.querySelectorAll("a, button")], at = all().reverse().indexOf(document.activeElement);
  document.documentElement.dataset.theme = theme;
  $("skip").textContent = t("skip");
  const to = (href) => ({ href, "aria-current": location.pathname === href ? "page" : null });
  empty(header, h("a", { href: "/", class: "brand" }, "Offpath"),
    h("nav", {}, h("a", to("/"), t("flows")), h("a", to("/me"), t("myJobs"))),
    h("div", { class: "tools" },
      DEMO.length ? demoSwitch(over ? null : who()) : [user && button(`${clean(user.user)} · ${t("signOut")}`, leave), (!user || over) && button(t("signIn"), signInDialog)],
      button(t("language"), () => { save("lang", other); chooseLanguage(other); show(true); }, { lang: other, class: "plain" }),
      button(`${t("theme")}: ${t("theme." + theme)}`, () => { save("theme", { auto: "light", light: "dark", dark: "auto" }[theme]); frame(); }, { class: "plain" }),
      button("?", showKeys, { class: "plain", "aria-label": t("keys") })));
  if (at >= 0) all().at(-1 - at)?.focus(); // the same control, drawn anew
  clearTimeout(ends);
  if (user && !over) ends = setTimeout(sessionEnds, Math.min(Date.parse(user.expires) - Date.now() + 1, 2 ** 31 - 1));
}

function sessionEnds() { // or it is too far away for one timer
  frame();
  if (isOver()) toast(sentence("signed-out")[0]);
}

// The quick start's: who sits at its machine may be any of these. No other gateway names them.
const DEMO = document.documentElement.dataset.demo?.split(",") || [];
function demoSwitch(user) {
  const one = (name, sub, text) => button(text, () => be(name), { "aria-pressed": String(user === sub) });
  return h("div", { class: "switch", role: "group", "aria-label": t("tryAs") },
    DEMO.map((n) => n.split("=")).map(([n, sub = n]) => one(n, sub, n[0].toUpperCase() + n.slice(1))), one("", "", t("guest")));
}
async function be(name) {
  try { await (name ? beDemoUser(name) : signOut()); } catch (e) { toast(brief(e)); }
  await show();
  header.querySelector(".switch [aria-pressed=true]")?.focus();
}

async function leave() {
  try { await signOut(); } catch (e) { toast(brief(e)); }
  show();
}

function showUser() { // a form stays as it is filled in, but not for somebody else
  if (isOver()) return;
  if (page.user === "" || page.user === who()) page.user = who();
  else show();
}

export async function signInDialog() {
  const input = h("textarea", { id: "token", rows: 4, autocomplete: "off", spellcheck: "false", "aria-describedby": "token-hint token-error" });
  const wrong = h("p", { class: "error", id: "token-error" });
  for (;;) {
    const yes = await ask(t("signIn"), [h("label", { for: "token" }, t("token")), h("p", { class: "hint", id: "token-hint" }, t("tokenHint")), input, wrong], [[t("signIn"), true, { class: "primary" }], [t("close"), null]]);
    if (!yes) return false;
    try {
      await signIn(input.value);
      input.value = "";
      showUser();
      return true;
    } catch (e) { wrong.textContent = brief(e); }
  }
}

// ---- your answer is ready

const told = new Map(), listeners = new Set();
export function onReady(f) {
  listeners.add(f);
  return () => listeners.delete(f);
}

export function ready(job, here) {
  for (const f of listeners) f(job);
  const finished = Date.parse(job.finished), before = told.get(job.id);
  if (!isFinal(job.state) || before >= finished - (here ? 60000 : 1000)) return; // redriven, it ends once more
  if (!here && !document.hidden && location.pathname === `/j/${job.id}`) return; // its own page says it, if it is awake
  told.set(job.id, finished);
  const text = clean(job.message || t("isDone", { flow: job.title || job.flow, state: t("state." + job.state) }));
  toast(text, here ? null : `/j/${job.id}`);
  if (!document.hidden) return;
  const plain = document.title.replace(/^\(\d+\) /, "");
  document.title = `(${1 + Number(/^\((\d+)\)/.exec(document.title)?.[1] || 0)}) ${plain}`;
  if ("Notification" in self && Notification.permission === "granted" && page.told !== false) {
    try { new Notification(text, { tag: job.id }); } catch { /* needs a service worker here: the toast is there */ }
  }
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) document.title = document.title.replace(/^\(\d+\) /, ""); });

// ---- keys

const KEYS = ["?", "g f", "g j", "/", "j k", "Enter", "c", "x", "Esc"];
let before = -Infinity;
async function showKeys() {
  const on = load("keys", true);
  const flip = await ask(t("keys"), [h("p", {}, t(on ? "keysOn" : "keysOff")), h("dl", { class: "keys" }, KEYS.map((k) => h("div", {}, h("dt", {}, k.split(" ").map((x) => [h("kbd", {}, x), " "])), h("dd", {}, t("k." + k)))))],
    [[t("close"), null, { focus: true }], [t(on ? "turnOff" : "turnOn"), true]]);
  if (flip) save("keys", !on);
}

function step(by) {
  const rows = [...main.querySelectorAll(".row")].filter((r) => r.checkVisibility?.() ?? true);
  const at = rows.findIndex((r) => r.contains(document.activeElement));
  const next = rows[Math.min(Math.max(at + by, 0), rows.length - 1)];
  const target = next?.querySelector("a") || next;
  if (!target) return;
  if (target === next) next.setAttribute("tabindex", "-1");
  target.focus();
}

document.addEventListener("keydown", (e) => {
  if (e.target.closest?.("input,textarea,select") || $("dialog").open || e.ctrlKey || e.metaKey || e.altKey || !load("keys", true)) return;
  const g = e.timeStamp - before < 2000;
  before = e.key === "g" && !g ? e.timeStamp : -Infinity;
  const acts = { "g f": () => go("/"), "g j": () => go("/me"), j: () => step(1), k: () => step(-1), "?": showKeys,
    "/": () => main.querySelector("input,textarea,select")?.focus(), c: () => $("copy-link")?.click(), x: () => $("cancel")?.click() };
  const act = acts[g ? "g " + e.key : e.key];
  if (act) { e.preventDefault(); act(); }
});

// ---- begin

chooseLanguage(load("lang") || (navigator.language?.startsWith("ko") ? "ko" : "en"));
const newUser = () => dispatchEvent(new Event("offpath-user"));
addEventListener("offpath-user", frame);
addEventListener("storage", (e) => {
  if (e.key === "offpath.theme") frame();
  if (e.key !== "offpath.me") return; // another tab has changed the user
  newUser();
  showUser();
});
addEventListener("pageshow", (e) => { // that the browser had kept, without its streams
  if (!e.persisted) return;
  newUser();
  if (page.user === undefined) show(true);
  else showUser();
});
setInterval(() => refreshTimes(main), 1000);
addEventListener("offline", () => { if (!location.pathname.startsWith("/j/")) say(t("offlinePage")); });
const begin = () => { watchMine((job) => ready(job, false)); show(); };
if (document.hidden) begin();
else requestAnimationFrame(() => setTimeout(begin)); // the frame is painted first

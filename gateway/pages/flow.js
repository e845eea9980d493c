// flow.js - /f/{flow}: the form, its draft, and what comes of Start.
import { $, h, empty, button, link, copy, problem, value, time, clean, say } from "./dom.js";
import { t } from "./text.js";
import { allFlows, call, clock, curl, load, save, remember, uuid, who, flowTitle, inputOf } from "./api.js";
import { makeForm, readJson, withoutSecrets } from "./form.js";
import { signInDialog } from "./main.js";

const AGAIN = ["overloaded", "not-durable", "outcome-unknown", "offline"];

export function etaWords(eta) {
  if (!eta || !eta.p90) return "";
  const short = (ms) => (ms < 10000 ? Math.max(ms / 1000, 0.1).toFixed(ms < 1000 ? 1 : 0) : String(Math.round(ms / 1000)));
  const [a, b] = [short(eta.p50 ?? eta.p90), short(eta.p90)];
  return t("usually", { a: a === b ? "" : a, b: t("s", { n: b }) }).replace(" -", " ").replace(" ~", " ");
}

export async function flowPage(draw, name, go) {
  const heading = h("h1", { tabindex: "-1" }, clean(await flowTitle(name)));
  const flow = (await allFlows()).find((f) => f.flow === name);
  if (!flow) {
    draw(heading, problem({ code: "no-flow" }, link("/", t("flows"))));
    return {};
  }
  return new FlowPage(draw, heading, flow, go);
}

class FlowPage {
  constructor(draw, heading, flow, go) {
    Object.assign(this, { flow, go, user: who(), busy: false, left: 0 });
    this.form = makeForm(flow.schema || {}, flow.set || [], () => this.edited());
    this.area = h("textarea", { class: "code", rows: 14, spellcheck: "false", "aria-label": t("jsonHint"), oninput: () => this.edited() });
    this.problems = h("div", { class: "problems" });
    this.outcome = h("div", { class: "outcome" });
    this.startButton = h("button", { type: "submit", class: "primary", title: t("ctrlEnter") }, t("start"));
    this.asJson = false;
    this.views = ["form", "jsonHint"].map((k, i) => button(t(k), () => this.show(i === 1), { "aria-pressed": String(i === 0) }));
    this.body = h("div", { class: "form-body" }, this.form.el);
    const examples = flow.examples?.length ? flow.examples : flow.schema?.examples || [];
    this.el = h("form", { novalidate: true, autocomplete: "off", onsubmit: (e) => { e.preventDefault(); this.start(); },
      onkeydown: (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); this.start(); } } },
      h("div", { class: "actions top" }, h("div", { class: "switch", role: "group", "aria-label": t("input") }, this.views),
        examples.length > 0 && button(t("example"), () => this.fill(examples[0]))),
      this.body,
      h("div", { class: "actions bottom" }, this.startButton, button(t("check"), () => this.tryOut()),
        button(t("curl"), () => this.copyCurl()), button(t("clear"), () => this.fill(undefined), { class: "plain" }),
        this.kept = h("span", { class: "quiet" })));
    const shown = draw(heading, h("p", { class: "quiet" }, etaWords(flow.eta)), this.problems, this.el, this.outcome);
    if (!shown) return; // the address is another page's
    const again = new URLSearchParams(location.search).get("again");
    const input = again ? inputOf(again) : undefined, draft = input ?? load("draft." + this.slot());
    this.key = input === undefined ? load("key." + this.slot()) : null;
    if (draft !== null) this.form.set(draft);
    try { this.before = JSON.stringify(this.form.get()); } catch { /* an empty JSON box */ }
    if (again) history.replaceState(null, "", location.pathname);
  }

  close() { clearTimeout(this.timer); this.closed = true; }

  slot() { return `${this.flow.flow}.${who()}`; } // who signs in keeps what is in the form

  // ---- what is in it

  read() { return this.asJson ? readJson(this.area.value) : this.form.get(); } // throws with .field

  show(asJson) {
    if (asJson === this.asJson) return;
    try {
      if (asJson) this.area.value = JSON.stringify(this.form.get() ?? {}, null, 2);
      else this.form.set(readJson(this.area.value || "{}"));
    } catch (e) { this.refuse([[e.message, e.field]]); return; }
    this.asJson = asJson;
    this.views.forEach((b, i) => b.setAttribute("aria-pressed", String((i === 1) === asJson)));
    empty(this.body, asJson ? this.area : this.form.el);
    empty(this.problems);
  }

  fill(v) {
    if (this.asJson) this.area.value = JSON.stringify(v ?? {}, null, 2);
    else this.form.set(v);
    empty(this.problems);
    this.edited();
  }

  edited() {
    if (this.closed) return;
    let v;
    try { v = this.read(); } catch { v = null; } // half written JSON: the last good draft stays
    const text = v && JSON.stringify(v);
    if (text && text === this.before) return; // a change event comes without a change, too
    this.before = text;
    this.keep(null);
    this.stop();
    if (v === null) return;
    save("draft." + this.slot(), withoutSecrets(this.flow.schema, v) ?? null);
    this.kept.textContent = t("draftKept");
  }

  // One key per filled form: a double click, a retry and a reload give the same job; other tabs have theirs.
  keep(key) { save("key." + this.slot(), this.key = key); }

  // ---- sending

  path(dry) { return `/v1/flows/${this.flow.flow}/jobs${dry ? "?dry_run=true" : ""}`; }

  text() { // JSON goes as it was written
    try {
      if (!this.asJson) return JSON.stringify(this.form.get() ?? {});
      JSON.parse(this.area.value);
      return this.area.value;
    } catch (e) {
      this.refuse([[this.asJson ? t("jsonBad", { why: e.message }) : e.message, e.field]]);
      return null;
    }
  }

  copyCurl() {
    const body = this.text();
    if (body !== null) copy(curl("POST", this.path(false), body));
  }

  async tryOut() {
    const body = this.text();
    if (body === null) return;
    this.reset();
    try {
      const { body: b } = await call("POST", this.path(true), { body });
      const limits = (b.limits || []).filter((l) => l.left !== undefined);
      empty(this.outcome, h("section", { class: "card ok" }, h("h2", { tabindex: "-1" }, t("valid")),
        b.cache?.hit && h("p", {}, t("inCache")),
        b.calls?.length > 0 && h("p", {}, t("plan", { list: b.calls.map((c) => c.name).join(", ") })),
        limits.map((l) => h("p", {}, t("left", { n: l.left, all: l.count })))));
      say(t("valid"));
    } catch (e) { this.failed(e, { dry: true }); }
  }

  async start(again) { // again: by itself, nothing moves meanwhile
    if (this.busy || this.left || this.closed) return;
    const body = this.text();
    if (body === null) return;
    if (!again) this.reset();
    if (!this.key) this.keep(uuid());
    const { key } = this;
    this.busy = true;
    this.showStart();
    try {
      const a = await call("POST", this.path(false), { body, headers: { "Idempotency-Key": key } });
      if (!this.closed) this.started(a.body, body, this.key === key);
    } catch (e) {
      if (!this.closed) this.failed(e, { again, changed: this.key !== key });
    } finally {
      this.busy = false;
      this.showStart();
    }
  }

  showStart() {
    this.startButton.ariaDisabled = this.busy || this.left ? "true" : null;
    this.startButton.textContent = this.busy ? t("starting") : this.left ? t("wait", { n: this.left }) : t("start");
  }

  started(a, body, same) { // what was typed meanwhile is another request's
    if (same) this.keep(null);
    if (!a.id) { // a hit: nothing was started, the answer is here
      empty(this.problems);
      empty(this.outcome, h("section", { class: "card ok" }, h("h2", { tabindex: "-1" }, t("result")),
        h("p", { class: "quiet" }, t("fromCache", { age: "" }), time(a.cached_at)), value(a.result)));
      this.outcome.querySelector("h2").focus();
      say(t("inCache"));
      return;
    }
    if (same) save("draft." + this.slot(), null);
    let input; // kept if it can be kept as it was sent
    try { input = withoutSecrets(this.flow.schema, readJson(body)); } catch { /* it cannot */ }
    remember({ id: a.id, flow: this.flow.flow, title: this.flow.title, at: new Date(clock()).toISOString(), user: who(), shared: this.flow.shared === true }, input);
    this.go(`/j/${a.id}`);
  }

  // ---- what went wrong

  reset() {
    this.stop();
    empty(this.problems);
    empty(this.outcome);
    this.form.clearErrors();
  }

  refuse(lines, extra) { // [[text, id of its field]]
    const box = h("div", { class: "problem", tabindex: "-1", role: "alert" }, h("h2", {}, t("errorsIn")), extra,
      h("ul", {}, lines.map(([text, id]) => h("li", {}, id && $(id)
        ? h("a", { href: "#" + id, onclick: (e) => { e.preventDefault(); $(id).focus(); } }, text) : text))));
    empty(this.problems, box);
    box.focus();
  }

  failed(e, { dry, again, changed } = {}) {
    if (!e.code && !e.status) throw e;
    if (e.errors?.length) {
      this.stop();
      this.refuse(this.asJson ? e.errors.map((x) => [clean(`${x.pointer}: ${x.detail}`), null]) : this.form.showErrors(e.errors));
      return;
    }
    const wait = e.retryAfter || 3;
    if (again && this.row && this.row.code === e.code) { this.repeat(wait); return; }
    this.stop();
    const extra = [];
    if (e.code === "key-reused") extra.push(button(t("keyUsed"), () => { this.keep(null); this.start(); }));
    if (e.code === "signed-out") extra.push(button(t("signIn"), async () => { if (await signInDialog() && !this.closed) (dry ? this.tryOut() : this.start()); }));
    if (AGAIN.includes(e.code) && !dry && !changed) {
      const stop = button(t("stop"), () => { this.stop(); this.startButton.focus(); });
      extra.push(this.row = h("p", { class: "actions" }, h("span"), stop));
      this.row.code = e.code;
      this.repeat(wait);
    }
    if (e.code === "rate-limited") this.countdown(wait, (n) => { this.left = n; this.showStart(); });
    if (e.id) extra.push(h("p", {}, link(`/j/${e.id}`, t("job"))));
    const box = problem(e, extra);
    empty(this.problems, box);
    if (!changed) box.focus(); // else somebody types
  }

  countdown(n, tick, end) {
    clearTimeout(this.timer);
    const step = () => {
      tick(n);
      if (n-- > 0) this.timer = setTimeout(step, 1000);
      else end?.();
    };
    step();
  }

  repeat(seconds) { // with the same key; can be stopped
    this.countdown(seconds, (n) => { this.row.firstChild.textContent = t("retrying", { n }); }, () => this.start(true));
  }

  stop() { // a limit's time goes on
    if (!this.row) return;
    clearTimeout(this.timer);
    this.row.remove();
    this.row = null;
  }
}

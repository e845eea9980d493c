// flow.js - /f/{flow}: the form, its draft, and what comes of Start.
import { $, h, empty, button, link, copy, ask, problem, value, time, clean, say } from "./dom.js";
import { t } from "./text.js";
import { allFlows, call, curl, load, save, remember, uuid, who, flowTitle, inputOf } from "./api.js";
import { makeForm, withoutSecrets } from "./form.js";
import { signInDialog } from "./main.js";

const AGAIN = ["overloaded", "not-durable", "outcome-unknown", "offline"];

export function etaWords(eta) {
  if (!eta || !eta.p90) return "";
  const short = (ms) => (ms < 10000 ? (ms / 1000).toFixed(ms < 1000 ? 1 : 0) : String(Math.round(ms / 1000)));
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
    Object.assign(this, { flow, go, busy: false, timer: 0, slot: `${flow.flow}.${who()}` });
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
    const draft = again ? inputOf(again) : load("draft." + this.slot);
    if (draft !== null && draft !== undefined) this.form.set(draft);
    try { this.before = JSON.stringify(this.form.get()); } catch { /* an empty JSON box */ }
    if (again) history.replaceState(null, "", location.pathname);
  }

  close() { clearTimeout(this.timer); this.closed = true; }

  // ---- what is in it

  read() { // throws with .field when the JSON is none
    if (!this.asJson) return this.form.get();
    try {
      return JSON.parse(this.area.value);
    } catch (e) { throw new Error(t("jsonBad", { why: e.message })); }
  }

  show(asJson) {
    if (asJson === this.asJson) return;
    try {
      if (asJson) this.area.value = JSON.stringify(this.form.get() ?? {}, null, 2);
      else this.form.set(JSON.parse(this.area.value || "{}"));
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
    save("key." + this.slot, null);
    this.stopRetry();
    if (v === null) return;
    save("draft." + this.slot, withoutSecrets(this.flow.schema, v) ?? null);
    this.kept.textContent = t("draftKept");
  }

  // One key per filled form: a double click, a retry and a reload give the same job.
  key() {
    let k = load("key." + this.slot);
    if (!k) save("key." + this.slot, k = uuid());
    return k;
  }

  // ---- sending

  path(dry) { return `/v1/flows/${this.flow.flow}/jobs${dry ? "?dry_run=true" : ""}`; }

  text() {
    try {
      return JSON.stringify(this.read() ?? {});
    } catch (e) {
      this.refuse([[e.message, e.field]]);
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
    } catch (e) { this.failed(e, true); }
  }

  async start() {
    if (this.busy || this.locked) return;
    const body = this.text();
    if (body === null) return;
    this.reset();
    this.busy = true;
    this.startButton.setAttribute("aria-disabled", "true");
    this.startButton.textContent = t("starting");
    try {
      const a = await call("POST", this.path(false), { body, headers: { "Idempotency-Key": this.key() } });
      if (!this.closed) this.started(a.body, JSON.parse(body));
    } catch (e) {
      if (!this.closed) this.failed(e, false);
    } finally {
      this.busy = false;
      this.idle();
    }
  }

  idle() {
    if (this.locked) return;
    this.startButton.removeAttribute("aria-disabled");
    this.startButton.textContent = t("start");
  }

  started(a, input) {
    save("key." + this.slot, null);
    if (!a.id) { // a hit: nothing was started, the answer is here
      empty(this.outcome, h("section", { class: "card ok" }, h("h2", { tabindex: "-1" }, t("result")),
        h("p", { class: "quiet" }, t("fromCache", { age: "" }), time(a.cached_at)), value(a.result)));
      this.outcome.querySelector("h2").focus();
      say(t("inCache"));
      return;
    }
    save("draft." + this.slot, null);
    remember({ id: a.id, flow: this.flow.flow, title: this.flow.title, at: new Date().toISOString(), user: who(), shared: this.flow.shared === true },
      withoutSecrets(this.flow.schema, input));
    this.go(`/j/${a.id}`);
  }

  // ---- what went wrong

  reset() {
    this.stopRetry();
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

  failed(e, dry) {
    if (!e.code && !e.status) throw e;
    if (e.errors?.length) {
      this.refuse(this.asJson ? e.errors.map((x) => [clean(`${x.pointer}: ${x.detail}`), null]) : this.form.showErrors(e.errors));
      return;
    }
    const extra = [];
    if (e.code === "key-reused") extra.push(button(t("keyUsed"), () => { save("key." + this.slot, null); this.start(); }));
    if (e.code === "signed-out") extra.push(button(t("signIn"), async () => { if (await signInDialog()) (dry ? this.tryOut() : this.start()); }));
    if (AGAIN.includes(e.code) && !dry) extra.push(this.retry(e.retryAfter || 3));
    if (e.code === "rate-limited") this.lock(e.retryAfter || 1);
    if (e.id) extra.push(h("p", {}, link(`/j/${e.id}`, t("job"))));
    const box = problem(e, extra);
    empty(this.problems, box);
    box.focus();
  }

  retry(seconds) { // with the same key; can be stopped
    const line = h("span", {});
    const stop = button(t("stop"), () => { this.stopRetry(); row.remove(); });
    const row = h("p", { class: "actions" }, line, stop);
    let left = seconds;
    const tick = () => {
      line.textContent = t("retrying", { n: left });
      if (left-- > 0) this.timer = setTimeout(tick, 1000);
      else this.start();
    };
    tick();
    return row;
  }

  stopRetry() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.locked = false;
    if (!this.busy) this.idle();
  }

  lock(seconds) { // 429: the button counts down, then works
    let left = seconds;
    this.locked = true;
    const tick = () => {
      if (left <= 0) { this.stopRetry(); return; }
      this.startButton.setAttribute("aria-disabled", "true");
      this.startButton.textContent = t("wait", { n: left-- });
      this.timer = setTimeout(tick, 1000);
    };
    tick();
  }
}

// job.js - /j/{id}: one job, while it runs and afterwards.
import { h, empty, add, button, link, copy, ask, problem, brief, value, json, toast, time, clean, took, say, clockTime, state, number, foreign } from "./dom.js";
import { t, reason, sentence } from "./text.js";
import { call, clock, curl, inputOf, links, remember, flowTitle, allFlows, who } from "./api.js";
import { watchJob } from "./live.js";
import { etaWords } from "./flow.js";
import { segments, draw, why } from "./waterfall.js";
import { ready, signInDialog } from "./main.js";

const FINAL = ["succeeded", "partial", "failed", "cancelled", "expired"];
const ENDED = ["succeeded", "failed", "skipped", "cancelled"];
const ROWS = 200, GREY_MS = 300, RENDER_MS = 80, AGAIN_MS = 2000, AHEAD_MS = 10000;
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export const isFinal = (s) => FINAL.includes(s);
const keyOf = (c) => (c.item === null || c.item === undefined ? c.name : `${c.name}[${c.item}]`);

function markOf(hash) {
  try {
    return decodeURIComponent(/^#call=(.*)/.exec(hash)[1]);
  } catch { return ""; } // none, or none that can be read
}

export async function jobPage(draw, id, go) {
  const page = new JobPage(draw, id, go);
  await page.open();
  return page;
}

class JobPage {
  constructor(draw, id, go) {
    Object.assign(this, { id, go, job: null, calls: new Map(), rows: new Map(), shownResults: new Set(), most: ROWS, fresh: 0, mode: "", closed: false });
    this.title = h("h1", { tabindex: "-1" }, `${t("job")} ${id.slice(-8)}`);
    this.facts = h("p", { class: "facts" }, h("code", { title: id }, id.slice(-8)));
    this.deadline = h("div", { class: "deadline", hidden: true });
    this.connection = h("p", { class: "connection", hidden: true });
    this.note = h("div", { class: "note" });
    this.cancelButton = button(t("cancel"), () => this.cancel(), { class: "danger", id: "cancel" });
    this.tellButton = button("", () => this.tellMe());
    this.againLink = h("a", { class: "button primary" }, t("again"));
    this.readers = h("span", { class: "quiet", id: "who-reads" });
    this.actions = h("div", { class: "actions bottom", hidden: true }, this.cancelButton, this.tellButton, this.againLink,
      button(t("copyLink"), () => copy(`${location.origin}/j/${this.id}`), { id: "copy-link", "aria-describedby": "who-reads" }),
      button(t("curl"), () => copy(curl("GET", `/v1/jobs/${this.id}`))), this.readers);
    this.callList = h("ol", { class: "calls" });
    this.resultList = h("ol", { class: "results" });
    this.callSection = h("section", { hidden: true, "aria-labelledby": "h-calls" }, h("h2", { id: "h-calls" }, t("calls")), this.callList, this.moreCalls = this.rest());
    this.partSection = h("section", { hidden: true, "aria-labelledby": "h-parts" }, h("h2", { id: "h-parts" }, t("results")), this.resultList, this.moreResults = this.rest());
    this.finalSection = h("section", { hidden: true, class: "final", id: "result", tabindex: "-1", "aria-labelledby": "h-result" });
    this.more = h("section", { hidden: true });
    this.body = h("div", { class: "job" }, this.note, this.callSection, this.partSection, this.finalSection, this.more);
    this.root = draw(this.title, this.facts, this.deadline, this.connection, this.actions, this.body);
  }

  async open() {
    this.grey = setTimeout(() => add(this.note, [1, 2, 3].map(() => h("div", { class: "grey" }))), GREY_MS);
    try {
      await this.load();
    } catch (e) {
      if (this.closed) return;
      if (e.code === "no-job" || e.code === "signed-out" || !(e.code || e.status)) { this.fail(e); return; }
      this.setMode(e.code === "offline" ? "offline" : "unavailable");
    } finally { clearTimeout(this.grey); }
    if (this.closed) return;
    if (this.job) this.render();
    this.askReaders();
    this.timer = setInterval(() => this.tick(), calm.matches ? 1000 : 250);
    this.onhash = () => this.job && this.render();
    addEventListener("hashchange", this.onhash);
    if (!this.job || !isFinal(this.job.state)) this.follow();
  }

  known() { return links().find((l) => l.id === this.id); }

  // Whether it is only mine the record does not say; so a job that was not started here is asked for as nobody.
  async askReaders() {
    if (!who() || this.known()) return;
    const r = await fetch(`/v1/jobs/${this.id}`, { credentials: "omit", cache: "no-store" }).catch(() => null);
    this.asNobody = r?.ok ? "anyone" : r?.status === 404 && "onlyYou";
    this.schedule();
  }

  follow() {
    this.watch = watchJob(this.id, {
      event: (name, data) => this.onEvent(name, data),
      job: (job) => { this.apply(job); return isFinal(job.state); },
      mode: (m) => this.setMode(m),
      listens: () => this.told,
      problem: (p) => this.fail(p),
    });
  }

  close() {
    this.closed = true;
    clearTimeout(this.pending);
    clearInterval(this.timer);
    removeEventListener("hashchange", this.onhash);
    this.watch?.stop();
  }

  async load() {
    const a = await call("GET", `/v1/jobs/${this.id}?include=attempts`);
    if (!this.closed) this.apply(a.body);
  }

  // Several events in a row need one look at the record; between two of a long one there is a pause.
  reload() {
    if (this.loading) { this.loadAgain = true; return; }
    this.loading = true;
    this.load().catch(() => {}).finally(() => setTimeout(() => {
      this.loading = false;
      const again = this.loadAgain;
      this.loadAgain = false;
      if (again && !this.closed) this.reload();
    }, this.calls.size > ROWS ? AGAIN_MS : 0));
  }

  fail(p) {
    this.close(); // nothing is drawn over it
    const extra = p.code === "signed-out" ? button(t("signIn"), signInDialog)
      : h("p", {}, link("/me", t("myJobs")), " · ", link("/", t("flows")));
    empty(this.note, problem(p, extra));
    this.actions.hidden = true;
  }

  // ---- what comes

  onEvent(name, data) {
    this.seen = clock();
    if (name === "state" && data) {
      if (this.job?.state !== data.state) this.reload();
      if (this.job && !isFinal(this.job.state)) this.job.state = data.state;
    } else if (name === "call" && data) {
      this.take(data);
      if (data.attempts > 1) this.reload();
      this.sayProgress();
    } else if (name === "gap") {
      this.reload();
    } else if (name === "done" && data) {
      this.job ||= { id: this.id, calls: [] };
      Object.assign(this.job, { state: data.state, reason: data.reason, message: data.message, result: data.result });
      this.job.finished ||= new Date(clock()).toISOString();
      this.ended();
    }
    this.schedule();
  }

  // Many events in a row are drawn once; a hidden tab has no frames, but a title.
  schedule() {
    this.pending ||= setTimeout(() => {
      this.pending = 0;
      if (this.job) this.render();
    }, RENDER_MS);
  }

  apply(job) {
    const was = this.job, calls = job.calls || [];
    if (was && isFinal(was.state) && !isFinal(job.state)) { this.loadAgain = true; return; } // overtaken: attempts come with another look
    this.job = job;
    this.seen = this.readAt = clock();
    if (!isFinal(job.state)) this.wasOpen = true;
    for (const c of calls) this.take(c);
    this.calls = new Map([...calls.map((c) => [keyOf(c)]), ...this.calls]); // in the flow's order, whichever event came first
    if (isFinal(job.state)) this.ended();
    if (isFinal(job.state) && !was) this.body.classList.add("settled");
    this.schedule();
    if (was && was.state !== job.state) this.sayProgress();
  }

  take(c) {
    const key = keyOf(c), old = this.calls.get(key);
    if (old && ENDED.includes(old.state) && !ENDED.includes(c.state)) return;
    const now = clock();
    const call = { ...old, ...c, key };
    if (!c.tries?.length && old?.tries?.length) call.tries = old.tries;
    if (c.state === "running") call.since ||= Date.parse(this.job?.started) || now;
    if (ENDED.includes(c.state)) call.until ||= this.job?.finished ? Date.parse(this.job.finished) : now;
    this.calls.set(key, call);
    if (call.item !== null && call.item !== undefined && !isFinal(this.job?.state)) { // how many will come is not known
      const whole = this.calls.get(c.name) || { name: c.name, item: null, key: c.name, state: "running", attempts: 0, since: call.since || now };
      whole.open = !ENDED.includes(whole.state);
      this.calls.set(c.name, whole);
    }
    if (ENDED.includes(c.state) && !(old && ENDED.includes(old.state)) && this.away) this.fresh += 1;
  }

  ended() {
    if (this.over) return;
    this.over = true;
    for (const [key, c] of this.calls) {
      if (ENDED.includes(c.state)) continue;
      const items = [...this.calls.values()].some((o) => o.name === c.name && o !== c);
      if (items && c.key === c.name) this.calls.delete(key); // it only stood for those to come
      else if (!["succeeded", "partial"].includes(this.job.state)) c.state = "cancelled"; // nobody makes it any more
    }
    if (this.wasOpen) ready({ ...this.job, id: this.id, title: this.name }, true);
  }

  setMode(mode) {
    const was = this.mode;
    this.mode = mode;
    if (mode === "offline" && was !== "offline") { this.away = true; this.fresh = 0; }
    if (mode !== "offline" && mode !== "unavailable" && this.away) {
      this.back = true;
      clearTimeout(this.backTimer);
      this.backTimer = setTimeout(() => { // what was missed comes first on the new stream
        this.away = false;
        this.showBack();
      }, 400);
    }
    this.showMode();
  }

  showBack() {
    if (this.closed) return;
    this.back = t("back", { n: this.fresh });
    say(this.back);
    this.showMode();
    setTimeout(() => { this.back = null; if (!this.closed) this.showMode(); }, 8000);
  }

  showMode() {
    const gone = this.mode === "offline";
    this.root.classList.toggle("stale", gone && !this.over);
    const text = this.over ? (typeof this.back === "string" ? this.back : "")
      : gone ? `${t("offline")} ${this.seen ? t("since", { at: clockTime(this.seen) }) : ""}`
        : this.mode === "unavailable" ? sentence("unavailable").join(". ")
          : typeof this.back === "string" ? this.back : this.mode === "poll" ? t("polling") : "";
    if (text && this.connection.textContent !== text && (gone || this.mode === "unavailable")) say(text);
    this.connection.textContent = text;
    this.connection.hidden = !text;
    this.connection.className = `connection ${gone ? "offline" : this.back ? "back" : ""}`;
  }

  sayProgress() {
    if (this.over) { say(t("isNow", { state: t("state." + this.job.state) })); return; }
    const { done, all, open } = this.counts();
    say(open ? t("done", { n: done }) : t("callsDone", { n: done, all }));
  }

  counts() {
    const list = [...this.calls.values()].filter((c) => !c.open);
    return { all: list.length, done: list.filter((c) => ENDED.includes(c.state)).length, open: [...this.calls.values()].some((c) => c.open),
      good: list.filter((c) => c.state === "succeeded").length, list };
  }

  // ---- what is shown

  async named() {
    if (this.name || !this.job.flow) return;
    this.name = this.known()?.title || this.job.flow;
    this.name = (await flowTitle(this.job.flow)) || this.name;
    this.shared = (await allFlows().catch(() => [])).some((f) => f.flow === this.job.flow && f.shared);
    this.schedule();
  }

  render() {
    if (this.closed) return;
    const j = this.job;
    clearTimeout(this.grey);
    clearTimeout(this.pending);
    this.pending = 0;
    this.named();
    empty(this.title, clean(this.name || j.flow || t("job")), " ", state(j.state));
    const told = /^\(\d+\) /.exec(document.title)?.[0] || ""; // by ready, until somebody looks
    document.title = `${told}${clean(this.name || j.flow || t("job"))} - ${t("state." + j.state)} - Offpath`;
    empty(this.facts, h("code", { title: this.id }, this.id.slice(-8)),
      j.started ? h("span", {}, `${t("started")} `, time(j.started)) : j.created && h("span", {}, `${t("created")} `, time(j.created)),
      isFinal(j.state) && j.finished && h("span", {}, `${t("took")} ${took(Date.parse(j.finished) - Date.parse(j.created))}`));
    this.renderNote();
    this.renderActions();
    this.renderCalls();
    this.renderResults();
    this.renderMore();
    this.tick();
    this.markCall();
    const known = this.known();
    if (known && known.state !== j.state) remember({ ...known, state: j.state });
  }

  renderNote() {
    const j = this.job, { all, done, open, good, list } = this.counts();
    const bad = list.filter((c) => c.state === "failed" || c.state === "skipped");
    const message = j.message || (j.reason && reason(j.reason, "")), lines = [];
    if (!isFinal(j.state)) {
      lines.push(h("p", {}, t("accepted")), this.eta = h("p", { class: "eta" }));
      this.doneText = all ? t(open ? "done" : "doneOf", { n: done, all }) : "";
    } else {
      if (j.state === "succeeded" && all > 1) lines.push(h("p", {}, t("allWorked", { n: all })));
      if (j.state === "partial") lines.push(h("p", {}, t("worked", { n: good, all })));
      if (j.state === "cancelled") {
        const n = list.filter((c) => c.state === "cancelled" && (c.attempts > 0 || c.since)).length;
        lines.push(h("p", {}, t("cancelledAt", { at: clockTime(new Date(j.finished)), who: t(this.asked || this.known()?.asked ? "you" : "owner") }), " ", [t("kept", { n: good }), n && t("stopped", { n })].filter(Boolean).join("; "), "."));
        if (j.message && j.message !== "It was cancelled.") lines.push(h("p", { class: "why" }, foreign(j.message))); // else the API's own
      } else if (message && j.state !== "succeeded") {
        lines.push(h("p", { class: "why" }, foreign(reason(j.reason, j.message))));
      } else if (j.message) {
        lines.push(h("p", {}, foreign(j.message)));
      }
      if (["failed", "expired"].includes(j.state)) lines.push(h("p", { class: "quiet" }, `${t("kept", { n: good })}. `, j.reason && h("code", {}, clean(j.reason))));
      for (const c of bad.slice(0, 5)) lines.push(h("p", { class: "why" }, foreign(c.key), ": ", clean(why(c)), c.attempts > 0 && ` (${this.tryWords(c)})`));
      if (j.result !== null && j.result !== undefined && !this.body.classList.contains("settled")) lines.push(h("p", {}, link("#result", t("result"), " ↓")));
    }
    this.note.className = `note ${j.state}`;
    empty(this.note, lines);
  }

  tryWords(c) {
    return [c.attempts > 0 && t("attempts", { n: c.attempts }), c.ms > 0 && took(c.ms)].filter(Boolean).join(", ");
  }

  rowWords(c) { // a flow may allow fewer by now than this call has made
    if (!(c.attempts > 0 && c.max_attempts > 1 && c.attempts <= c.max_attempts)) return this.tryWords(c);
    return [t("attemptOf", { n: c.attempts, max: c.max_attempts }), c.ms > 0 && took(c.ms)].filter(Boolean).join(", ");
  }

  renderActions() { // a button stays the one it was, and so does the focus
    const j = this.job, final = isFinal(j.state), known = this.known(), shared = this.shared ?? known?.shared;
    const readers = !who() || shared ? "anyone" : !known ? this.asNobody : known.user === who() ? "onlyYou" : "anyone";
    const lost = final && [this.cancelButton, this.tellButton].includes(document.activeElement);
    this.actions.hidden = false;
    this.cancelButton.hidden = final || shared !== false;
    this.cancelButton.ariaDisabled = this.asked ? "true" : null;
    this.tellButton.hidden = final;
    this.tellButton.textContent = t(this.told ? "willTell" : "tellMe");
    this.tellButton.ariaPressed = String(Boolean(this.told));
    this.againLink.hidden = !j.flow || !final;
    this.againLink.href = `/f/${j.flow}?again=${this.id}`;
    this.readers.textContent = readers && shared !== undefined ? t(readers) : "";
    if (lost) this.title.focus();
  }

  async cancel() {
    if (this.asked || !this.job || isFinal(this.job.state)) return;
    const yes = await ask(t("cancelAsk"), [h("p", {}, t("cancelText"))], [[t("keep"), null, { focus: true }], [t("cancelYes"), true, { class: "danger" }]]);
    if (!yes || this.closed || isFinal(this.job.state)) return;
    try {
      const { body } = await call("DELETE", `/v1/jobs/${this.id}`);
      this.asked = true;
      if (this.known()) remember({ ...this.known(), asked: true });
      say(t("cancelAsked"));
      toast(t("cancelAsked"));
      if (isFinal(body.state)) this.reload();
      this.render();
    } catch (e) {
      toast(brief(e));
      if (e.code === "final") this.reload();
    }
  }

  async tellMe() { // asked for at this click only
    this.told = !this.told;
    if (this.told && "Notification" in self && Notification.permission === "default") await Notification.requestPermission().catch(() => {});
    if (!this.closed) this.renderActions();
  }

  rest() { // what is not shown is counted, and can be; the focus goes on there
    const more = (e) => {
      const list = e.target.parentNode.previousSibling, n = list.children.length;
      this.most += ROWS;
      this.render();
      list.children[n]?.focus();
    };
    return h("p", { class: "actions", hidden: true }, h("span", { class: "quiet" }), button(t("showMore"), more));
  }

  count(rest, n, all) {
    rest.hidden = n >= all;
    rest.firstChild.textContent = t("shownOf", { n: number(n), all: number(all) });
  }

  renderCalls() {
    const byName = Map.groupBy(this.calls.values(), (c) => c.name), marked = this.calls.get(markOf(location.hash));
    const sorted = [...byName.values()].flatMap((calls) => calls.sort((a, b) => (a.item ?? Infinity) - (b.item ?? Infinity)));
    const rank = (c) => (c === marked ? 0 : c.state === "failed" ? 1 : 2); // who is shown, in any case
    const keys = new Set([...sorted].sort((a, b) => rank(a) - rank(b)).slice(0, this.most).map((c) => c.key));
    for (const [key, row] of this.rows) if (!keys.has(key)) { row.el.remove(); this.rows.delete(key); }
    let before = null;
    for (const c of sorted) {
      if (!keys.has(c.key)) continue;
      const row = Object.assign(this.rows.get(c.key) || this.newRow(c), { call: c });
      const next = before ? before.nextSibling : this.callList.firstChild;
      if (next !== row.el) this.callList.insertBefore(row.el, next); // what is in its place stays
      before = row.el;
      this.renderCall(row, c);
    }
    this.callSection.hidden = !keys.size;
    this.count(this.moreCalls, keys.size, sorted.length);
  }

  newRow(c) {
    const row = { bar: h("div", { class: "track" }), state: state(c.state), tries: h("span", { class: "quiet call-tries" }), why: h("p", { class: "why" }) };
    const line = h("div", { class: "call-head" }, h("a", { href: `#call=${encodeURIComponent(c.key)}`, class: "call-name" }, foreign(c.key)), row.state, row.tries);
    row.el = h("li", { id: `call=${c.key}`, tabindex: "-1" }, line, row.bar, row.why);
    this.rows.set(c.key, row);
    return row;
  }

  renderCall(row, c) {
    const stamp = [c.state, c.open, c.attempts, c.ms, c.max_attempts, c.error?.code].join();
    if (row.stamp === stamp) return;
    row.stamp = stamp;
    row.el.className = `row call ${c.state}${this.marked === row.el ? " marked" : ""}`;
    const old = row.state, text = why(c);
    old.replaceWith(row.state = state(c.state));
    row.tries.textContent = ENDED.includes(c.state) ? this.rowWords(c) : c.open ? t("andMore") : "";
    row.why.textContent = clean(text);
    row.why.hidden = !text;
  }

  renderResults() {
    const good = [...this.calls.values()].filter((c) => c.state === "succeeded" && c.result !== null && c.result !== undefined);
    const list = good.filter((c) => !this.shownResults.has(c.key));
    const end = (c) => { const last = c.tries?.[c.tries.length - 1]; return last ? Date.parse(last.start) + last.ms : c.until || 0; };
    if (!this.shownResults.size) list.sort((a, b) => end(a) - end(b));
    for (const c of list.slice(0, this.most - this.shownResults.size)) { // in order of completion
      this.shownResults.add(c.key);
      this.resultList.append(h("li", { tabindex: "-1", class: this.back && this.away ? "row new" : "row" }, h("h3", {}, `${this.shownResults.size}. `, foreign(c.key)), value(c.result)));
    }
    this.count(this.moreResults, this.shownResults.size, good.length);
    const { result, state: now } = this.job;
    this.partSection.firstChild.textContent = t(isFinal(now) ? "resultsAll" : "results");
    const whole = isFinal(now) && result !== null && result !== undefined;
    this.partSection.hidden = !this.shownResults.size || (whole && this.body.classList.contains("settled"));
    if (whole && this.finalSection.hidden) {
      empty(this.finalSection, h("h2", { id: "h-result" }, t("result")), value(result));
      this.finalSection.hidden = false;
    }
    if (whole && this.body.classList.contains("settled") && this.shownResults.size && !this.folded) {
      this.folded = true;
      this.finalSection.append(h("details", {}, h("summary", {}, `${t("resultsAll")}: ${number(good.length)}`), this.resultList, this.moreResults));
    }
  }

  renderMore() {
    if (!this.more.hidden) return;
    const input = inputOf(this.id);
    this.more.hidden = false;
    empty(this.more, h("details", { class: "more" }, h("summary", {}, t("details")),
      h("dl", { class: "values" },
        h("div", {}, h("dt", {}, "id"), h("dd", {}, h("code", {}, this.id), " ", button(t("copy"), () => copy(this.id), { class: "plain" }))),
        this.job.flow_version && h("div", {}, h("dt", {}, "flow"), h("dd", {}, h("code", {}, `${this.job.flow} ${this.job.flow_version.slice(0, 12)}`)))),
      input === undefined ? h("p", { class: "quiet" }, t("noInput")) : json(input, t("input"))));
  }

  // ---- what moves

  tick() {
    const j = this.job;
    if (!j) return;
    const now = clock(), final = isFinal(j.state), begun = Date.parse(j.started || j.created) || now;
    if (final) clearInterval(this.timer);
    else if (this.eta) this.eta.textContent = this.etaText(now);
    const parts = [...this.rows].map(([key, row]) => [key, row, segments(row.call, now)]);
    const from = Math.min(begun, ...parts.flatMap(([, , p]) => p.map((x) => x.from)));
    let to = Math.max(final ? from + 1 : now, ...parts.flatMap(([, , p]) => p.map((x) => x.to)));
    if (!final) { // the scale goes by steps: bars of calls that have ended are drawn at each of them only
      const step = 2 ** Math.floor(Math.log2(Math.max(to - from, 16))) / 16;
      to = from + Math.ceil((to - from) / step) * step;
    }
    for (const [key, row, p] of parts) {
      const drawn = [from, to, p.length, p.at(-1)?.to].join();
      if (row.drawn === drawn) continue;
      row.drawn = drawn;
      draw(row.bar, key, p, from, to);
    }
    this.tickDeadline(now);
    if (j.state === "queued" && j.eta?.ahead > 0 && now - this.readAt > AHEAD_MS) { this.readAt = now; this.reload(); }
  }

  tickDeadline(now) {
    const j = this.job, to = Date.parse(j.deadline), from = Date.parse(j.created);
    this.deadline.hidden = !(to > from) || isFinal(j.state);
    if (this.deadline.hidden) return;
    draw(this.deadline, t("deadline"), [{ kind: "used", from, to: Math.min(now, to), text: clockTime(new Date(to)) }], from, to);
  }

  etaText(now) {
    const j = this.job, eta = j.eta, parts = [];
    const so = now - Date.parse(j.created);
    if (Date.parse(j.retry_at) > now) parts.push(t("retryAt", { at: clockTime(new Date(j.retry_at)) }));
    else if (eta?.p90 && so <= eta.p90) parts.push(etaWords(eta));
    else if (eta?.p90) parts.push(j.deadline ? t("longerUntil", { at: clockTime(new Date(j.deadline)) }) : t("longer"));
    else parts.push(t("elapsed", { t: took(so < 1000 ? so : Math.floor(so / 1000) * 1000) }));
    if (j.state === "queued" && eta?.ahead > 0) parts.push(t("ahead", { n: eta.ahead }));
    else if (this.doneText && j.state === "running") parts.push(this.doneText);
    return parts.join(" · ");
  }

  markCall() { // #call=b-shop
    const row = this.rows.get(markOf(location.hash))?.el;
    if (this.marked === row) return;
    this.marked?.classList.remove("marked");
    this.marked = row;
    row?.classList.add("marked");
    row?.scrollIntoView({ block: "center" });
    row?.focus({ preventScroll: true });
  }
}

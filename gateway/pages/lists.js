// lists.js - / and /me: what may be started, and what was.
import { h, empty, button, link, time, clean, took, state, firstLine, foreign } from "./dom.js";
import { t, reason } from "./text.js";
import { allFlows, get, links, keepLinks, isListed, who, remember } from "./api.js";
import { etaWords } from "./flow.js";
import { isFinal } from "./job.js";
import { onReady, signInDialog, trouble, tryAgain } from "./main.js";

const STATES = ["queued", "running", "succeeded", "partial", "failed", "cancelled", "expired"];
const REDRIVEN = ["failed", "expired"];
const DEVICE = 20, LAST = 5, LOOKS = 5;

const title = (flows, name) => clean(flows.find((f) => f.flow === name)?.title || name || "");

function row(flows, j) {
  const text = j.result !== null && j.result !== undefined ? firstLine(j.result) : j.state === "succeeded" ? "" : clean(reason(j.reason, j.message));
  return h("li", { class: "row job-row", "data-id": j.id, "data-state": j.state },
    state(j.state), h("a", { href: `/j/${j.id}` }, title(flows, j.flow), " ", h("code", {}, j.id.slice(-8))),
    h("span", { class: "quiet" }, time(j.created || j.at), j.finished && ` · ${took(Date.parse(j.finished) - Date.parse(j.created))}`),
    text && h("span", { class: "first" }, foreign(text)));
}

function flowCards(flows) {
  if (!flows.length) return h("p", {}, t("noFlows"), " ", !who() && button(t("signIn"), signInDialog));
  return h("ul", { class: "cards" }, flows.map((f) => h("li", { class: "row" }, link(`/f/${f.flow}`, clean(f.title)), h("span", { class: "quiet" }, etaWords(f.eta)))));
}

// Jobs of links kept here that the server does not list: their state is asked for one by one.
async function deviceJobs(listed, max) {
  const mine = links().filter((l) => isListed(l) && !listed.has(l.id)).slice(0, max);
  return Promise.all(mine.map(async (l) => {
    if (isFinal(l.state) && l.job && !REDRIVEN.includes(l.state)) return { ...l, ...l.job };
    try {
      const j = await get(`/v1/jobs/${l.id}`);
      const kept = { created: j.created, finished: j.finished, state: j.state, first: firstLine(j.result), reason: j.reason, message: j.message };
      remember({ ...l, state: j.state, job: kept });
      return j;
    } catch (e) {
      return e.code === "no-job" ? null : { ...l, state: l.state || "queued" };
    }
  })).then((all) => all.filter(Boolean).map((j) => (j.first ? { ...j, result: j.first } : j)));
}

// A listed job went on: its row says so where it stands, the link in it stays what it was. False: it is not listed.
async function renew(list, flows, job) {
  const find = () => list.querySelector(`[data-id="${job.id}"]`), old = find();
  if (!old) return false;
  const turn = old.turn = (old.turn || 0) + 1;
  const now = await get(`/v1/jobs/${job.id}`).catch(() => job);
  if (find() !== old || old.turn !== turn || old.dataset.state === now.state) return true; // answers may overtake each other
  const a = old.querySelector("a"), parts = [...row(flows, now).childNodes];
  for (const c of [...old.childNodes]) if (c !== a) c.remove();
  a.before(parts[0]);
  a.after(...parts.slice(2));
  old.dataset.state = now.state;
  return true;
}

// What cannot be read now says so in its place and is asked for again; the rest of the page stays.
function reading(place) {
  let timer = 0, wrong, closed = false;
  const go = async (read) => {
    clearTimeout(timer);
    try {
      await read();
      wrong = undefined;
    } catch (e) {
      if (!(e.code || e.status)) throw e;
      if (closed) return;
      place.removeAttribute("aria-busy");
      if (wrong !== e.code) empty(place, trouble(e, () => go(read)));
      wrong = e.code;
      timer = tryAgain(e, () => go(read));
    }
  };
  return { go, stop: () => { closed = true; clearTimeout(timer); } };
}

export async function homePage(draw) {
  const flows = await allFlows();
  const last = h("section", { "aria-busy": "true" }), { go, stop } = reading(last);
  draw(h("h1", { tabindex: "-1" }, t("home")), flowCards(flows), last);
  await go(async () => {
    const mine = who() ? (await get(`/v1/jobs?limit=${LAST}`)).items : [];
    const jobs = mine.length ? mine : await deviceJobs(new Set(), LAST);
    last.removeAttribute("aria-busy");
    empty(last, h("h2", {}, t("lastJobs")), jobs.length
      ? [h("ul", { class: "list" }, jobs.map((j) => row(flows, j))), h("p", {}, link("/me", t("allJobs")))]
      : h("p", { class: "quiet" }, t("noJobsHere")));
  });
  const off = onReady((job) => renew(last, flows, job));
  return { close: () => { stop(); off(); } };
}

export async function mePage(draw, go) {
  const flows = await allFlows(), asked = new URLSearchParams(location.search);
  const list = h("ul", { class: "list" }), news = h("p", {}), older = h("div", { class: "actions" }), { go: ask, stop } = reading(older), device = h("section");
  const choice = (name, all) => h("select", { id: "f-" + name, name }, h("option", { value: "" }, t("all")), all.map(([v, text]) => h("option", { value: v, selected: asked.get(name) === v }, text)));
  const field = (name, label, input) => h("div", { class: "field" }, h("label", { for: "f-" + name }, label), input);
  const filters = h("form", { class: "filters", role: "search", "aria-label": t("filter"), onsubmit: (e) => {
    e.preventDefault();
    const q = new URLSearchParams([...new FormData(filters)].filter(([, v]) => v.trim() !== ""));
    const id = q.get("id")?.trim();
    if (id && /^[0-9a-f-]{36}$/i.test(id)) go(`/j/${id.toLowerCase()}`);
    else go(`/me${q.size ? "?" + q : ""}`);
  } }, field("flow", t("flow"), choice("flow", flows.map((f) => [f.flow, clean(f.title)]))),
  field("state", t("stateWord"), choice("state", STATES.map((s) => [s, t("state." + s)]))),
  field("since", t("sinceWord"), h("input", { id: "f-since", name: "since", type: "date", value: asked.get("since") || "" })),
  field("id", t("idWord"), h("input", { id: "f-id", name: "id", value: asked.get("id") || "", autocomplete: "off" })),
  h("button", { type: "submit" }, t("show")));
  draw(h("h1", { tabindex: "-1" }, t("myJobs")), filters, news, list, older, device);

  const listed = new Set(), id = (asked.get("id") || "").toLowerCase();
  const since = Date.parse(`${asked.get("since")}T00:00`); // here, not in Greenwich
  const fits = (j) => (!id || j.id.endsWith(id)) && (!asked.get("flow") || j.flow === asked.get("flow")) && (!asked.get("state") || j.state === asked.get("state")) &&
    !(Date.parse(j.created || j.at) < since);
  let looks = 0, next = ""; // a page of a filter that few jobs fit may be empty, and others follow
  async function page() {
    const q = new URLSearchParams();
    for (const k of ["flow", "state"]) if (asked.get(k)) q.set(k, asked.get(k));
    if (since) q.set("since", new Date(since).toISOString());
    if (next) q.set("cursor", next);
    const got = await get(`/v1/jobs?${q}`);
    next = got.next;
    for (const j of got.items) {
      listed.add(j.id);
      if (!id || j.id.endsWith(id)) list.append(row(flows, j));
    }
    if (next && !list.children.length && ++looks < LOOKS) return page();
    empty(older, next && button(t("older"), more));
  }
  async function more() { // the focus goes on where the new rows begin
    const n = list.children.length;
    await ask(page);
    (list.children[n]?.querySelector("a") || older.querySelector("button"))?.focus();
  }
  async function all() {
    if (who()) await page();
    const rest = (await deviceJobs(listed, DEVICE)).filter(fits);
    const none = asked.size ? h("p", {}, t("noMatch")) : [h("p", {}, t("noJobs")), flowCards(flows)];
    if (!who()) empty(news, t("signInList"), " ", button(t("signIn"), signInDialog));
    else if (!list.children.length && !rest.length && !next) empty(older, none);
    if (rest.length || !who()) {
      empty(device, h("h2", {}, t("device")), h("p", { class: "quiet" }, t("deviceText")),
        rest.length ? [h("ul", { class: "list" }, rest.map((j) => row(flows, j))), button(t("forget"), () => { keepLinks((l) => !isListed(l)); go(location.pathname, true); }, { class: "plain" })]
          : none);
    }
  }
  await ask(all);
  const fresh = new Set();
  const off = onReady(async (job) => { // rows keep their place: a new one waits to be shown
    if (!fresh.has(job.id) && !await renew(list, flows, job) && fits(job)) empty(news, button(t("more", { n: fresh.add(job.id).size }), () => go(location.pathname + location.search, true)));
  });
  return { close: () => { stop(); off(); } };
}

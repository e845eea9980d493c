// live.js - what happens while a page is open: the stream of a job, of all my jobs, and what to do
// when there is none. fetch, not EventSource, which hides the status and the problem.
import { call, send, Problem, who } from "./api.js";

const POLL_MS = 3000, FIRST_MS = 500, LAST_MS = 15000, HIDDEN_MS = 15000, SILENT_MS = 45000, POLLS = 10, SLOTS = 4;

// Until the event, if it is enough, or so many ms have passed, or nobody waits any more.
function until(signal, target, event, enough, ms) {
  return new Promise((resolve) => {
    const all = new AbortController(), on = { signal: all.signal };
    const end = () => { clearTimeout(timer); all.abort(); resolve(); };
    const timer = ms && setTimeout(end, ms);
    target.addEventListener(event, () => enough() && end(), on);
    signal.addEventListener("abort", end, on);
    if (signal.aborted) end();
  });
}
const pause = (ms, signal) => until(signal, self, "online", () => true, ms);

// One stream to its end: on(event, data, id), of an id that comes alone, too. Throws Problem; a broken one ends like a whole one.
async function stream(path, last, signal, on, opened) {
  if (signal.aborted) return;
  const inner = new AbortController(), stop = () => inner.abort();
  let silent = 0;
  const alive = () => { clearTimeout(silent); silent = setTimeout(stop, SILENT_MS); };
  signal.addEventListener("abort", stop);
  try {
    alive();
    const r = await send(path, { signal: inner.signal, headers: { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) } });
    const type = r.headers.get("content-type") || "";
    if (!r.ok || !type.startsWith("text/event-stream")) {
      throw new Problem(r.status, type.includes("json") ? await r.json().catch(() => ({})) : {});
    }
    opened();
    const reader = r.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", event = "message", data = [], id;
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const raw of lines) {
        const line = raw.replace(/\r$/, ""), at = line.indexOf(":");
        if (line === "") {
          if (data.length || event !== "message" || id !== undefined) on(event, data.length ? JSON.parse(data.join("\n")) : null, id);
          event = "message"; data = [];
        } else if (at !== 0) {
          const name = at < 0 ? line : line.slice(0, at), v = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
          if (name === "event") event = v;
          else if (name === "data") data.push(v);
          else if (name === "id") id = v;
        }
      }
    }
  } catch (e) {
    if (e instanceof Problem) throw e;
    // cut in the middle, or unreadable: go on from the last id
  } finally {
    clearTimeout(silent);
    signal.removeEventListener("abort", stop);
    inner.abort();
  }
}

// Hidden for a while a tab gives its connection back, a browser has six for one host: unless it
// listens() there, too.
function whileShown(signal, listens, onhide) {
  let timer = 0;
  const look = () => {
    clearTimeout(timer);
    if (!listens()) timer = setTimeout(onhide, HIDDEN_MS);
  };
  document.addEventListener("visibilitychange", look, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  look();
}
const shown = async (signal, listens) => listens() || until(signal, document, "visibilitychange", listens);

// A browser has six connections for one host and all tabs: streams of jobs get four of them. Who
// gets none polls.
async function inSlot(work) {
  if (!navigator.locks) return work();
  for (let i = 0; i < SLOTS; i++) {
    const had = await navigator.locks.request(`offpath-stream-${i}`, { ifAvailable: true }, async (lock) => {
      if (lock) await work();
      return Boolean(lock);
    });
    if (had) return;
  }
  throw new Problem(503, {});
}

const visible = () => !document.hidden;

// Follow a job to its end. on: {event(name, data), job(job), problem(p), listens(): also while hidden,
// mode("live" | "poll" | "offline" | "unavailable")}
export function watchJob(id, on) {
  const all = new AbortController();
  let last = "", wait = FIRST_MS, over = false, current = null;
  const listens = () => visible() || on.listens();
  whileShown(all.signal, listens, () => current?.abort());
  addEventListener("pagehide", () => all.abort(), { signal: all.signal }); // main.js shows it anew if it comes back
  addEventListener("offline", () => current?.abort(), { signal: all.signal }); // a cut line says nothing by itself

  async function poll() { // by ETag, for a while; then the stream is tried again
    let etag = "";
    for (let i = 0; i < POLLS && !all.signal.aborted && !over; i++) {
      const a = await call("GET", `/v1/jobs/${id}?include=attempts`, { headers: etag ? { "If-None-Match": etag } : {}, signal: all.signal });
      on.mode("poll");
      wait = FIRST_MS;
      if (a.status === 200) {
        etag = a.headers.get("etag") || "";
        over = on.job(a.body);
      }
      if (!over) await pause(POLL_MS, all.signal);
    }
  }

  async function once() {
    if (all.signal.aborted) return; // whoever waited for a slot
    const one = new AbortController(), stop = () => one.abort();
    current = one;
    all.signal.addEventListener("abort", stop);
    try {
      await stream(`/v1/jobs/${id}/events`, last, one.signal, (event, data, at) => {
        if (at !== undefined) last = at;
        if (over) return;
        wait = FIRST_MS;
        if (event === "done") over = true;
        on.event(event, data);
      }, () => on.mode("live"));
    } finally { all.signal.removeEventListener("abort", stop); current = null; }
  }

  async function run() {
    while (!over && !all.signal.aborted) {
      await shown(all.signal, listens);
      try {
        await inSlot(once);
        if (!over && listens()) await pause(wait, all.signal);
      } catch (e) {
        if (all.signal.aborted) return;
        if (e.code === "no-job" || e.code === "signed-out") { on.problem(e); return; }
        try {
          if (e.code === "offline") throw e;
          await poll();
          continue;
        } catch (again) {
          if (all.signal.aborted) return;
          if (again.code === "no-job" || again.code === "signed-out") { on.problem(again); return; }
          on.mode(again.code === "offline" ? "offline" : "unavailable");
          await pause(again.retryAfter * 1000 || wait, all.signal);
        }
      }
      wait = Math.min(wait * 2, LAST_MS);
    }
  }
  run();
  return { stop: () => all.abort() };
}

// "Your answer is ready", for all pages of this browser: one tab holds the stream and tells the
// others, where it is as well: the next one goes on there. Without Web Locks (plain HTTP) each shown
// tab has its own.
export function watchMine(ready) {
  let all = null, user = "", last = "";
  const channel = "BroadcastChannel" in self ? new BroadcastChannel("offpath-jobs") : null;
  const take = (news) => {
    if (!user || news.user !== user || who() !== user) return; // another tab's user has changed, or ours
    last = news.last || last;
    if (news.job) ready(news.job);
  };
  if (channel) channel.onmessage = (e) => take(e.data);

  async function hold(signal) {
    let wait = FIRST_MS;
    while (!signal.aborted) {
      if (!navigator.locks) await shown(signal, visible);
      try {
        await stream("/v1/events", last, signal, (event, data, id) => {
          if (signal.aborted) return; // of the user before
          const news = { user, last: id, job: event === "job" && data };
          wait = FIRST_MS;
          take(news);
          channel?.postMessage(news);
        }, () => {});
      } catch (e) {
        if (e.code === "signed-out") return; // sign-in begins anew
        if (e.code !== "offline") wait = e.retryAfter * 1000 || LAST_MS * 4;
      }
      await pause(wait, signal);
      wait = Math.min(wait * 2, LAST_MS * 4);
    }
  }

  function begin() {
    all?.abort();
    all = null;
    if (user !== who()) last = "";
    user = who();
    if (!user) return;
    all = new AbortController();
    const { signal } = all;
    if (navigator.locks) navigator.locks.request("offpath-events", { signal }, () => hold(signal)).catch(() => {});
    else hold(signal);
  }
  addEventListener("offpath-user", begin);
  addEventListener("pagehide", () => all?.abort()); // a page kept for "back" would hold the lock
  begin();
}

// api.js - requests to the gateway, and what this browser keeps: drafts, links, settings.

export class Problem extends Error {
  constructor(status, body) {
    super(body.title || `HTTP ${status}`);
    Object.assign(this, { status, code: body.code || "", title: body.title, detail: body.detail,
      errors: body.errors || [], retryAfter: body.retry_after, requestId: body.request_id, id: body.id });
  }
}

export const offline = () => new Problem(0, { code: "offline", title: "no answer" });

// ---- the server's clock: ours may be wrong, by more than its Date header can tell

let ahead = 0;
export const clock = () => Date.now() + ahead;
function hear(r) {
  const off = Date.parse(r.headers.get("date")) + 500 - Date.now();
  if (Math.abs(off - ahead) > 2000) ahead = off;
}

// fetch, as whoever this browser has signed in: where his session is over nothing is sent, so nobody becomes a
// guest by accident. Throws Problem: that, or no answer.
export async function send(path, options) {
  const user = load("me"), goes = !/^\/v1\/log(in|out)/.test(path);
  if (goes && isOver()) throw new Problem(401, { code: "signed-out" });
  let r;
  try {
    r = await fetch(path, { cache: "no-store", ...options });
  } catch { throw offline(); }
  hear(r);
  if (r.status === 401 && goes && user && load("me")?.expires === user.expires) setMe({ ...user, expires: "1970" });
  return r;
}

async function read(r) {
  const type = r.headers.get("content-type") || "";
  try {
    if (type.includes("json")) return await r.json();
  } catch { /* cut short: as if nothing came */ }
  return null;
}

const ANSWER_MS = 30000;

// -> {status, body, headers}; throws Problem, also when nobody answers (code offline)
export async function call(method, path, { body, headers, signal } = {}) {
  const head = { ...headers }, late = AbortSignal.timeout(ANSWER_MS);
  if (body !== undefined) head["Content-Type"] = "application/json";
  const r = await send(path, { method, body, headers: head, signal: signal ? AbortSignal.any([signal, late]) : late });
  if (r.status === 304) return { status: 304, body: null, headers: r.headers };
  const got = await read(r);
  if (!r.ok) {
    const retry = Number(r.headers.get("retry-after"));
    throw new Problem(r.status, { retry_after: retry || undefined, ...got });
  }
  if (got === null && r.status !== 204) throw offline();
  return { status: r.status, body: got, headers: r.headers };
}

export const get = (path, more) => call("GET", path, more).then((a) => a.body);

// ---- kept here; what a browser does not keep, without storage or with a full one, this page does

const memory = new Map();
addEventListener("storage", (e) => memory.delete(e.key?.slice(8)));
export function load(key, fallback = null) {
  if (memory.has(key)) return memory.get(key) ?? fallback;
  try {
    return JSON.parse(localStorage.getItem("offpath." + key)) ?? fallback;
  } catch { return fallback; }
}

export function save(key, v) {
  memory.delete(key);
  const put = () => (v === null ? localStorage.removeItem("offpath." + key) : localStorage.setItem("offpath." + key, JSON.stringify(v)));
  try { put(); } catch {
    try { // full: what is easiest to do without goes
      localStorage.removeItem("offpath.inputs");
      put();
    } catch { memory.set(key, v); }
  }
}

// ---- who: {user, expires} from sign-in to sign-out. Behind expires (of this browser's clock) the session is over,
// and he is still asked for: to sign in again, or to sign out.

export const isOver = () => Date.parse(load("me")?.expires) <= Date.now();
export const who = () => load("me")?.user || "";
export function setMe(user) {
  save("me", user);
  dispatchEvent(new Event("offpath-user"));
}

export async function signIn(token) {
  enter((await call("POST", "/v1/login", { headers: { Authorization: `Bearer ${token.trim()}` } })).body);
}
export async function beDemoUser(name) {
  enter((await call("POST", `/v1/login?demo=${name}`)).body);
}
export async function signOut() {
  await call("POST", "/v1/logout");
  enter(null);
}
// Who comes, or leaves, finds nothing kept of other users' jobs. An expired session leaves it: "your form is kept".
function enter(user) {
  keepLinks((l) => !l.user || l.user === user?.user);
  setMe(user && { ...user, expires: new Date(Date.parse(user.expires) - ahead - 3000).toISOString() }); // ahead is no better
}

// ---- links of jobs this device started, newest first; their input for "Run again"

const LINKS = 50, INPUTS = 20;
export const links = () => load("links", []);
export function remember(job, input) {
  const old = links(), known = old.some((l) => l.id === job.id); // what is known keeps its place
  save("links", known ? old.map((l) => (l.id === job.id ? job : l)) : [job, ...old].slice(0, LINKS));
  if (input === undefined) return;
  const inputs = load("inputs", []).filter((i) => i.id !== job.id);
  save("inputs", [{ id: job.id, input }, ...inputs].slice(0, INPUTS));
}
export function keepLinks(which) {
  const kept = links().filter(which);
  save("links", kept);
  save("inputs", load("inputs", []).filter((i) => kept.some((l) => l.id === i.id)));
}
// Jobs that are nobody's are listed from here; of shared ones, those that this user has asked for.
export const isListed = (l) => !l.user || (l.shared && l.user === who());
export const inputOf = (id) => load("inputs", []).find((i) => i.id === id)?.input;

// ---- ids: randomUUID is missing on plain HTTP

export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 15) | 64;
  b[8] = (b[8] & 63) | 128;
  const hex = [...b].map((x) => x.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

// ---- flows: asked for once per page and user

let flows = null;
addEventListener("offpath-user", () => { flows = null; });
export function allFlows() {
  flows ||= get("/v1/flows").then((b) => b.items).catch((e) => { flows = null; throw e; });
  return flows;
}
export async function flowTitle(name) {
  try {
    return (await allFlows()).find((f) => f.flow === name)?.title || name;
  } catch { return name; }
}

export function curl(method, path, body) {
  const quote = (s) => `'${s.replace(/'/g, "'\\''")}'`;
  const auth = who() ? ' -H "Authorization: Bearer $OFFPATH_TOKEN"' : "";
  const data = body === undefined ? "" : ` -H 'Content-Type: application/json' -d ${quote(body)}`;
  return `curl${method === "GET" ? "" : ` -X ${method}`}${auth}${data} ${quote(location.origin + path)}`;
}

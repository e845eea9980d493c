// api.js - requests to the gateway, and what this browser keeps: drafts, links, settings.

export class Problem extends Error {
  constructor(status, body) {
    super(body.title || `HTTP ${status}`);
    Object.assign(this, { status, code: body.code || "", title: body.title, detail: body.detail,
      errors: body.errors || [], retryAfter: body.retry_after, requestId: body.request_id, id: body.id });
  }
}

export const offline = () => new Problem(0, { code: "offline", title: "no answer" });

async function read(r) {
  const type = r.headers.get("content-type") || "";
  try {
    if (type.includes("json")) return await r.json();
  } catch { /* cut short: as if nothing came */ }
  return null;
}

// -> {status, body, headers}; throws Problem, also when nobody answers (code offline)
export async function call(method, path, { body, headers, signal } = {}) {
  let r;
  const head = { ...headers };
  if (body !== undefined) head["Content-Type"] = "application/json";
  try {
    r = await fetch(path, { method, body, headers: head, signal, cache: "no-store", credentials: "same-origin" });
  } catch (e) {
    if (signal?.aborted) throw e;
    throw offline();
  }
  if (r.status === 304) return { status: 304, body: null, headers: r.headers };
  const got = await read(r);
  if (r.status === 401 && me()) setMe(null);
  if (!r.ok) {
    const retry = Number(r.headers.get("retry-after"));
    throw new Problem(r.status, { retry_after: retry || undefined, ...got });
  }
  if (got === null && r.status !== 204) throw offline();
  return { status: r.status, body: got, headers: r.headers };
}

export const get = (path, more) => call("GET", path, more).then((a) => a.body);

// ---- kept here; a browser without storage keeps it for this page only

const memory = new Map();
export function load(key, fallback = null) {
  try {
    const text = localStorage.getItem("offpath." + key);
    return text === null ? fallback : JSON.parse(text);
  } catch { return memory.get(key) ?? fallback; }
}

export function save(key, v) {
  memory.set(key, v);
  try {
    if (v === null) localStorage.removeItem("offpath." + key);
    else localStorage.setItem("offpath." + key, JSON.stringify(v));
  } catch { /* full, or not allowed */ }
}

// ---- who

export function me() {
  const user = load("me");
  return user && Date.parse(user.expires) > Date.now() ? user : null;
}
export const who = () => me()?.user || "";
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
  setMe(user);
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
  const auth = me() ? ' -H "Authorization: Bearer $OFFPATH_TOKEN"' : "";
  const data = body === undefined ? "" : ` -H 'Content-Type: application/json' -d ${quote(body)}`;
  return `curl${method === "GET" ? "" : ` -X ${method}`}${auth}${data} ${quote(location.origin + path)}`;
}

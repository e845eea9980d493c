// waterfall.js - one call as a bar: waits, attempts, pauses. SVG with geometry attributes only.
import { svg, took } from "./dom.js";
import { t, reason } from "./text.js";

const WIDTH = 1000, HEIGHT = 14, LEAST = 3;

// [{kind, from, to, text}] in ms of the clock
export function segments(call, now) {
  const tries = call.tries || [];
  const out = [];
  for (const one of tries) {
    const start = Date.parse(one.start), kind = one.waited === "slot" ? "slot" : "pause";
    if (one.wait_ms > 0) out.push({ kind, from: start - one.wait_ms, to: start, text: t(kind === "slot" ? "waited" : "backoff", { t: took(one.wait_ms) }) });
    out.push({ kind: one.code ? "bad" : "good", from: start, to: start + one.ms, text: `${took(one.ms)}${one.code ? " " + one.code : ""}` });
  }
  if (call.state === "running" && call.since) {
    const from = Math.max(call.since, out.length ? out[out.length - 1].to : 0);
    out.push({ kind: "open", from, to: Math.max(now, from), text: took(now - from) });
  } else if (!tries.length && call.ms > 0 && call.until) {
    out.push({ kind: call.state === "succeeded" ? "good" : "bad", from: call.until - call.ms, to: call.until, text: took(call.ms) });
  }
  return out;
}

// from, to: what the whole width means
export function draw(box, name, parts, from, to) {
  const scale = WIDTH / Math.max(to - from, 1);
  const text = parts.map((p) => p.text).join(", ");
  const rects = parts.map((p) => {
    const x = Math.min(Math.max((p.from - from) * scale, 0), WIDTH - LEAST);
    const width = Math.min(Math.max((p.to - p.from) * scale, LEAST), WIDTH - x);
    const thin = p.kind === "slot" || p.kind === "pause";
    return svg("rect", { x: x.toFixed(1), y: thin ? HEIGHT / 2 - 2 : 0, width: width.toFixed(1), height: thin ? 4 : HEIGHT, rx: thin ? 0 : 2, class: p.kind });
  });
  box.replaceChildren(svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "bar", role: "img" },
    svg("title", {}, t("bar", { name, parts: text || "-" })), rects));
}

// The last code that went wrong, in words.
export const why = (call) => (call.error ? reason(call.error.code, call.error.message) : "");

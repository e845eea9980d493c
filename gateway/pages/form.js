// form.js - a form from a JSON Schema. The server validates; this only asks for the right things.
// Each field is {el, get(), set(v)}: get gives undefined for what was left empty, whether it is required or not.
import { $, h, add, empty, button, clean } from "./dom.js";
import { t, sentence } from "./text.js";

const RADIOS_MAX = 5, LINE_MAX = 200, ITEMS_MAX = 200;

const typeOf = (s) => (Array.isArray(s.type) ? s.type.find((x) => x !== "null") : s.type) ??
  (s.properties ? "object" : s.items ? "array" : undefined);
export const isSecret = (s) => s && typeof s === "object" && (s.writeOnly === true || s.format === "password");
const MIXED = ["oneOf", "anyOf", "allOf", "$ref", "not", "if", "const", "patternProperties"];

// ---- what may be kept in the browser

const BRANCHES = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];

// What is not found may be anything, so a secret.
const target = (root, ref) => ref.split("/").slice(1)
  .reduce((s, k) => s?.[decodeURIComponent(k).replace(/~1/g, "/").replace(/~0/g, "~")], root) ?? { writeOnly: true };

// All that may be said of one value: by these schemas, those they refer to, and each of their branches.
function spread(root, schemas, all = new Set()) {
  for (const s of schemas.flat()) {
    if (!s || typeof s !== "object" || all.has(s)) continue;
    all.add(s);
    spread(root, [s.$ref && target(root, s.$ref), ...BRANCHES.map((k) => s[k]), ...Object.values(s.dependentSchemas || {})], all);
  }
  return [...all];
}

function member(s, key) { // the schemas of a member
  const fits = (re) => { try { return new RegExp(re, "u").test(key); } catch { return true; } };
  const patterns = Object.entries(s.patternProperties || {}).filter(([re]) => fits(re)).map(([, x]) => x);
  return [...patterns, Object.hasOwn(s.properties || {}, key) ? s.properties[key] : !patterns.length && s.additionalProperties];
}

function keep(root, schemas, v) { // undefined: nothing of it
  const all = spread(root, schemas);
  if (all.some(isSecret)) return undefined;
  if (v === null || typeof v !== "object") return v;
  if (Array.isArray(v)) return v.map((x, i) => keep(root, all.map((s) => [s.prefixItems?.[i] ?? s.items, s.contains]), x)).map((x) => (x === undefined ? "" : x));
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, keep(root, all.map((s) => member(s, k)), x)]).filter(([, x]) => x !== undefined));
}

// The value without what is secret, or may be.
export const withoutSecrets = (schema, v) => keep(schema, [schema], v);

// ---- numbers that JavaScript would round, and say nothing

const digits = (s) => s.replace(/e.*/i, "").replace(/[-.]/g, "").replace(/^0+|0+$/g, "");
const isExact = (s) => digits(s) === digits(String(Number(s)));
export function readJson(text, field) { // throws with the field
  let v, wrong;
  try { v = JSON.parse(text); } catch (e) { wrong = t("jsonBad", { why: e.message }); }
  const rounded = !wrong && text.replace(/\x22(\\.|[^\x22\\])*\x22/g, "").match(/-?\d[\d.eE+-]*/g)?.find((s) => !isExact(s));
  if (rounded) wrong = `${sentence("big-number")[0]}: ${rounded}`;
  if (wrong) throw Object.assign(new Error(wrong), { field });
  return v;
}

function describe(ctx, schema, id) { // hint and place for an error, both read out with the field
  const hint = schema.description && h("p", { class: "hint", id: id + "-hint" }, clean(schema.description));
  const error = h("p", { class: "error", id: id + "-error", hidden: true });
  ctx.errors.set(ctx.pointer, { error, id });
  return { hint, error, by: `${hint ? id + "-hint " : ""}${id}-error` };
}

function label(ctx, schema, name, required, id) {
  const text = schema.title || name || t("whole");
  return h(id ? "label" : "legend", id ? { for: id } : {}, clean(text),
    !required && h("span", { class: "quiet" }, ` (${t("optional")})`));
}

function changed(ctx, e) {
  e.addEventListener("input", ctx.onchange);
  e.addEventListener("change", ctx.onchange);
  return e;
}

// ---- scalars

function choices(ctx, schema, name, required) {
  const id = ctx.id();
  const { hint, error, by } = describe(ctx, schema, id);
  const values = schema.enum;
  if (values.length <= RADIOS_MAX) {
    const radios = values.map((v, i) => changed(ctx, h("input", { type: "radio", name: id, id: i ? `${id}-${i}` : id, "aria-describedby": by })));
    return {
      el: h("fieldset", { class: "field" }, label(ctx, schema, name, required), hint, error,
        h("div", { class: "radios" }, values.map((v, i) => h("label", { class: "choice" }, radios[i], " ", clean(String(v)))))),
      get: () => values[radios.findIndex((r) => r.checked)],
      set: (v) => radios.forEach((r, i) => { r.checked = values[i] === v; }),
    };
  }
  const select = changed(ctx, h("select", { id, "aria-describedby": by }, h("option", { value: "" }, t("choose")),
    values.map((v, i) => h("option", { value: String(i) }, clean(String(v))))));
  return {
    el: h("div", { class: "field" }, label(ctx, schema, name, required, id), hint, error, select),
    get: () => (select.value === "" ? undefined : values[Number(select.value)]),
    set: (v) => { const i = values.indexOf(v); select.value = i < 0 ? "" : String(i); },
  };
}

function check(ctx, schema, name, required) {
  const id = ctx.id();
  const { hint, error, by } = describe(ctx, schema, id);
  const box = changed(ctx, h("input", { type: "checkbox", id, "aria-describedby": by, oninput: () => { given = true; } }));
  let given = required; // a box nobody has touched says nothing
  return {
    el: h("div", { class: "field" }, h("label", { class: "choice" }, box, " ", clean(schema.title || name)), hint, error),
    get: () => (given ? box.checked : undefined),
    set: (v) => { box.checked = v === true; given = required || typeof v === "boolean"; },
  };
}

const INPUT_TYPES = { email: "email", uri: "url", date: "date", time: "text", password: "password" };

function line(ctx, schema, name, required) {
  const id = ctx.id(), type = typeOf(schema), number = type === "integer" || type === "number";
  const { hint, error, by } = describe(ctx, schema, id);
  let blank = false; // an empty text that was set stays one until somebody writes here
  const long = type === "string" && !isSecret(schema) && !INPUT_TYPES[schema.format] && (schema.maxLength ?? 0) > LINE_MAX;
  const example = schema.examples?.[0];
  const props = { id, "aria-describedby": by, "aria-required": required, autocomplete: isSecret(schema) ? "new-password" : "off", oninput: () => { blank = false; },
    placeholder: isSecret(schema) || example === undefined ? null : clean(String(example)) };
  const input = changed(ctx, long ? h("textarea", { ...props, rows: 4 })
    : h("input", { ...props, type: isSecret(schema) ? "password" : number ? "text" : INPUT_TYPES[schema.format] || "text", inputmode: number ? (type === "integer" ? "numeric" : "decimal") : null }));
  return {
    el: h("div", { class: "field" }, label(ctx, schema, name, required, id), hint, error, input),
    get: () => {
      const text = number ? input.value.trim() : input.value;
      if (text === "") return blank ? "" : undefined;
      return number && /^-?\d+(\.\d+)?([eE][-+]?\d+)?$/.test(text) && isExact(text) ? Number(text) : text;
    },
    set: (v) => { input.value = v === undefined || v === null ? "" : String(v); blank = v === ""; },
  };
}

function box(ctx, schema, name) {
  const id = ctx.id();
  const { hint, error, by } = describe(ctx, schema, id);
  const area = changed(ctx, h("textarea", { id, rows: 5, spellcheck: "false", class: "code", "aria-describedby": by }));
  return {
    el: h("div", { class: "field" }, h("label", { for: id }, clean(schema.title || name || t("whole")), h("span", { class: "quiet" }, " JSON")), hint, error, area),
    get: () => (area.value.trim() === "" ? undefined : readJson(area.value, id)),
    set: (v) => { area.value = v === undefined ? "" : JSON.stringify(v, null, 2); },
  };
}

// ---- objects and lists

function group(ctx, schema, name, required, skip = []) {
  const id = ctx.id(), at = ctx.pointer;
  const top = at === "";
  const { hint, error } = describe(ctx, schema, id);
  const fields = Object.entries(schema.properties || {}).filter(([k]) => !skip.includes(k)).map(([k, s]) => {
    ctx.pointer = `${at}/${k.replace(/~/g, "~0").replace(/\//g, "~1")}`;
    const f = field(ctx, s === true || !s ? {} : s, k, (schema.required || []).includes(k));
    ctx.pointer = at;
    return [k, f];
  });
  let rest = {}; // members the form has no field for, kept as they came
  const body = fields.map(([, f]) => f.el);
  const get = () => {
    const v = { ...rest };
    for (const [k, f] of fields) {
      const x = f.get();
      if (x !== undefined) v[k] = x;
    }
    return required || top || Object.keys(v).length ? v : undefined;
  };
  const set = (v) => {
    const known = new Set(fields.map(([k]) => k));
    rest = Object.fromEntries(Object.entries(v && typeof v === "object" ? v : {}).filter(([k]) => !known.has(k) && !skip.includes(k)));
    for (const [k, f] of fields) f.set(v?.[k]);
  };
  const el = top ? h("div", { id, tabindex: "-1" }, error, body)
    : h("fieldset", { id, tabindex: "-1" }, label(ctx, schema, name, required), hint, error, body);
  return { el, get, set };
}

function list(ctx, schema, name, required) {
  const id = ctx.id(), at = ctx.pointer;
  const { hint, error } = describe(ctx, schema, id);
  const holder = h("div", { class: "items" });
  const more = button(t("add"), () => { grow(undefined).el.querySelector("input,textarea,select")?.focus(); ctx.onchange(); });
  let items = [];
  function grow(v) {
    ctx.pointer = `${at}/${items.length}`;
    const f = field(ctx, schema.items, `${schema.title || name} ${items.length + 1}`, true);
    ctx.pointer = at;
    const it = { ...f };
    it.row = h("div", { class: "item" }, f.el, h("div", { class: "item-foot" },
      button(t("remove"), () => { const kept = items.filter((x) => x !== it).map((x) => x.get()); set(kept); ctx.onchange(); more.focus(); }, { class: "plain" })));
    items.push(it);
    holder.append(it.row);
    if (v !== undefined) f.set(v);
    more.hidden = items.length >= Math.min(schema.maxItems ?? ITEMS_MAX, ITEMS_MAX);
    return it;
  }
  function set(v) {
    items = [];
    holder.replaceChildren();
    more.hidden = false;
    const values = Array.isArray(v) ? v : [];
    const n = Math.max(values.length, required ? schema.minItems ?? 1 : 0);
    for (let i = 0; i < n; i++) grow(values[i]);
  }
  set([]);
  return {
    el: h("fieldset", { id, tabindex: "-1" }, label(ctx, schema, name, required), hint, error, holder, more),
    get: () => (items.length || required ? items.map((it) => it.get() ?? null) : undefined),
    set,
  };
}

function field(ctx, schema, name, required) {
  const type = typeOf(schema);
  if (MIXED.some((k) => k in schema)) return box(ctx, schema, name);
  if (Array.isArray(schema.enum) && schema.enum.every((v) => v === null || typeof v !== "object")) return choices(ctx, schema, name, required);
  if (type === "boolean") return check(ctx, schema, name, required);
  if (type === "string" || type === "integer" || type === "number") return line(ctx, schema, name, required);
  if (type === "object" && schema.properties) return group(ctx, schema, name, required);
  if (type === "array" && schema.items && typeof schema.items === "object") return list(ctx, schema, name, required);
  return box(ctx, schema, name);
}

// A whole form: {el, get, set, showErrors(errors) -> [[text, field id]], clearErrors()}
export function makeForm(schema, skip, onchange) {
  let n = 0;
  const ctx = { pointer: "", errors: new Map(), onchange, id: () => `field-${++n}` };
  const object = typeOf(schema) === "object" && schema.properties && !MIXED.some((k) => k in schema);
  const root = object ? group(ctx, schema, "", true, skip) : box(ctx, schema, "");
  if (schema.default !== undefined) root.set(schema.default);
  else root.set(defaults(schema));

  function place(pointer) { // the field of a pointer, or the nearest around it
    for (let p = pointer; ; p = p.slice(0, p.lastIndexOf("/"))) {
      if (ctx.errors.has(p)) return ctx.errors.get(p);
      if (!p) return null;
    }
  }
  function clearErrors() {
    for (const { error, id } of ctx.errors.values()) {
      empty(error);
      error.hidden = true;
      $(id)?.removeAttribute("aria-invalid");
    }
  }
  function showErrors(errors) {
    clearErrors();
    return errors.map((e) => {
      const at = place(e.pointer || ""), text = clean(`${e.pointer ? e.pointer.slice(1) + ": " : ""}${e.detail}`);
      if (!at) return [text, null];
      add(at.error, at.error.childNodes.length ? h("br") : null, clean(e.detail));
      at.error.hidden = false;
      $(at.id)?.setAttribute("aria-invalid", "true");
      return [text, at.id];
    });
  }
  return { ...root, showErrors, clearErrors };
}

export function defaults(schema) {
  if (schema?.default !== undefined) return schema.default;
  if (typeOf(schema || {}) !== "object" || !schema.properties) return undefined;
  const v = {};
  for (const [k, s] of Object.entries(schema.properties)) {
    const d = defaults(s);
    if (d !== undefined) v[k] = d;
  }
  return Object.keys(v).length ? v : undefined;
}

// Asks the server for its events and shows them. Nothing is kept but in this page's memory, the key included, and all
// that comes from the server is set as text.
"use strict";

const byId = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const KEPT = 300;
const NOTHING = "–";

let key = null;
let paused = false;
let points = {};
let picture = null;

// ---- Numbers as people read them

function seconds(value) {
  if (value === null || value === undefined) return NOTHING;
  if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
  if (value < 0.01) return `${(value * 1000).toFixed(1)} ms`;
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return `${value.toFixed(value < 10 ? 2 : 1)} s`;
}

function rate(value) {
  return value >= 100 ? String(Math.round(value)) : value.toFixed(value >= 10 || value === 0 ? 0 : 1);
}

function count(value) {
  if (value < 10000) return String(value);
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

function span(value) {
  const all = Math.floor(value);
  const [days, hours, minutes] = [Math.floor(all / 86400), Math.floor(all / 3600) % 24, Math.floor(all / 60) % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} min`;
  if (minutes) return `${minutes} min ${all % 60} s`;
  return `${all} s`;
}

const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour12: false });

// ---- Elements

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function draw(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Writes only what is another: a screen reader or a selection is not disturbed by what stays.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function mark(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function pill(element, state, text) {
  mark(element, "data-state", state);
  say(element, text ?? state);
}

// ---- Rows, which stay the same elements as long as their subject is there

function rows(table, entries, create, fill) {
  const body = table.tBodies[0];
  const known = new Map([...body.rows].map((row) => [row.dataset.name, row]));
  entries.forEach(([name, value], index) => {
    let row = known.get(name);
    if (!row) {
      row = create(name);
      row.dataset.name = name;
      row.setAttribute("role", "row");
    }
    known.delete(name);
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null);
    fill(row.parts, value, name);
  });
  for (const row of known.values()) row.remove();
  table.toggleAttribute("data-empty", entries.length === 0);
}

function cell(title, kind = "") {
  return make("td", { role: "cell", "data-title": title, class: kind });
}

function header(...children) {
  return make("th", { scope: "row", role: "rowheader" }, ...children);
}

function number(element, text, alarm) {
  say(element, text);
  element.classList.toggle("none", text === NOTHING || text === "0");
  element.classList.toggle("alarm", Boolean(alarm));
}

function poolRow(name) {
  const state = make("span", { class: "pill" });
  const why = make("span", { class: "sub" });
  const segments = {};
  const meter = make("div", { class: "meter", role: "meter", "aria-label": `Connections of ${name}`, "aria-valuemin": "0" });
  for (const kind of ["active", "idle", "passing", "waiting"]) {
    segments[kind] = make("span", { class: kind });
    meter.append(segments[kind]);
  }
  const counts = {};
  const line = make("div", { class: "counts", "aria-hidden": "true" });
  for (const kind of ["active", "idle", "waiting", "cap"]) {
    counts[kind] = make("b");
    const text = { active: " active", idle: " idle", waiting: " waiting", cap: "" }[kind];
    line.append(make("span", kind === "waiting" ? { class: "queue" } : {}, kind === "cap" ? "of " : "", counts[kind], text));
  }
  const bar = cell("Connections", "whole");
  bar.append(meter, line);
  const [requests, p50, p99, failed] = ["Requests/s", "p50", "p99", "Failed"].map((title) => cell(title, "number"));
  const breaker = cell("Breaker", "whole");
  const row = make("tr", {}, header(make("span", { class: "name" }, name, state), why), bar, requests, p50, p99, failed, breaker);
  row.parts = { state, why, meter, segments, counts, requests, p50, p99, failed, breaker };
  return row;
}

function fillPool(parts, pool, name) {
  const health = picture.health.http_pools[name] ?? { state: "healthy", reasons: [] };
  pill(parts.state, health.state);
  say(parts.why, health.reasons.join("; "));
  const cap = Math.max(pool.max_connections, 1);
  for (const [kind, segment] of Object.entries(parts.segments)) {
    segment.style.width = `${Math.min(100, (100 * pool[kind]) / cap)}%`;
  }
  say(parts.counts.active, count(pool.active));
  say(parts.counts.idle, count(pool.idle));
  say(parts.counts.waiting, count(pool.waiting));
  say(parts.counts.cap, count(pool.max_connections));
  parts.counts.waiting.parentElement.hidden = pool.waiting === 0;
  mark(parts.meter, "aria-valuemax", String(cap));
  mark(parts.meter, "aria-valuenow", String(Math.min(cap, pool.active)));
  mark(parts.meter, "aria-valuetext", `${pool.active} active, ${pool.idle} idle, ${pool.waiting} waiting, of ${cap}`);
  number(parts.requests, rate(pool.rate));
  number(parts.p50, seconds(pool.p50));
  number(parts.p99, seconds(pool.p99));
  number(parts.failed, count(pool.failed), pool.failed > 0);
  breakers(parts.breaker, Object.entries(pool.breakers));
}

// One word where all are closed, which is nearly always; else each origin that is not.
function breakers(element, all) {
  const ailing = all.filter(([, state]) => state !== "closed");
  const shown = ailing.length ? ailing : all.length ? [["", "closed"]] : [];
  const text = JSON.stringify(shown);
  if (element.dataset.shown === text) return;
  element.dataset.shown = text;
  element.replaceChildren(
    ...shown.map(([origin, state]) => {
      const element = make("span", { class: "pill", "data-state": state }, state);
      return origin ? make("span", { class: "name" }, element, make("span", { class: "sub" }, origin)) : element;
    }),
  );
  if (!shown.length) element.append(make("span", { class: "none" }, NOTHING));
}

function providerRow(name) {
  const state = make("span", { class: "pill" });
  const why = make("span", { class: "sub" });
  const instances = cell("Instances", "whole");
  const [calls, perSecond, p50, failed] = ["Calls", "Calls/s", "p50", "Failed"].map((title) => cell(title, "number"));
  const traps = cell("Traps", "number");
  const digest = cell("Digest", "half mono");
  const row = make("tr", {}, header(make("span", { class: "name" }, name, state), why), instances, calls, perSecond, p50, failed, traps, digest);
  row.parts = { state, why, instances, calls, perSecond, p50, failed, traps, digest };
  return row;
}

function fillProvider(parts, { service, counted }) {
  pill(parts.state, service.state);
  say(parts.why, service.error ?? "");
  parts.calls.parentElement.classList.toggle("bare", !counted);
  if (!counted) {
    for (const part of ["instances", "calls", "perSecond", "p50", "failed", "traps", "digest"]) number(parts[part], NOTHING);
    return;
  }
  const waiting = counted.waiting ? `, ${counted.waiting} waiting` : "";
  say(parts.instances, `${counted.leased} busy, ${counted.idle} idle${waiting}`);
  parts.instances.classList.remove("none");
  number(parts.calls, count(counted.calls));
  number(parts.perSecond, rate(counted.rate));
  number(parts.p50, seconds(counted.p50));
  number(parts.failed, count(counted.failed), counted.failed > 0);
  number(parts.traps, count(counted.traps), counted.traps > 0);
  // "blake3:" and the first of 64 figures; the whole is at hand for who points at it, and in /v1/providers.
  number(parts.digest, (counted.digest ?? NOTHING).replace("blake3:", "").slice(0, 12));
  mark(parts.digest, "title", counted.digest ?? "");
}

function errorRow() {
  const [time, call, error, id] = [cell("Time", "half"), cell("Call", "half"), cell("Error", "whole"), cell("Request id", "whole mono")];
  const row = make("tr", {}, time, call, error, id);
  row.parts = { time, call, error, id };
  return row;
}

function fillError(parts, error) {
  say(parts.time, clock(error.time));
  say(parts.call, `${error.provider} ${error.operation}`);
  say(parts.error, `${error.status} ${error.code}`);
  say(parts.id, error.request_id);
}

// ---- Plots

const HEIGHT = 176;
const MARGIN = { left: 46, right: 6, top: 8, bottom: 20 };

// The next of 1, 2, 5, 10, … that is not below.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value * 0.999) ?? 10 * power;
}

class Plot {
  constructor(id, series, format, least) {
    this.canvas = byId(id).querySelector(".canvas");
    this.legend = byId(id).querySelector(".legend");
    this.svg = this.canvas.querySelector("svg");
    this.title = byId(id).querySelector("figcaption b").textContent;
    Object.assign(this, { series, format, least, chosen: null, data: [] });
    this.values = series.map(({ name, kind }) => {
      const value = make("b", {}, NOTHING);
      this.legend.append(make("span", {}, make("i", { class: kind, "aria-hidden": "true" }), `${name} `, value));
      return value;
    });
    this.canvas.addEventListener("pointermove", (event) => this.choose(this.nearest(event.offsetX)));
    this.canvas.addEventListener("pointerleave", () => this.choose(null));
    this.canvas.addEventListener("blur", () => this.choose(null));
    this.canvas.addEventListener("keydown", (event) => this.step(event));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  show(data) {
    // What was chosen stays chosen while it moves to the left.
    if (this.chosen !== null) this.chosen -= data.length === KEPT ? 1 : 0;
    this.data = data;
    this.draw();
  }

  step(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -KEPT, End: KEPT }[event.key];
    if (event.key === "Escape") this.choose(null);
    if (!by || !this.data.length) return;
    event.preventDefault();
    this.choose((this.chosen ?? this.data.length - 1) + by, true);
  }

  choose(index, aloud) {
    this.chosen = index === null ? null : Math.max(0, Math.min(this.data.length - 1, index));
    this.draw(aloud);
  }

  get width() {
    return Math.max(this.canvas.clientWidth, 160);
  }

  x(index) {
    const from = KEPT - this.data.length;
    return MARGIN.left + ((from + index) / (KEPT - 1)) * (this.width - MARGIN.left - MARGIN.right);
  }

  nearest(x) {
    const share = (x - MARGIN.left) / (this.width - MARGIN.left - MARGIN.right);
    return Math.round(share * (KEPT - 1)) - (KEPT - this.data.length);
  }

  draw(aloud) {
    const drawn = [];
    const values = this.data.map((point) => this.series.map(({ of }) => of(point)));
    const highest = nice(Math.max(this.least, ...values.flat().filter((value) => value !== null)));
    const bottom = HEIGHT - MARGIN.bottom;
    const y = (value) => bottom - (value / highest) * (bottom - MARGIN.top);

    for (const share of [0, 0.5, 1]) {
      const at = y(highest * share);
      drawn.push(draw("line", { class: "grid", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: at, y2: at }));
      drawn.push(draw("text", { x: MARGIN.left - 7, y: at + 4, "text-anchor": "end" }, share ? this.format(highest * share) : "0"));
    }
    const minutes = this.width < 420 ? [4, 2] : [4, 3, 2, 1];
    for (const minute of minutes) {
      const at = MARGIN.left + (1 - minute / 5) * (this.width - MARGIN.left - MARGIN.right);
      drawn.push(draw("text", { x: at, y: HEIGHT - 4, "text-anchor": "middle" }, `−${minute} min`));
    }
    drawn.push(draw("text", { x: this.width - MARGIN.right, y: HEIGHT - 4, "text-anchor": "end" }, "now"));

    this.series.forEach(({ stroke, fill }, number) => {
      for (const run of this.runs(values, number)) {
        const line = run.map(([index, value]) => `${this.x(index).toFixed(1)},${y(value).toFixed(1)}`);
        const [first, last] = [this.x(run[0][0]), this.x(run.at(-1)[0])];
        if (fill) drawn.push(draw("path", { class: fill, d: `M${first},${bottom}L${line.join("L")}L${last},${bottom}Z` }));
        if (stroke) drawn.push(draw("path", { class: stroke, d: `M${line.join("L")}${run.length === 1 ? "h1" : ""}` }));
      }
    });

    const index = this.chosen ?? this.data.length - 1;
    if (this.chosen !== null && this.data[index]) {
      const at = this.x(index);
      drawn.push(draw("line", { class: "cursor", x1: at, x2: at, y1: MARGIN.top, y2: bottom }));
      const anchor = at > this.width / 2 ? ["end", -5] : ["start", 5];
      drawn.push(draw("text", { x: at + anchor[1], y: MARGIN.top + 8, "text-anchor": anchor[0] }, clock(this.data[index][0])));
    }
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.replaceChildren(...drawn);

    const now = this.series.map(({ told }) => (this.data[index] ? this.format(told(this.data[index])) : NOTHING));
    this.values.forEach((element, number) => say(element, now[number]));
    const said = this.series.map(({ name }, number) => `${name} ${now[number]}`).join(", ");
    const when = this.chosen !== null && this.data[index] ? `at ${clock(this.data[index][0])}` : "now";
    // Said anew when someone asks for it, not every second.
    if (aloud || document.activeElement !== this.canvas) mark(this.canvas, "aria-label", `${this.title} ${when}: ${said}`);
  }

  // A second without a request has no latency: the line breaks off there.
  runs(values, number) {
    const runs = [];
    let run = [];
    values.forEach((all, index) => {
      if (all[number] !== null) run.push([index, all[number]]);
      else if (run.length) run = (runs.push(run), []);
    });
    if (run.length) runs.push(run);
    return runs;
  }
}

// A point is [time, active, idle, waiting, requests a second, p50, p99].
const latency = new Plot(
  "latency",
  [
    { name: "p99", kind: "upper", of: (point) => point[6], told: (point) => point[6], stroke: "stroke-upper" },
    { name: "p50", kind: "lower", of: (point) => point[5], told: (point) => point[5], stroke: "stroke-lower", fill: "fill-lower" },
  ],
  seconds,
  0.01,
);
// The areas lie upon one another: idle reaches from the active ones upwards.
const connections = new Plot(
  "connections",
  [
    { name: "idle", kind: "idle", of: (point) => point[1] + point[2], told: (point) => point[2], fill: "fill-idle" },
    { name: "active", kind: "active", of: (point) => point[1], told: (point) => point[1], fill: "fill-active" },
    { name: "waiting", kind: "waiting", of: (point) => point[3] || null, told: (point) => point[3], stroke: "stroke-upper" },
  ],
  (value) => (value === null ? NOTHING : count(Math.round(value))),
  2,
);

function plots() {
  const data = points[byId("pool").value] ?? [];
  latency.show(data);
  connections.show(data);
}

function choices() {
  const select = byId("pool");
  const names = Object.keys(points).filter((name) => name !== "").sort();
  const known = [...select.options].slice(1).map((option) => option.value);
  if (names.join("\n") === known.join("\n")) return;
  const chosen = select.value;
  select.replaceChildren(select.options[0], ...names.map((name) => make("option", { value: name }, name)));
  select.value = names.includes(chosen) ? chosen : "";
}

// ---- What the server tells

function onHistory(history) {
  points = history.points;
  choices();
}

function onPicture(next) {
  for (const [name, [point]] of Object.entries(next.points)) {
    const known = (points[name] ??= []);
    if (known.length && known.at(-1)[0] >= point[0]) continue;
    known.push(point);
    if (known.length > KEPT) known.shift();
  }
  // A pool that is gone leaves with its last point.
  for (const name of Object.keys(points)) {
    if (name !== "" && !(name in next.pools)) delete points[name];
  }
  picture = next;
  if (!paused) show();
}

function show() {
  if (!picture) return;
  const { health, pools, providers, errors } = picture;
  byId("content").hidden = false;
  pill(byId("status"), health.status);
  say(byId("version"), picture.version);
  say(byId("uptime"), span(health.uptime_seconds));
  say(byId("clock"), clock(picture.time));
  document.title = health.status === "healthy" ? "weir" : `weir: ${health.status}`;

  const reasons = byId("reasons");
  if (reasons.dataset.shown !== health.reasons.join("\n")) {
    reasons.dataset.shown = health.reasons.join("\n");
    reasons.replaceChildren(...health.reasons.map((reason) => make("li", {}, reason)));
    reasons.hidden = health.reasons.length === 0;
  }

  tiles(Object.values(pools));
  choices();
  plots();
  const byName = (object) => Object.entries(object).sort(([a], [b]) => (a < b ? -1 : 1));
  rows(byId("pools"), byName(pools), poolRow, fillPool);
  const services = byName(health.services).map(([name, service]) => [name, { service, counted: providers[name] }]);
  rows(byId("providers"), services, providerRow, fillProvider);
  rows(byId("errors"), errors.map((error) => [`${error.request_id} ${error.time}`, error]), errorRow, fillError);
}

function tiles(pools) {
  const sum = (of) => pools.reduce((total, pool) => total + of(pool), 0);
  const last = picture.total;
  say(byId("tile-rate"), rate(sum((pool) => pool.rate)));
  say(byId("tile-p50"), seconds(last.p50));
  say(byId("tile-p99"), seconds(last.p99));
  const cap = sum((pool) => pool.max_connections);
  byId("tile-active").replaceChildren(count(sum((pool) => pool.active)), make("small", {}, ` of ${count(cap)}`));
  const [waiting, failed] = [sum((pool) => pool.waiting), sum((pool) => pool.failed)];
  say(byId("tile-waiting"), count(waiting));
  say(byId("tile-failed"), count(failed));
  byId("tile-waiting").parentElement.classList.toggle("queue", waiting > 0);
  byId("tile-failed").parentElement.classList.toggle("alarm", failed > 0);
}

// ---- The connection

class Refused extends Error {}

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (field("event")) yield [field("event"), JSON.parse(field("data"))];
    }
  }
}

async function listen() {
  const headers = key === null ? {} : { authorization: `Bearer ${key}` };
  const answer = await fetch("v1/events", { headers, cache: "no-store" });
  if (answer.status === 401) throw new Refused();
  if (!answer.ok) throw new Error((await answer.json()).error?.message ?? `HTTP ${answer.status}`);
  let orderly = false;
  for await (const [name, data] of events(answer)) {
    if (name === "history") onHistory(data);
    if (name === "picture") onPicture(data);
    orderly = name === "stopping";
    if (orderly) pill(byId("status"), "stopping");
  }
  if (!orderly) throw new Error("the stream ended");
}

async function stay() {
  for (let wait = 1; ; wait = Math.min(wait * 2, 15)) {
    const begun = Date.now();
    try {
      await listen();
    } catch (error) {
      if (error instanceof Refused) {
        ask(key === null ? "" : "The server does not know this key.");
        return;
      }
      pill(byId("status"), "unreachable", "no connection");
      byId("status").title = error.message;
    }
    if (Date.now() - begun > 30000) wait = 1;
    await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  }
}

function ask(why) {
  key = null;
  picture = null;
  byId("content").hidden = true;
  byId("reasons").hidden = true;
  byId("key-form").hidden = false;
  say(byId("key-error"), why);
  pill(byId("status"), "waiting", "key needed");
  byId("key").focus();
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = byId("key").value;
  byId("key").value = "";
  byId("key-form").hidden = true;
  pill(byId("status"), "waiting", "connecting");
  byId("main").focus();
  stay();
});

byId("pause").addEventListener("click", () => {
  paused = !paused;
  mark(byId("pause"), "aria-pressed", String(paused));
  say(byId("pause"), paused ? "Resume" : "Pause");
  if (!paused) show();
});

byId("pool").addEventListener("change", plots);

if (document.documentElement.dataset.keyNeeded === "yes") ask("");
else stay();

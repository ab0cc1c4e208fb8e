"use strict";
// Draws a dashboard from its definition in the page and the HTTP API of Prometheus.

const prefix = document.body.dataset.prefix;
const rows = JSON.parse(document.getElementById("dashboard").textContent);
const RANGES = { "5 min": 300, "15 min": 900, "1 h": 3600, "6 h": 21600, "1 day": 86400, "7 days": 604800 };
const REFRESHES = { "every 5 s": 5, "every 30 s": 30, "not": 0 };
const COLORS = ["#3b6fd9", "#e07b1a", "#2a9d6a", "#b04bc4", "#d1495b", "#1596a8", "#a58a00", "#7a6ff0", "#6d7b8c", "#e25fa0"];
const POINTS = 240, SHORTEST_WINDOW = 60, WIDTH = 640, HEIGHT = 190;
const EDGE = { left: 62, right: 8, top: 8, bottom: 20 };
const state = { range: 900, refresh: 5 };

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const svg = (name, attributes, text = "") => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
};
const short = (number) => String(Number(number.toPrecision(3)));
const scaled = (value, base, units) => {
  let step = 0;
  while (Math.abs(value) >= base && step < units.length - 1) { value /= base; step += 1; }
  return `${short(value)}${units[step]}`;
};
const duration = (value) => {
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 0.001) return `${short(value * 1e6)} µs`;
  if (size < 1) return `${short(value * 1000)} ms`;
  if (size < 120) return `${short(value)} s`;
  if (size < 7200) return `${short(value / 60)} min`;
  if (size < 172800) return `${short(value / 3600)} h`;
  return `${short(value / 86400)} days`;
};
const BYTES = [" B", " KiB", " MiB", " GiB", " TiB"], COUNTS = ["", " k", " M", " G"];
const FORMATS = {
  s: duration,
  bytes: (value) => scaled(value, 1024, BYTES),
  Bps: (value) => `${scaled(value, 1024, BYTES)}/s`,
  percentunit: (value) => `${Number((value * 100).toPrecision(4))} %`,
  cps: (value) => `${scaled(value, 1000, COUNTS)}/s`,
  reqps: (value) => `${scaled(value, 1000, COUNTS)}/s`,
  short: (value) => scaled(value, 1000, COUNTS),
};
const shown = (panel, value) => (Number.isFinite(value) ? FORMATS[panel.unit](value) : "–");

const call = async (path, parameters) => {
  const answer = await fetch(`${prefix}/api/v1/${path}?${new URLSearchParams(parameters)}`);
  const body = await answer.json();
  if (body.status !== "success") throw new Error(body.error);
  return body.data;
};
// As Grafana does: four samples of the scrapes, and no shorter than a step.
const expanded = (expression, step) =>
  expression.replaceAll("$__rate_interval", `${Math.max(SHORTEST_WINDOW, Math.ceil(step * 4))}s`);
const named = (legend, labels) =>
  legend.replace(/\[\[(\w+)\]\]/g, (_, label) => labels[label] ?? "").trim() || "none";

const level = (panel, value) => {
  if (!panel.thresholds.length || !Number.isFinite(value)) return "plain";
  const met = panel.thresholds.filter((each) => (each.below ? value < each.value : value >= each.value));
  return met.some((each) => each.level === "critical") ? "critical" : met.length ? "warning" : "good";
};

const loadFigure = async (panel) => {
  const now = Date.now() / 1000;
  const found = await Promise.all(
    panel.queries.map((query) => call("query", { query: expanded(query.expression, 0), time: now })),
  );
  return found.flatMap(({ result }, number) =>
    result.map(({ metric, value }) => ({ name: named(panel.queries[number].legend, metric), value: Number(value[1]) })),
  );
};
const loadGraph = async (panel) => {
  const end = Math.floor(Date.now() / 1000), start = end - state.range;
  const step = Math.max(5, Math.ceil(state.range / POINTS));
  const found = await Promise.all(
    panel.queries.map((query) => call("query_range", { query: expanded(query.expression, step), start, end, step })),
  );
  const series = found.flatMap(({ result }, number) =>
    result.map(({ metric, values }) => ({
      name: named(panel.queries[number].legend, metric),
      points: values.map(([time, value]) => [time, Number(value)]).filter(([, value]) => Number.isFinite(value)),
    })),
  );
  const last = (each) => each.points.at(-1)[1];
  const shownSeries = series.filter((each) => each.points.length).sort((one, other) => last(other) - last(one));
  return { start, end, step, series: shownSeries };
};

const drawFigure = (panel, body, tiles) => {
  const many = tiles.length > 1 || panel.queries[0].legend.includes("[[");
  body.replaceChildren(element("div", { class: "tiles" }, ...tiles.map(({ name, value }) =>
    element("div", { class: `tile ${level(panel, value)}` },
      element("b", {}, shown(panel, value)), ...(many ? [element("span", {}, name)] : [])),
  )));
};

const ticks = (panel, top) => {
  if (panel.unit.startsWith("b") || panel.unit.startsWith("B")) {
    const unit = 1024 ** Math.floor(Math.log(top) / Math.log(1024));
    return tenths(top / unit).map((each) => each * unit);
  }
  return tenths(top);
};
const tenths = (top) => {
  const raw = top / 4, size = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].find((each) => each * size >= raw) * size;
  return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, number) => number * step);
};
// Adds each series on top of the ones before, at the same times.
const stack = (series) => {
  const sums = new Map();
  return series.map((each) => ({
    ...each,
    points: each.points.map(([time, value]) => {
      const below = sums.get(time) ?? 0;
      sums.set(time, below + value);
      return [time, below + value, value, below];
    }),
  }));
};
const clock = (seconds) =>
  new Date(seconds * 1000).toLocaleString([], state.range > 86400
    ? { month: "short", day: "numeric" } : { hour: "2-digit", minute: "2-digit", hour12: false });

const drawGraph = (panel, body, { start, end, step, series }) => {
  const stacked = panel.kind === "stack";
  const lines = stacked ? stack(series) : series;
  const greatest = Math.max(0, ...lines.flatMap((each) => each.points.map(([, value]) => value)));
  // A bound far above the data is told by the legend's numbers, not drawn.
  const bounds = panel.thresholds.filter(({ value }) => value > 0 && (value <= greatest * 4 || !greatest));
  const marks = ticks(panel, Math.max(greatest, ...bounds.map(({ value }) => value * 1.05)) || 1);
  const top = marks.at(-1);
  const x = (time) => EDGE.left + ((time - start) / (end - start)) * (WIDTH - EDGE.left - EDGE.right);
  const y = (value) => HEIGHT - EDGE.bottom - (Math.max(0, value) / top) * (HEIGHT - EDGE.top - EDGE.bottom);
  const at = ([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`;
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" });
  const unstretched = []; // text, which must not be stretched with the picture
  for (const value of marks) {
    picture.append(svg("line", { class: "grid", x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(value), y2: y(value) }));
    unstretched.push([shown(panel, value), EDGE.left - 6, y(value) + 4, "end"]);
  }
  for (let number = 0; number <= 4; number += 1) {
    const time = start + ((end - start) * number) / 4;
    unstretched.push([clock(time), x(time), HEIGHT - 4, number === 0 ? "start" : number === 4 ? "end" : "middle"]);
  }
  lines.forEach((each, number) => {
    const color = COLORS[number % COLORS.length];
    const runs = [[]];
    each.points.forEach((point, index) => {
      if (index && point[0] - each.points[index - 1][0] > step * 3) runs.push([]);
      runs.at(-1).push(point);
    });
    for (const run of runs) {
      if (stacked) {
        const back = run.map(([time, , , below]) => at([time, below])).reverse();
        picture.append(svg("polygon", { class: "area", fill: color, points: [...run.map(at), ...back].join(" ") }));
      }
      picture.append(svg("polyline", { class: "series", stroke: color, points: run.map(at).join(" "), "vector-effect": "non-scaling-stroke" }));
    }
  });
  for (const { value, level: kind } of bounds) {
    picture.append(svg("line", { class: `bound ${kind}`, x1: EDGE.left, x2: WIDTH - EDGE.right, y1: y(value), y2: y(value), "vector-effect": "non-scaling-stroke" }));
    unstretched.push([shown(panel, value), WIDTH - EDGE.right - 2, y(value) - 4, "end"]);
  }
  const legend = element("div", { class: "legend" });
  const table = (time) => {
    const heading = time === null ? "last" : new Date(time * 1000).toLocaleTimeString([], { hour12: false });
    legend.replaceChildren(...["", heading, "max"].map((text, number) =>
      element("span", { class: number ? "head number" : "head" }, text)));
    series.forEach((each, number) => {
      const point = time === null ? each.points.at(-1)
        : each.points.findLast(([when]) => when <= time + step / 2);
      const mark = element("span", { title: each.name }, element("i", { style: `background:${COLORS[number % COLORS.length]}` }), each.name);
      const last = point ? shown(panel, point[1]) : "–";
      const most = shown(panel, Math.max(...each.points.map(([, value]) => value)));
      legend.append(mark, element("span", { class: "number" }, last), element("span", { class: "number" }, most));
    });
  };
  table(null);
  const cursor = svg("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
  picture.append(cursor);
  picture.addEventListener("pointermove", (event) => {
    const box = picture.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * WIDTH;
    if (place < EDGE.left || place > WIDTH - EDGE.right) return;
    cursor.setAttribute("visibility", "visible");
    cursor.setAttribute("x1", place);
    cursor.setAttribute("x2", place);
    table(start + ((place - EDGE.left) / (WIDTH - EDGE.left - EDGE.right)) * (end - start));
  });
  picture.addEventListener("pointerleave", () => { cursor.setAttribute("visibility", "hidden"); table(null); });
  body.replaceChildren(picture, legend);
  const stretch = picture.getBoundingClientRect().width / WIDTH;
  for (const [text, left, down, anchor] of unstretched) {
    const label = svg("text", { x: left / 1, y: down, "text-anchor": anchor, transform: `translate(${left} 0) scale(${1 / stretch} 1) translate(${-left} 0)` }, text);
    picture.append(label);
  }
};

const refreshPanel = async (panel, body) => {
  if (body.matches(":hover")) return; // its numbers are being read
  try {
    const found = await (panel.kind === "stat" ? loadFigure(panel) : loadGraph(panel));
    const isEmpty = (found.series ?? found).length === 0;
    if (isEmpty) body.replaceChildren(element("div", { class: "empty" }, "no samples"));
    else (panel.kind === "stat" ? drawFigure : drawGraph)(panel, body, found);
  } catch (error) {
    body.replaceChildren(element("div", { class: "empty" }, `Prometheus: ${error.message}`));
  }
};

// The runbooks are beside this page; Prometheus knows where from the label `docs`.
const refreshAlerts = async () => {
  const { alerts } = await call("alerts", {});
  // Causes before the objectives that they miss, and pages before tickets.
  const order = ({ labels }) => (labels.severity === "page" ? 0 : 2) + (labels.sloth_slo ? 1 : 0);
  const firing = alerts
    .filter((each) => each.state === "firing" && each.labels.severity !== "info")
    .sort((one, other) => order(one) - order(other));
  const section = document.getElementById("alerts");
  section.hidden = !firing.length;
  section.replaceChildren(...firing.map(({ labels, annotations, activeAt }) =>
    element("div", {},
      element("b", { class: labels.severity }, `${labels.alertname} (${labels.severity})`),
      element("span", {}, annotations.summary ?? ""),
      element("span", {}, `since ${new Date(activeAt).toLocaleTimeString([], { hour12: false })}`),
      element("a", { href: annotations.runbook_url ?? `${prefix}/classic/alerts` }, "runbook"),
    )));
};

const panels = [];
for (const row of rows) {
  const grid = element("div", { class: "panels" });
  for (const panel of row.panels) {
    const body = element("div", { class: "body" });
    const query = panel.queries.map((each, number) =>
      `g${number}.expr=${encodeURIComponent(expanded(each.expression, 0))}&g${number}.tab=0`).join("&");
    grid.append(element("div", { class: "panel", style: `grid-column: span ${panel.width}` },
      element("h3", {}, element("a", { href: `${prefix}/classic/graph?${query}`, title: "Show the queries" }, panel.title)),
      element("p", {}, panel.help), body));
    panels.push([panel, body]);
  }
  document.getElementById("rows").append(element("h2", {}, row.title), grid);
}

const refresh = async () => {
  await Promise.allSettled([refreshAlerts(), ...panels.map(([panel, body]) => refreshPanel(panel, body))]);
  document.body.dataset.drawn = new Date().toISOString();
};
let timer;
const schedule = () => {
  clearTimeout(timer);
  if (state.refresh) timer = setTimeout(async () => { await refresh(); schedule(); }, state.refresh * 1000);
};
const choice = (label, options, key) => {
  const list = element("select", { "aria-label": label });
  for (const [text, value] of Object.entries(options)) {
    list.append(element("option", { value, ...(value === state[key] ? { selected: "" } : {}) }, text));
  }
  list.addEventListener("change", async () => {
    state[key] = Number(list.value);
    sessionStorage.setItem(key, list.value);
    await refresh();
    schedule();
  });
  return element("label", {}, `${label} `, list);
};
for (const key of Object.keys(state)) state[key] = Number(sessionStorage.getItem(key) ?? state[key]);
document.getElementById("controls").append(
  element("a", { href: `${prefix}/classic/alerts` }, "Alerts"), element("a", { href: `${prefix}/classic/graph` }, "Queries"),
  choice("Last", RANGES, "range"), choice("Refresh", REFRESHES, "refresh"));
addEventListener("resize", refresh);
refresh().then(schedule);

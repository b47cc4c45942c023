"use strict";
// Small charts as SVG: lines (smoothed over their raw values), stacked shares, points with intervals.
// All of them show where the pointer is in any of them.

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

function make(name, attributes, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function draw(name, attributes, ...children) {
  return fill(document.createElementNS(SVG_NAMESPACE, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function format(value, kind) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  if (kind === "percent") return `${value === 0 ? 0 : (100 * value).toFixed(Math.abs(value) < 0.0995 ? 1 : 0)}%`;
  if (kind === "percent tick") return `${Number((100 * value).toPrecision(3))}%`;
  if (kind === "seconds") return duration(value);
  if (kind === "elo") return `${value < -0.5 ? "−" : value >= 0.5 ? "+" : ""}${Math.abs(value).toFixed(0)}`;
  const size = Math.abs(value);
  let text;
  if (size >= 9995 || (size >= 1000 && kind === "tick")) text = short(value);
  else if (Number.isInteger(value)) text = String(value);
  else if (size !== 0 && size < 0.001) text = value.toExponential(kind === "tick" ? 0 : 1);
  else text = String(Number(value.toPrecision(kind === "tick" ? 3 : 4)));
  return text.replaceAll("-", "−");
}

function short(value) {
  const size = Math.abs(value);
  for (const [limit, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= 0.99995 * limit) return `${Number((value / limit).toPrecision(4))}${unit}`;
  }
  return String(Number(value.toPrecision(4)));
}

function duration(seconds) {
  const whole = Math.round(seconds);
  if (whole < 60) return `${Number(seconds.toPrecision(3))} s`;
  const hours = Math.floor(whole / 3600);
  const minutes = String(Math.floor((whole % 3600) / 60)).padStart(hours ? 2 : 1, "0");
  return `${hours ? `${hours}:` : ""}${minutes}:${String(whole % 60).padStart(2, "0")}`;
}

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((f) => f * power).find((s) => s >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

function timeTicks(low, high, count) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
  const rough = (high - low) / count;
  const step = steps.find((s) => s >= rough);
  if (!step || rough < 1) return ticks(low, high, count);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high; t += step) found.push(t);
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (let p = Math.floor(Math.log10(low)); p <= Math.ceil(Math.log10(high)); p++) found.push(10 ** p);
  const inside = found.filter((t) => t >= low * 0.999 && t <= high * 1.001);
  if (inside.length >= 2) {
    const every = Math.ceil(inside.length / 5);
    return inside.filter((_, i) => i % every === 0);
  }
  return found.flatMap((t) => [1, 2, 5].map((f) => f * t)).filter((t) => t >= low && t <= high);
}

// Where the charts agree: what is along the axis, how much is smoothed, where the pointer is.
class Shared {
  constructor(axes, resumed) {
    this.axes = axes;
    this.resumed = resumed;
    this.axis = "step";
    this.smoothing = 0.5;
    this.charts = [];
  }

  // A step as a place along the axis: between the points it is a straight line.
  place(step) {
    const from = this.axes.step;
    const to = this.axes[this.axis];
    if (this.axis === "step" || !from.length) return step;
    let high = from.findIndex((value) => value >= step);
    if (high === 0) return from[0] ? (to[0] * step) / from[0] : to[0];
    if (high < 0) high = from.length - 1;
    if (high === 0) return to[0];
    const share = (step - from[high - 1]) / (from[high] - from[high - 1] || 1);
    return to[high - 1] + share * (to[high] - to[high - 1]);
  }

  point(step) {
    for (const chart of this.charts) chart.point(step);
  }

  redraw() {
    for (const chart of this.charts) chart.draw();
  }
}

const LEFT = 46, RIGHT = 10, TOP = 8, BOTTOM = 22;
let clips = 0;

class Chart {
  // spec: title, about, kind (line, area, points), steps [P], series [{name, colour, mean, low, high}],
  // format, range [low, high] (null: what the values need), log (at first), tall, joined (a legend).
  constructor(parent, shared, spec) {
    this.shared = shared;
    this.spec = spec;
    this.log = Boolean(spec.log) && this.positive();
    this.at = null;
    this.value = make("output", {});
    this.legend = spec.series.length > 1 || spec.joined ? make("ul", { class: "legend" }) : null;
    this.svg = draw("svg", { role: "img", tabindex: "0" });
    this.figure = make(
      "figure", { class: "chart card" },
      make("div", { class: "chart-head" }, make("h4", {}, spec.title), this.logButton(), this.legend ? null : this.value),
      spec.about ? make("p", {}, spec.about) : null,
      this.legend,
      this.svg,
    );
    parent.append(this.figure);
    shared.charts.push(this);
    this.svg.addEventListener("pointermove", (event) => this.hover(event));
    this.svg.addEventListener("pointerdown", (event) => this.hover(event));
    this.svg.addEventListener("pointerleave", () => shared.point(null));
    this.svg.addEventListener("blur", () => shared.point(null));
    this.svg.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.width !== Math.round(this.svg.clientWidth) && this.draw()).observe(this.figure);
  }

  positive() {
    return this.spec.kind !== "area" && this.spec.series.every((s) => s.mean.every((v) => v === null || v > 0)) &&
      this.spec.series.some((s) => s.mean.some((v) => v !== null));
  }

  logButton() {
    if (!this.positive() || this.spec.kind === "points" || this.spec.range) return null;
    const values = this.spec.series.flatMap((series) => series.mean.filter((value) => value !== null));
    if (!this.spec.log && Math.max(...values) < 5 * Math.min(...values)) return null;
    const button = make("button", { type: "button", title: "Logarithmic scale", "aria-pressed": String(this.log) }, "log");
    button.addEventListener("click", () => {
      this.log = !this.log;
      button.setAttribute("aria-pressed", String(this.log));
      this.draw();
    });
    return button;
  }

  draw() {
    const { spec, shared } = this;
    this.width = Math.max(200, Math.round(this.svg.clientWidth) || 320);
    this.height = spec.tall ? Math.min(300, Math.max(190, this.width * 0.36)) : 150;
    this.svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.svg.setAttribute("height", this.height);
    this.svg.replaceChildren();
    this.places = spec.steps.map((step) => shared.place(step));
    this.left = spec.kind === "points" || spec.binned ? 0 : Math.min(...this.places);
    this.right = Math.max(...this.places) * (spec.kind === "points" ? 1.04 : 1);
    if (!(this.right > this.left)) [this.left, this.right] = [this.left - 1, this.left + 1];
    this.scale();
    const clip = `clip-${++clips}`;
    this.svg.append(
      draw("clipPath", { id: clip }, draw("rect", {
        x: LEFT, y: TOP - 4, width: this.width - LEFT - RIGHT, height: this.height - TOP - BOTTOM + 8,
      })),
    );
    this.grid();
    const marks = draw("g", { "clip-path": `url(#${clip})` });
    this.svg.append(marks);
    if (spec.kind === "area") this.areas(marks);
    else spec.series.forEach((series, i) => this.line(marks, series, i));
    this.resumptions();
    this.cross = draw("g", {});
    this.svg.append(this.cross);
    this.show();
  }

  scale() {
    const { spec } = this;
    let low = Infinity, high = -Infinity;
    for (const series of spec.series) {
      const values = spec.kind === "points" ? [...series.mean, ...series.low, ...series.high] : series.mean;
      for (const value of values) {
        if (value === null || !Number.isFinite(value)) continue;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
      if (spec.kind === "line" && series.low) { // the range of most points, not of the wildest
        const most = (bounds, share) => {
          const known = bounds.filter((v) => v !== null && (!this.log || v > 0)).sort((a, b) => a - b);
          return known[Math.floor(share * (known.length - 1))];
        };
        low = Math.min(low, most(series.low, 0.1) ?? low);
        high = Math.max(high, most(series.high, 0.9) ?? high);
      }
    }
    if (spec.kind === "area") [low, high] = [0, 1];
    else if (!(high >= low)) [low, high] = [0, 1];
    else if (spec.range) [low, high] = [spec.range[0] ?? low, spec.range[1] ?? high];
    if (this.log) {
      const room = Math.max((high / low) ** 0.06, 1.05);
      [this.low, this.high] = [low / room, high * room];
    } else {
      const room = spec.range || spec.kind === "area" ? 0 : (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
      this.low = low >= 0 && low - room < 0 ? 0 : low - room;
      this.high = high + room;
    }
  }

  x(place) {
    return LEFT + ((place - this.left) / (this.right - this.left)) * (this.width - LEFT - RIGHT);
  }

  y(value) {
    const share = this.log
      ? Math.log(value / this.low) / Math.log(this.high / this.low)
      : (value - this.low) / (this.high - this.low);
    return this.height - BOTTOM - share * (this.height - TOP - BOTTOM);
  }

  grid() {
    const bottom = this.height - BOTTOM;
    const values = this.log ? logTicks(this.low, this.high) : ticks(this.low, this.high, this.spec.tall ? 5 : 3);
    for (const value of values) {
      const y = this.y(value);
      this.svg.append(
        draw("line", { class: "rule", x1: LEFT, x2: this.width - RIGHT, y1: y, y2: y }),
        draw("text", { x: LEFT - 7, y: y + 4, "text-anchor": "end" },
          format(value, this.spec.format === "percent" ? "percent tick" : "tick")),
      );
    }
    this.svg.append(draw("line", { class: "base", x1: LEFT, x2: this.width - RIGHT, y1: bottom, y2: bottom }));
    const count = Math.max(3, Math.floor((this.width - LEFT) / 72));
    const seconds = this.shared.axis === "seconds";
    const along = (seconds ? timeTicks : ticks)(this.left, this.right, count);
    for (const value of along) {
      const x = this.x(value);
      this.svg.append(
        draw("line", { class: "base", x1: x, x2: x, y1: bottom, y2: bottom + 4 }),
        draw("text", { x: Math.min(x, this.width - 14), y: bottom + 16, "text-anchor": "middle" },
          format(value, seconds ? "seconds" : "tick")),
      );
    }
  }

  // At each point a straight line is fitted to its neighbours, the nearer the more (a Gaussian): unlike
  // their mean it does not bend where the curve begins and ends. Shares take the mean, which stays one.
  smooth(values) {
    const width = (this.shared.smoothing ** 2 * values.length) / 8;
    if (width < 0.3) return values;
    const straight = this.spec.kind !== "area";
    const reach = Math.ceil(3 * width);
    const weights = Array.from({ length: reach + 1 }, (_, i) => Math.exp(-0.5 * (i / width) ** 2));
    return values.map((own, at) => {
      if (own === null) return null;
      let w = 0, wx = 0, wxx = 0, wy = 0, wxy = 0;
      for (let i = Math.max(0, at - reach); i <= Math.min(values.length - 1, at + reach); i++) {
        if (values[i] === null) continue;
        const x = i - at;
        const weight = weights[Math.abs(x)];
        const y = this.log ? Math.log(values[i]) : values[i];
        w += weight;
        wx += weight * x;
        wxx += weight * x * x;
        wy += weight * y;
        wxy += weight * x * y;
      }
      const spread = w * wxx - wx * wx;
      const fitted = straight && spread > 1e-9 * w * w ? (wxx * wy - wx * wxy) / spread : wy / w;
      return this.log ? Math.exp(fitted) : fitted;
    });
  }

  path(values) {
    let path = "", pen = "M";
    values.forEach((value, i) => {
      if (value === null || !Number.isFinite(value)) {
        pen = "M";
        return;
      }
      path += `${pen}${this.x(this.places[i]).toFixed(1)} ${this.y(value).toFixed(1)}`;
      pen = "L";
    });
    return path;
  }

  line(parent, series, number) {
    const style = `--c:${series.colour}`;
    const points = this.spec.kind === "points";
    if (series.low && !points) {
      const floor = this.low;
      parent.append(draw("path", { class: "band", style, d: this.band(
        series.low.map((v) => (v === null ? null : Math.max(v, floor))), series.high.map((v) => (v === null ? null : Math.max(v, floor)))) }));
    }
    if (points) {
      this.places.forEach((place, i) => {
        if (series.mean[i] === null) return;
        // Several series at the same places stand beside one another.
        const x = this.x(place) + (number - (this.spec.series.length - 1) / 2) * 3;
        const clamp = (value, other) => Math.min(this.high, Math.max(this.low, value ?? other));
        parent.append(
          draw("line", { class: "error", style, x1: x, x2: x, y1: this.y(clamp(series.low[i], this.low)), y2: this.y(clamp(series.high[i], this.high)) }),
        );
      });
      parent.append(draw("path", { class: "raw", style, d: this.path(series.mean) }));
      this.places.forEach((place, i) => {
        if (series.mean[i] === null) return;
        const x = this.x(place) + (number - (this.spec.series.length - 1) / 2) * 3;
        parent.append(draw("circle", { class: "dot", style, cx: x, cy: this.y(series.mean[i]), r: this.places.length > 60 ? 2.4 : 4 }));
      });
      return;
    }
    series.shown = this.smooth(series.mean);
    if (series.shown !== series.mean) parent.append(draw("path", { class: "raw", style, d: this.path(series.mean) }));
    parent.append(draw("path", { class: "smooth", style, d: this.path(series.shown) }));
    const known = series.mean.filter((value) => value !== null);
    if (known.length === 1) {
      const i = series.mean.findIndex((value) => value !== null);
      parent.append(draw("circle", { class: "dot", style, cx: this.x(this.places[i]), cy: this.y(known[0]), r: 4 }));
    }
  }

  band(low, high) {
    let path = "", run = [];
    const close = () => {
      if (run.length > 1) {
        const at = (i, value) => `${this.x(this.places[i]).toFixed(1)} ${this.y(value).toFixed(1)}`;
        path += `M${run.map((i) => at(i, high[i])).join("L")}L${run.reverse().map((i) => at(i, low[i])).join("L")}Z`;
      }
      run = [];
    };
    low.forEach((value, i) => (value === null || high[i] === null ? close() : run.push(i)));
    close();
    return path;
  }

  areas(parent) {
    const below = this.places.map(() => 0);
    const known = this.places.map((_, i) => this.spec.series.some((series) => series.mean[i] !== null));
    for (const series of this.spec.series) {
      const shares = series.mean.map((value, i) => (known[i] ? value ?? 0 : null));
      series.shown = this.spec.binned ? shares : this.smooth(shares);
    }
    for (const series of this.spec.series) {
      const low = below.map((value, i) => (known[i] ? value : null));
      series.shown.forEach((value, i) => (below[i] += value ?? 0));
      const high = below.map((value, i) => (known[i] ? value : null));
      const path = this.spec.binned ? this.bars(low, high) : this.band(low, high);
      parent.append(draw("path", { class: "area", style: `--c:${series.colour}`, d: path }));
    }
  }

  // Each point stands for the stretch that ends there.
  bars(low, high) {
    return low.map((value, i) => {
      if (value === null || high[i] <= value) return "";
      const [x0, x1] = [this.x(i ? this.places[i - 1] : this.left), this.x(this.places[i])];
      const [y0, y1] = [this.y(value), this.y(high[i])];
      return `M${x0.toFixed(1)} ${y0.toFixed(1)}H${x1.toFixed(1)}V${y1.toFixed(1)}H${x0.toFixed(1)}Z`;
    }).join("");
  }

  resumptions() {
    for (const step of this.shared.resumed) {
      const place = this.shared.place(step);
      if (place < this.left || place > this.right) continue;
      const x = this.x(place);
      this.svg.append(draw("line", { class: "resumed", x1: x, x2: x, y1: TOP, y2: this.height - BOTTOM },
        draw("title", {}, `resumed after ${step.toLocaleString("en")} plies`)));
    }
  }

  hover(event) {
    const box = this.svg.getBoundingClientRect();
    const place = this.left + (((event.clientX - box.left) * (this.width / box.width) - LEFT) / (this.width - LEFT - RIGHT)) * (this.right - this.left);
    this.shared.point(this.spec.steps[this.nearest(place)]);
  }

  nearest(place) {
    if (this.spec.binned) {
      const after = this.places.findIndex((other) => other >= place);
      return after < 0 ? this.places.length - 1 : after;
    }
    let best = 0;
    this.places.forEach((other, i) => {
      if (Math.abs(other - place) < Math.abs(this.places[best] - place)) best = i;
    });
    return best;
  }

  key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    const at = this.at === null ? (move > 0 ? 0 : this.places.length - 1) : this.at + move;
    this.shared.point(this.spec.steps[Math.min(Math.max(at, 0), this.places.length - 1)]);
  }

  // Shows the values at the point nearest to a step; null: the last ones.
  point(step) {
    let best = null;
    if (step !== null && this.places && this.places.length) {
      const place = this.shared.place(step);
      const nearest = this.nearest(place);
      const far = Math.abs(this.places[nearest] - place) > (this.right - this.left) * 0.04 + 1e-9;
      best = far && !this.spec.binned ? null : nearest;
    }
    if (best === this.at) return;
    this.at = best;
    this.show();
  }

  show() {
    const { spec } = this;
    if (!this.cross) return;
    this.cross.replaceChildren();
    const at = this.at;
    if (at !== null) {
      const x = this.x(this.places[at]);
      const bottom = this.height - BOTTOM;
      const seconds = this.shared.axis === "seconds";
      const text = seconds ? duration(this.places[at]) : Math.round(this.places[at]).toLocaleString("en");
      const half = 4 + text.length * 3.4;
      const middle = Math.min(Math.max(x, LEFT + half - 20), this.width - half);
      this.cross.append(
        draw("line", { class: "cross", x1: x, x2: x, y1: TOP, y2: bottom }),
        draw("rect", { class: "cross-box", x: middle - half, y: bottom + 4, width: 2 * half, height: 17 }),
        draw("text", { class: "cross-text", x: middle, y: bottom + 16, "text-anchor": "middle" }, text),
      );
      if (spec.kind === "line") {
        for (const series of spec.series) {
          const value = series.shown[at];
          if (value !== null) this.cross.append(draw("circle", { class: "dot", style: `--c:${series.colour}`, cx: x, cy: this.y(value), r: 4 }));
        }
      }
    }
    const words = spec.series.map((series) => [series, this.words(series, at)]);
    this.value.textContent = words[0][1];
    if (this.legend) {
      this.legend.replaceChildren(...words.map(([series, text]) =>
        make("li", {}, make("i", { style: `--c:${series.colour}` }), `${series.name} `, make("b", {}, text))));
    }
    if (at === null) {
      this.svg.setAttribute("aria-label", `${spec.title}: ${words.map(([series, text]) => `${series.name} ${text}`).join(", ")}`);
    }
  }

  words(series, at) {
    if (at === null) {
      at = series.mean.length - 1;
      while (at > 0 && series.mean[at] === null) at--;
    }
    const value = series.mean[at];
    const text = format(value, this.spec.format);
    if (this.spec.kind !== "points" || value === null) return text;
    const bound = (v, infinite) => (v === null ? infinite : format(v, this.spec.format));
    return `${text} (${bound(series.low[at], "−∞")} to ${bound(series.high[at], "∞")})`;
  }
}

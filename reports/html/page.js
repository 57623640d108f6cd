"use strict";
(() => {
  const D = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  // Names only ever become text, never markup.
  const el = (tag, attrs, ...kids) => {
    const e = document.createElement(tag);
    for (const k in attrs || {}) e.setAttribute(k, attrs[k]);
    e.append(...kids);
    return e;
  };
  const svg = (tag, attrs, text) => {
    const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const k in attrs) e.setAttribute(k, attrs[k]);
    if (text !== undefined) e.textContent = text;
    return e;
  };
  // A long name may break after its joints.
  const joints = (s) => s.split(/(?<=[+_|.:-])/).flatMap((part, i) => (i ? [el("wbr"), part] : [part]));
  const pct = (x) => +(100 * x).toPrecision(3) + " %";
  // Bounds are rounded outwards: an interval never looks narrower than it is.
  const bound = (x, round) => {
    const p = 100 * x, scale = p > 0 ? 10 ** (2 - Math.floor(Math.log10(p))) : 1;
    return +(round(p * scale - (round === Math.ceil ? 1e-9 : -1e-9)) / scale).toPrecision(12) + " %";
  };
  const secs = (ns) => (ns >= 1e8 ? (ns / 1e9).toFixed(1) + " s" : Math.round(ns / 1e6) + " ms");

  // One table per place, so that a reader meets rows of one kind.
  const at = new Map();
  D.cells.forEach((c, i) => at.set(c.k + "," + c.p + "," + c.w, i));
  const tables = [];
  // So many that the browser should lay out only what is in view.
  $("tables").classList.toggle("many", D.cells.length > 2000);
  let current = null; // the one cell that Tab reaches
  D.places.forEach((place, p) => {
    const watches = D.watches.map((_, w) => w).filter((w) => place.w.includes(w));
    const body = el("tbody");
    const rows = [];
    D.kernels.forEach((kernel, k) => {
      const row = el("tr", {}, el("th", { scope: "row" }, ...joints(kernel.name), el("small", {}, ...joints(kernel.release))));
      let any = false;
      for (const w of watches) {
        const i = at.get(k + "," + p + "," + w);
        const cell = el("td");
        row.append(cell);
        if (i === undefined) continue;
        any = true;
        const c = D.cells[i];
        const button = el("button", { type: "button", class: c.v + (c.g === "unmet" ? " unmet" : ""), tabindex: "-1", "data-i": i }, (c.g === "unmet" ? "✗ " : "") + c.t);
        if (c.of && c.v === "affected") button.style.setProperty("--rate", c.n / c.of);
        button.title = D.watches[w].name;
        c.button = button;
        cell.append(button);
      }
      if (any) { body.append(row); rows.push({ row, k }); }
    });
    const head = el("tr", {}, el("th", { scope: "col" }, "kernel"));
    const columns = watches.map((w) => {
      const th = el("th", { scope: "col" }, ...joints(D.watches[w].name));
      if (place.c.includes(w)) th.append(el("small", {}, "(control)"));
      head.append(th);
      return w;
    });
    const title = place.fs + "/" + place.scenario;
    const id = "place-" + p;
    const table = el("table", { class: "map", "aria-labelledby": id }, el("thead", {}, head), body);
    const box = el("div", { class: "place" }, el("h3", { id }, title), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-labelledby": id }, table));
    $("tables").append(box);
    tables.push({ box, place, rows, columns, table, head });
  });

  const options = (id, values) => values.forEach((v) => $(id).append(el("option", { value: v }, v)));
  const uniq = (list) => [...new Set(list)];
  options("f-fs", uniq(D.places.map((p) => p.fs)));
  options("f-scenario", uniq(D.places.map((p) => p.scenario)));
  options("f-verdict", uniq(D.cells.map((c) => c.v)).concat(D.cells.some((c) => c.g === "unmet") ? ["not as expected"] : []));

  const visible = (c) => c.button && !c.button.closest("[hidden]") && !c.button.classList.contains("faded");
  function filter() {
    const fs = $("f-fs").value, scenario = $("f-scenario").value, verdict = $("f-verdict").value;
    const text = $("f-text").value.toLowerCase();
    for (const t of tables) {
      t.box.hidden = (fs && t.place.fs !== fs) || (scenario && t.place.scenario !== scenario);
      for (const r of t.rows) {
        let any = false;
        const kernel = D.kernels[r.k];
        const named = !text || (kernel.name + " " + kernel.release).toLowerCase().includes(text);
        for (const b of r.row.querySelectorAll("button")) {
          const c = D.cells[b.dataset.i];
          const ok = (!verdict || c.v === verdict || (verdict === "not as expected" && c.g === "unmet")) &&
            (named || D.watches[c.w].name.toLowerCase().includes(text));
          b.classList.toggle("faded", !ok);
          any = any || ok;
        }
        r.row.hidden = !any;
      }
    }
    const n = D.cells.filter(visible).length;
    $("shown").textContent = n + " of " + D.cells.length + " cells";
    if (!current || !visible(D.cells[current.dataset.i])) reach((D.cells.find(visible) || {}).button);
  }
  function reach(button) {
    if (current) current.tabIndex = -1;
    current = button || null;
    if (current) current.tabIndex = 0;
  }
  $("filters").addEventListener("input", filter);
  $("filters").addEventListener("submit", (e) => e.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(filter));

  $("tables").addEventListener("keydown", (e) => {
    const b = e.target.closest("button[data-i]");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] }[e.key];
    if (!b || !step) return;
    e.preventDefault();
    const rows = [...$("tables").querySelectorAll("tbody tr")].filter((r) => !r.closest("[hidden]"));
    const row = b.closest("tr"), cells = [...row.cells];
    const col = cells.indexOf(b.parentElement);
    let next = null;
    if (step[0]) {
      for (let i = rows.indexOf(row) + step[0]; i >= 0 && i < rows.length && !next; i += step[0]) next = rows[i].cells[Math.min(col, rows[i].cells.length - 1)].querySelector("button");
    } else {
      const line = [...row.querySelectorAll("button")];
      next = line[Math.max(0, Math.min(line.length - 1, line.indexOf(b) + step[1]))];
    }
    if (next) { reach(next); next.focus(); }
  });
  $("tables").addEventListener("click", (e) => {
    const b = e.target.closest("button[data-i]");
    if (b) { reach(b); open(+b.dataset.i); }
  });

  const list = (pairs) => {
    const dl = el("dl");
    for (const [term, value] of pairs) if (value !== "" && value !== undefined && value !== null) dl.append(el("dt", {}, term), el("dd", {}, String(value)));
    return dl;
  };
  function open(i) {
    const c = D.cells[i], k = D.kernels[c.k], p = D.places[c.p], w = D.watches[c.w];
    $("e-title").textContent = k.name + " / " + p.fs + " / " + p.scenario + " / " + w.name;
    const body = $("e-body");
    body.replaceChildren(
      el("h3", {}, c.t),
      list([["verdict", c.v], ["reason", c.r], ["notes", (c.f || []).join("; ")], ["expectation", c.g + (c.gt ? ": " + c.gt : "")], ["why expected", c.why]]),
    );
    if (c.of) body.append(el("h3", {}, "Interval"), list([["counted", c.n + " of " + c.of], ["rate", pct(c.n / c.of)], ["bounds at " + D.confidence, bound(c.lo, Math.floor) + " … " + bound(c.hi, Math.ceil)]]));
    if (c.c) {
      const trials = c.c[D.counts.indexOf("trials")], share = (name) => (trials ? pct(c.c[D.counts.indexOf(name)] / trials) : "");
      body.append(el("h3", {}, "Counts"), list(D.counts.map((name, n) => [name, c.c[n]])), el("h3", {}, "What they are worth"),
        list([["contested", share("contested")], ["decisive", share("decisive")], ["blocks", c.b], ["design effect", c.de],
          ["stale of decisive on the known-bad kernel", c.sn], ["natural rate", c.na]]),
        el("h3", {}, "Timings"), list([["set-up", secs(c.s)], ["trials", secs(c.e)], ["trials per second", c.e ? Math.round(trials / (c.e / 1e9)) : ""],
          ["decided in", secs((c.s || 0) + (c.e || 0))], ["first stale open after", c.fs ? secs(c.fs) : ""], ["groups watching, at most", c.gr], ["stopped because", c.st]]));
    }
    if (c.o) body.append(el("h3", {}, "Order witness"), list([["order", c.o], ["events as read", (c.ev || []).join(" ")], ["reason", c.or]]));
    body.append(el("h3", {}, "Provenance"), list(k.about));
    body.append(el("h3", {}, "Run just this cell again"), el("pre", { tabindex: "0" }, c.cmd || ""));
    const log = k.logs[c.l];
    if (log) body.append(el("h3", {}, "Console"), el("p", {}, log.url ? el("a", { href: log.url }, log.path) : log.path));
    if (log && log.tail) body.append(el("pre", { tabindex: "0", "aria-label": "the end of the console" }, log.tail));
    $("evidence").showModal();
    body.scrollTop = 0;
  }
  $("evidence").addEventListener("close", () => current && current.focus());

  // Charts. Each has its numbers in the table above; the label says what it shows.
  const figure = (title, note, node) => $("charts").append(el("figure", {}, el("figcaption", {}, title), el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, node), el("p", { class: "hint" }, note)));
  // n kernels across and a legend of so many entries; the last name needs room.
  function frame(n, label, legend = 3) {
    const width = Math.max(640, 60 + n * 34, 70 + legend * 170), height = 300, bottom = 200;
    const s = svg("svg", { width: width + 100, height, role: "img", "aria-label": label });
    return { s, width, bottom, x: (i) => 60 + (i + .5) * ((width - 70) / n) };
  }
  function names(f) {
    D.kernels.forEach((k, i) => f.s.append(svg("text", { x: f.x(i), y: f.bottom + 14, transform: "rotate(35 " + f.x(i) + " " + (f.bottom + 14) + ")" }, k.name.length > 20 ? k.name.slice(0, 19) + "…" : k.name)));
  }
  // A value with its interval: filled, open where natural, and a triangle that
  // points down where nothing was seen and hi is an upper limit.
  function mark(f, n, x, y, p, open) {
    const look = { class: "s" + n + (open ? " open" : "") };
    if (p.n === 0 && y.log) {
      const top = y(p.hi);
      f.s.append(svg("polygon", { ...look, points: [x - 4, top, x + 4, top, x, top + 8].join(" ") }));
      return;
    }
    f.s.append(svg("line", { class: "s" + n, x1: x, x2: x, y1: y(p.lo), y2: y(p.hi), "stroke-width": 2 }), svg("circle", { ...look, cx: x, cy: y(p.n / p.of), r: 4 }));
  }
  function ruler(f, y, values, text) {
    for (const v of values) f.s.append(svg("line", { class: "axis", x1: 50, x2: f.width, y1: y(v), y2: y(v) }), svg("text", { x: 4, y: y(v) + 4 }, text(v)));
  }
  // logScale spans whole decades; what lies below them is drawn at their end.
  function logScale(f, lowest, highest) {
    const from = Math.floor(Math.log10(lowest) + 1e-9), to = Math.max(Math.ceil(Math.log10(highest) - 1e-9), from + 1);
    const y = (v) => f.bottom - Math.max(0, (Math.log10(v) - from) / (to - from)) * (f.bottom - 20);
    y.log = true;
    y.decades = [];
    for (let e = from; e <= to; e++) y.decades.push(+("1e" + e));
    return y;
  }
  const shift = (n, of) => (n - (of - 1) / 2) * 6;
  (() => {
    const shown = D.watches.map((_, w) => w).filter((w) => D.watches[w].plain && D.rates[w]).slice(0, 6);
    const f = frame(D.kernels.length, "Rate of unnoticed stale opens by kernel, oldest first, with intervals", shown.length);
    const y = (r) => f.bottom - r * (f.bottom - 20);
    ruler(f, y, [0, .5, 1], pct);
    shown.forEach((w, n) => {
      for (const p of D.rates[w]) mark(f, n, f.x(p.k) + shift(n, shown.length), y, p);
      f.s.append(svg("circle", { class: "s" + n, cx: 70 + n * 170, cy: 288, r: 4 }), svg("text", { x: 80 + n * 170, y: 292 }, D.watches[w].name));
    });
    names(f);
    figure("Stale rate by kernel, plain watches", "The worst place of each kernel; kernels by version; bars are " + D.confidence + " intervals of the trials that count.", f.s);
  })();
  (() => {
    const title = "Natural beside amplified";
    const shown = Object.keys(D.natural).slice(0, 6).map(Number);
    if (!shown.length) {
      $("charts").append(el("p", { class: "hint" }, title + ": no scenario of this run is natural; indelchurn and inotify11 are."));
      return;
    }
    const f = frame(D.kernels.length, "Stale opens per trial by kernel, natural and amplified, logarithmic", shown.length);
    const both = shown.flatMap((w) => (D.rates[w] || []).concat(D.natural[w]));
    const y = logScale(f, Math.max(1e-9, Math.min(...both.map((p) => (p.n ? Math.max(p.lo, p.n / p.of / 10) : p.hi)))), 1);
    ruler(f, y, y.decades, pct);
    shown.forEach((w, n) => {
      const x = (p) => f.x(p.k) + shift(n, shown.length);
      for (const p of D.rates[w] || []) mark(f, n, x(p) - 3, y, p);
      for (const p of D.natural[w]) mark(f, n, x(p) + 3, y, p, true);
      f.s.append(svg("circle", { class: "s" + n, cx: 70 + n * 170, cy: 288, r: 4 }), svg("text", { x: 80 + n * 170, y: 292 }, D.watches[w].name));
    });
    names(f);
    figure(title, "Filled: amplified, of the trials that count. Open: natural, of all trials, what an unmodified application meets. A triangle that points down: none stale, and its base is the upper limit at " + D.confidence + ".", f.s);
  })();
  (() => {
    const points = D.pressure;
    if (!points.length) return;
    const s = svg("svg", { width: 640, height: 260, role: "img", "aria-label": "Stale opens per trial against the number of extra groups" });
    const top = Math.max(...points.map((p) => p[0]), 1);
    const x = (g) => 60 + Math.log2(1 + g) / Math.log2(1 + top) * 540, y = (r) => 210 - r * 190;
    for (const r of [0, .5, 1]) s.append(svg("line", { class: "axis", x1: 50, x2: 620, y1: y(r), y2: y(r) }), svg("text", { x: 4, y: y(r) + 4 }, pct(r)));
    uniq(points.map((p) => p[0])).forEach((g) => s.append(svg("text", { x: x(g) - 6, y: 228 }, g)));
    points.forEach((p) => s.append(svg("circle", { class: "s0", cx: x(p[0]), cy: y(p[1] / p[2]), r: 4, "fill-opacity": .5 })));
    s.append(svg("text", { x: 250, y: 250 }, "extra groups (0 is natural)"));
    figure("What extra groups do", "Stale opens per trial in every block of an affected plain watch; 0 extra groups is what an unmodified application meets" + (points.some((p) => p[0] === 0) ? "." : ": this run has no such block."), s);
  })();
  (() => {
    const all = D.times.flatMap((t) => t.points);
    if (!all.length) return;
    const f = frame(D.kernels.length, "Time to a decision by kernel: median of the cells, shortest to longest, logarithmic");
    const y = logScale(f, Math.min(...all.map((p) => p.min)), Math.max(...all.map((p) => p.max)));
    ruler(f, y, y.decades, secs);
    D.times.forEach((t, n) => {
      for (const p of t.points) {
        const x = f.x(p.k) + shift(n, D.times.length);
        f.s.append(svg("line", { class: "s" + n, x1: x, x2: x, y1: y(p.min), y2: y(p.max), "stroke-width": 2 }), svg("circle", { class: "s" + n, cx: x, cy: y(p.med), r: 4 }));
      }
      f.s.append(svg("circle", { class: "s" + n, cx: 70 + n * 170, cy: 288, r: 4 }), svg("text", { x: 80 + n * 170, y: 292 }, t.name));
    });
    names(f);
    figure("Time to decision", "Set-up and trials of a cell: median over the kernel's cells of that kind, and from the shortest to the longest. Trials stop as soon as the evidence is in.", f.s);
  })();
  (() => {
    const f = frame(D.kernels.length, "Guest time per kernel: boot, set-up and trials");
    const all = D.kernels.map((k, i) => [k.boot, 0, 0, i]);
    D.cells.forEach((c) => { all[c.k][1] += c.s || 0; all[c.k][2] += c.e || 0; });
    const top = Math.max(...all.map((a) => a[0] + a[1] + a[2]), 1), y = (t) => t / top * (f.bottom - 20);
    for (const r of [0, .5, 1]) f.s.append(svg("line", { class: "axis", x1: 50, x2: f.width, y1: f.bottom - y(r * top), y2: f.bottom - y(r * top) }), svg("text", { x: 4, y: f.bottom - y(r * top) + 4 }, secs(r * top)));
    all.forEach((a, i) => {
      let base = f.bottom;
      [0, 1, 2].forEach((n) => { base -= y(a[n]); f.s.append(svg("rect", { class: "s" + n, x: f.x(i) - 8, width: 16, y: base, height: y(a[n]) })); });
    });
    ["boot", "set-up", "trials"].forEach((t, n) => f.s.append(svg("rect", { class: "s" + n, x: 66 + n * 120, y: 283, width: 10, height: 10 }), svg("text", { x: 82 + n * 120, y: 292 }, t)));
    names(f);
    figure("Guest time by kernel", "From the kernel's start to its last answer.", f.s);
  })();
  filter();
  document.documentElement.dataset.ready = "yes";
})();

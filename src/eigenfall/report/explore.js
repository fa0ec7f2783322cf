"use strict";
(() => {
  const {axes, arms, points, x, y} = JSON.parse(document.getElementById("explore-data").textContent);
  const place = document.getElementById("explore-plot"), status = document.getElementById("explore-status");
  const across = document.getElementById("explore-x"), upright = document.getElementById("explore-y");
  const search = document.getElementById("explore-search"), boxes = [...document.querySelectorAll("[data-arm]")];
  const marks = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
  const paper = matchMedia("print"), dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const safe = text => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  const wrapped = (text, width) => text.split(" ").reduce((lines, word) => {
    const last = lines[lines.length - 1];
    return last && last.length + word.length < width ? [...lines.slice(0, -1), `${last} ${word}`] : [...lines, word];
  }, []).map(safe).join("<br>");
  const told = ([value, low, high]) => {
    const digits = number => Number(number.toPrecision(3)).toString();
    return digits(value) + (low === null || high === null ? "" : ` [${digits(low)}, ${digits(high)}]`);
  };
  document.getElementById("explore").hidden = false;

  for (const axis of axes) for (const list of [across, upright]) list.add(new Option(axis.label, axis.key));
  across.value = x;
  upright.value = y;

  const has = (point, key) => point.numbers[key] !== undefined && point.numbers[key][0] !== null;
  const mean = (some, key) => some.reduce((sum, point) => sum + point.numbers[key][0], 0) / some.length;

  function traces(shown) {
    const [a, b] = [across.value, upright.value];
    const made = [];
    for (const [number, arm] of arms.entries()) {
      const own = shown.filter(point => point.arm === number);
      if (!own.length) continue;
      const turn = Math.floor(arm.order / 6), hue = colour(`--series-${arm.order % 6}`);
      const symbol = marks[(arm.order + turn) % 6], group = {legendgroup: String(number), name: safe(arm.name)};
      made.push({
        ...group, type: "scatter", mode: "markers", showlegend: false, customdata: own,
        x: own.map(point => point.numbers[a][0]), y: own.map(point => point.numbers[b][0]),
        marker: {color: hue, symbol, size: 8, opacity: 0.75},
        hovertext: own.map(point => [
          `<b>${safe(arm.name)}</b>` + (point.seed === "" ? "" : `, seed ${safe(point.seed)}`),
          `${safe(label(a))}: ${told(point.numbers[a])}`, `${safe(label(b))}: ${told(point.numbers[b])}`,
          ...(point.failed ? [`checks ${safe(point.failed)} FAIL`] : []),
        ].join("<br>")), hoverinfo: "text",
      });
      if (own.length > 1) made.push({
        ...group, type: "scatter", mode: "markers", showlegend: true, x: [mean(own, a)], y: [mean(own, b)],
        marker: {color: hue, symbol, size: 15, line: {color: colour("--paper"), width: 1.5}},
        hovertext: [`<b>${safe(arm.name)}</b>, mean of ${own.length} seeds`], hoverinfo: "text",
      });
      else made[made.length - 1].showlegend = true;
    }
    made.push({type: "scatter", mode: "markers", x: [], y: [], showlegend: false, hoverinfo: "skip",
      marker: {color: colour("--ink"), size: 1}});
    return made;
  }

  const label = key => axes.find(axis => axis.key === key).label;
  const positive = (shown, key) => shown.every(point => point.numbers[key][0] > 0);

  function draw() {
    pointed = null;  // its bars are not drawn again
    const [a, b] = [across.value, upright.value];
    const chosen = new Set(boxes.filter(box => box.checked).map(box => Number(box.dataset.arm)));
    const shown = points.filter(point => chosen.has(point.arm) && has(point, a) && has(point, b));
    const narrow = place.clientWidth < 620;
    const named = key => ({
      title: {text: wrapped(label(key), narrow ? 30 : 60), standoff: 8}, color: colour("--ink"), gridcolor: colour("--line"), zeroline: false,
      type: axes.find(axis => axis.key === key).log && positive(shown, key) ? "log" : "linear", automargin: true,
    });
    const layout = {
      xaxis: named(a), yaxis: named(b), hovermode: "closest", paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: {family: "system-ui, sans-serif", size: 13, color: colour("--ink")}, margin: {l: 62, r: 12, t: 12, b: 56},
      hoverlabel: {bgcolor: colour("--plate"), bordercolor: colour("--line"), font: {color: colour("--ink")}, align: "left"},
      showlegend: !narrow && arms.length <= 14, legend: {x: 1.02, y: 1}, height: narrow ? 380 : 500,
    };
    Plotly.react(place, traces(shown), layout, {displaylogo: false, responsive: true, displayModeBar: false});
    const missing = points.filter(point => chosen.has(point.arm)).length - shown.length;
    status.textContent = `${shown.length} of ${points.length} runs, ${chosen.size} of ${arms.length} arms.` +
      (missing ? ` ${missing} of the chosen runs lack one of the two numbers.` : "");
    place.setAttribute("aria-label", `${label(b)} against ${label(a)}. ${status.textContent} The same numbers stand in the table below.`);
  }

  let pointed = null;  // Plotly forgets it while it draws the bars, so that its own click may find none

  // The ranges are held: bars that moved a run from under the pointer would be taken away and drawn again without end.
  function bars(event) {
    const last = place.data.length - 1, point = event && event.points[0].customdata || null;
    if (point === pointed) return;
    pointed = point;
    const drawn = change => Plotly.update(place, change, {"xaxis.autorange": false, "yaxis.autorange": false}, [last]);
    if (!point) { drawn({x: [[]], y: [[]]}); return; }
    const ends = ([value, low, high]) => low === null || high === null ? {visible: false} :
      {type: "data", symmetric: false, array: [high - value], arrayminus: [value - low], color: colour("--ink"), thickness: 1.2};
    const [a, b] = [point.numbers[across.value], point.numbers[upright.value]];
    drawn({x: [[a[0]]], y: [[b[0]]], error_x: [ends(a)], error_y: [ends(b)]});
  }

  function goto() {
    const row = pointed && document.getElementById(pointed.anchor);
    if (!row) return;
    location.hash = pointed.anchor;
    row.focus({preventScroll: true});
  }

  function all(checked) {
    for (const box of boxes) if (!box.closest("label").hidden) box.checked = checked;
    draw();
  }

  draw();
  place.on("plotly_hover", bars);
  place.on("plotly_unhover", () => bars(null));
  place.addEventListener("click", goto);
  for (const control of [across, upright, ...boxes]) control.addEventListener("change", draw);
  document.getElementById("explore-all").addEventListener("click", () => all(true));
  document.getElementById("explore-none").addEventListener("click", () => all(false));
  search.addEventListener("input", () => {
    const wanted = search.value.toLowerCase();
    for (const box of boxes) box.closest("label").hidden = !arms[box.dataset.arm].name.toLowerCase().includes(wanted);
  });
  document.getElementById("explore-save").addEventListener("click", () =>
    Plotly.downloadImage(place, {format: "svg", filename: "runs", width: 900, height: 560}));
  for (const media of [dark, paper]) media.addEventListener("change", draw);

  for (const figure of document.querySelectorAll("figure:has(svg)")) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Save as SVG";
    button.className = "save";
    button.addEventListener("click", () => save(figure));
    figure.append(button);
  }

  function save(figure) {
    const svg = figure.querySelector("svg").cloneNode(true);
    svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const text = new XMLSerializer().serializeToString(svg).replace(/var\(--[\w-]+,\s*(#[0-9a-f]+)\)/gi, "$1");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "image/svg+xml"}));
    link.download = (figure.querySelector("h3")?.textContent || "figure").trim().replace(/[^\w.-]+/g, "-") + ".svg";
    link.click();
    URL.revokeObjectURL(link.href);
  }
})();

"use strict";

const EVERY = 2000, HIDDEN_EVERY = 15000;
const SVG = "http://www.w3.org/2000/svg";
const part = (id) => document.getElementById(id);

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Only what differs is written, so that a screen reader hears changes alone.
function say(id, text) {
  const own = part(id);
  if (own.textContent !== text) own.textContent = text;
  own.hidden = text === "";
}

function path(values) {
  const known = values.filter((value) => value !== null);
  const low = Math.min(...known), high = Math.max(...known), range = high - low || 1;
  let drawn = "", pen = "M";
  values.forEach((value, place) => {
    if (value === null) { pen = "M"; return; }
    const x = values.length > 1 ? (100 * place) / (values.length - 1) : 0;
    drawn += `${pen}${x.toFixed(2)} ${(30 - (28 * (value - low)) / range - 1).toFixed(2)}`;
    pen = "L";
  });
  return values.length > 1 ? drawn : `${drawn}h1`;
}

function curve(values, label, now, kind) {
  const box = element("div", undefined, `curve ${kind}`);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path(values));
  svg.append(line);
  box.append(element("p", label), svg, element("b", now));
  return box;
}

function card(run, metric) {
  const item = element("li");
  const facts = element("p", undefined, "facts-line");
  facts.append(element("span", run.epochs), element("span", run.speed));
  item.append(element("p", run.name, "name"), facts);
  if (run.share !== null) {
    const bar = element("progress");
    bar.max = 1;
    bar.value = run.share;
    bar.setAttribute("aria-label", `${run.name}: ${run.epochs}`);
    item.append(bar);
  }
  if (run.metric.some((value) => value !== null)) item.append(curve(run.metric, metric, run.metric_now, "metric"));
  if (run.loss.some((value) => value !== null)) item.append(curve(run.loss, "training loss", run.loss_now, "loss"));
  return item;
}

function row(variant) {
  const made = element("tr");
  const head = element("th", variant.name);
  head.scope = "row";
  made.append(head, element("td", variant.finished), element("td", variant.running), element("td", variant.other));
  return made;
}

function fact(name, value) {
  const box = element("div");
  box.append(element("dt", name), element("dd", value));
  return box;
}

function show(state) {
  say("problem", state.error || "");
  if (state.error) return;
  document.title = `${state.ended}/${state.total} ${state.study}`;
  say("study", state.study);
  say("title", state.title === state.study ? "" : state.title);
  say("note", state.note);
  say("summary", state.summary);
  const bar = part("bar");
  bar.max = state.total;
  bar.value = state.ended;
  const facts = [["time left", state.left], ["throughput", state.speed], ["sequential study", state.look]];
  part("facts").replaceChildren(...facts.filter(([, value]) => value).map(([name, value]) => fact(name, value)));
  part("facts").hidden = !facts.some(([, value]) => value);
  part("done").hidden = !state.complete;
  part("faults-part").hidden = state.faults.length === 0;
  part("faults").replaceChildren(...state.faults.map((fault) => {
    const item = element("li");
    item.append(element("b", fault.name), fault.what);
    return item;
  }));
  const idle = state.complete ? "All runs are finished." : "No run is being trained at the moment.";
  say("idle", state.running.length ? "" : idle);
  part("running").replaceChildren(...state.running.map((run) => card(run, state.metric)));
  part("running").hidden = state.running.length === 0;
  say("hidden", state.hidden ? `and ${state.hidden} more` : "");
  part("variants").replaceChildren(...state.variants.map(row));
}

async function look() {
  try {
    const answer = await fetch("/state.json", { cache: "no-store" });
    show(await answer.json());
  } catch {
    say("problem", "ablate watch has ended: what is shown is no longer renewed. Start it again and reload the page.");
  }
  setTimeout(look, document.hidden ? HIDDEN_EVERY : EVERY);
}

look();

(() => {
"use strict";
const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
const make = (tag, attributes, text = "") => Object.assign(document.createElement(tag), attributes, {textContent: text});
// What the script says, in the language of the page.
const said = {filter: "Filter variants", copy: "Copy {form}", copied: "Copied", log: "Log scale", ...document.body.dataset};

// The text of a cell: without plots, small print and marks.
const plain = (cell) => {
  const copy = cell.cloneNode(true);
  all("svg, .change, .note, .marks, .aside, details", copy).forEach((part) => part.remove());
  return copy.textContent.replace(/\s+/g, " ").trim();
};
const number = (text) => {
  const found = text.replace(/\u2212/g, "-").match(/^[<+]?\s*(-?\d[\d,]*\.?\d*(?:e[+-]?\d+)?|-?\.\d+)/i);
  return parseFloat(found ? found[1].replace(/,/g, "") : "");
};

// Copy a table as CSV, Markdown or LaTeX.
const special = {"\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "\u2212": "$-$",
  "\u00b1": "$\\pm$", "\u2192": "$\\to$", "<": "$<$", ">": "$>$", "\u2013": "--"};
const latex = (text) => text.replace(/[\\~^\u2212\u00b1\u2192<>\u2013]|[&%$#_{}]/g, (c) => special[c] || "\\" + c);
const forms = {
  CSV: (rows) => rows.map((row) => row.map((cell) => {
    const safe = /^[=@\t]|^[+-](?![\d.])/.test(cell) ? "'" + cell : cell;
    return /[",\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
  }).join(",")).join("\n"),
  Markdown: ([head, ...rows]) => [head, head.map(() => "---"), ...rows].map(
    (row) => `| ${row.map((cell) => cell.replace(/[\\|*_`<\[\]]/g, "\\$&")).join(" | ")} |`).join("\n"),
  LaTeX: ([head, ...rows]) => [`\\begin{tabular}{l${"r".repeat(head.length - 1)}}`, "\\toprule",
    head.map(latex).join(" & ") + " \\\\", "\\midrule",
    ...rows.map((row) => "{}" + row.map(latex).join(" & ") + " \\\\"), "\\bottomrule", "\\end{tabular}"].join("\n"),
};
const content = (table) => all("tr", table).filter((row) => !row.hidden).map(
  (row) => [...row.cells].filter((cell) => !cell.classList.contains("plots")).map(plain));
const copy = async (text, button) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(make("textarea", {value: text}));
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const label = button.textContent;
  button.textContent = said.copied;
  setTimeout(() => { button.textContent = label; }, 1200);
};

// Sort by a column; the baseline stays on top. A third click brings back the order of the page.
const sortable = (table) => {
  const body = table.tBodies[0];
  const given = [...body.rows];
  all("thead th:not(.plots)", table).forEach((head) => {
    const button = make("button", {type: "button", className: "sort"});
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const order = {none: "descending", descending: "ascending", ascending: "none"}[head.ariaSort || "none"];
      all("th", table).forEach((other) => { other.ariaSort = null; });
      head.ariaSort = order;
      const key = (row) => plain(row.cells[head.cellIndex]);
      const sign = order === "ascending" ? 1 : -1;
      const compare = (a, b) => {
        const [x, y] = [number(key(a)), number(key(b))];
        if (isNaN(x) || isNaN(y)) return isNaN(x) && isNaN(y) ? sign * key(a).localeCompare(key(b)) : isNaN(x) - isNaN(y);
        return sign * (x - y);
      };
      const rest = given.filter((row) => !row.classList.contains("baseline"));
      if (order !== "none") rest.sort(compare);
      body.append(...given.filter((row) => row.classList.contains("baseline")), ...rest);
    };
  });
};

// Highlight a variant in every table and figure.
const mark = (name) => {
  const on = name && !all(".marked .name").some((own) => own.textContent === name);
  all(".marked").forEach((own) => own.classList.remove("marked"));
  if (on) all(".name").filter((own) => own.textContent === name).forEach(
    (own) => (own.closest("tr, .panel, .result dd > span") || own).classList.add("marked"));
};

all("table.variants").forEach((table) => {
  const tools = make("div", {className: "tools"});
  const filter = make("input", {type: "search", placeholder: said.filter});
  filter.setAttribute("aria-label", said.filter);
  filter.oninput = () => all("tbody tr:not(.baseline)", table).forEach((row) => {
    row.hidden = !row.textContent.toLowerCase().includes(filter.value.toLowerCase());
  });
  tools.append(filter);
  Object.keys(forms).forEach((form) => {
    const button = make("button", {type: "button"}, said.copy.replace("{form}", form));
    button.onclick = () => copy(forms[form](content(table)), button);
    tools.append(button);
  });
  table.closest(".table").before(tools);
});
all("table.variants, table.cost, table.small, table.course").forEach(sortable);
all("main .name, .result .name").forEach((own) => {
  if (!own.closest("tbody th, .panel-title, .result")) return;
  own.classList.add("pick");
  own.onclick = () => mark(own.textContent);
});

// The logarithmic axis, drawn beside the other one.
all("figure").filter((figure) => figure.querySelector(".log")).forEach((figure) => {
  const button = make("button", {className: "scale"}, said.log);
  const press = (on) => button.setAttribute("aria-pressed", on);
  press(false);
  button.onclick = () => press(figure.classList.toggle("logs"));
  figure.querySelector(".grid").before(button);
});

// The values under the pointer.
all("[data-readings]").forEach((panel) => {
  const [x0, dx, xs, ...rows] = JSON.parse(panel.dataset.readings);
  const cross = panel.appendChild(make("div", {className: "cross"}));
  panel.onpointerleave = () => cross.replaceChildren();
  panel.onpointermove = ({target, clientX}) => {
    const svg = target.closest("svg");
    if (!svg) return;
    const box = svg.getBoundingClientRect(), scale = svg.viewBox.baseVal.width / box.width;
    const far = (x) => Math.abs(x - x0 - (clientX - box.left) * scale * dx);
    const best = xs.reduce((best, x, place) => far(x) < far(xs[best]) ? place : best, 0);
    const at = (xs[best] - x0) / dx / scale;
    const shown = all(".legend .line", panel.closest("figure")).flatMap(
      (key, row) => rows[row]?.[best] == null ? [] : [`${key.parentNode.textContent} ${rows[row][best]}`]);
    cross.style.left = `${at}px`;
    cross.replaceChildren(make("span", {className: at > box.width / 2 ? "end" : ""}, [xs[best], ...shown].join("\n")));
  };
});
addEventListener("beforeprint", () => all("details").forEach((own) => { own.open = true; }));
})();

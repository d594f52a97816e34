/* The page: what is shown, how it is chosen, and the address that keeps it. */

const at = (id) => document.getElementById(id);
const parsed = (node) => JSON.parse(node.textContent);
const PALETTES = parsed(at("colors"));
const TEXTS = Array.from(document.querySelectorAll("script.text"), (node) => parsed(node));
const MOST_KEYS = 100; // in the table of one row
const FRAMED = location.protocol === "about:"; // in a notebook, where there is no address to keep a place in
const MEANINGS = {
  focus: "Focus: 1 − entropy / ln(visible keys), from 0 (even) to 1 (one key).",
  entropy: "Entropy of a row, in nats, on average.",
  distance: "Mean distance from query to key.",
  first: "Weight on the first token.",
  itself: "Weight on the query's own position.",
  previous: "Weight on the position before.",
  link: "The strongest weight from one word to another.",
  role: "The role that a head has in this text, if it has one, coloured by its score.",
};

const state = { text: 0, head: 0, query: null, view: "map", unit: "word", figure: "focus", order: "layer", theme: "auto" };
const ready = new Map();
let [page, maps, drawn, printing] = [null, null, null, false];

const unit = () => page.units[state.unit];
const views = () => (page.grid ? ["picture", "map", "heads"] : ["map", "lines", "heads"]);
const firstView = () => (page.grid && !page.mapped ? "picture" : "map");
const aUnit = () => (page.grid ? "patch" : "word");
const nameOf = (head) => (page.joint ? `layer ${page.heads[head][0]}` : page.heads[head].join("."));
const headline = () => (page.joint ? `Layer ${page.heads[state.head][0]}` : `Head ${nameOf(state.head)}`);
const headsOf = (layer) => page.heads.flatMap(([own], head) => (own === layer ? [head] : []));
const layers = () => [...new Set(page.heads.map(([layer]) => layer))];

function theme() {
  if (printing) return "light";
  if (state.theme !== "auto") return state.theme;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function colors() {
  const dark = theme() === "dark";
  const shared = dark
    ? { ground: "#0e0f13", ink: "#d8d9de", dim: "#8b8d99", line: "#33353f", accent: PALETTES.dark.cells[10] }
    : { ground: "#ffffff", ink: "#202126", dim: "#6e675c", line: "#d8d4cd", accent: PALETTES.light.cells[10] };
  return { ...shared, ...PALETTES[theme()] };
}

/* A new element with a text, as a text, whatever is in it. */
function made(name, text = "", attributes = {}) {
  const node = document.createElement(name);
  node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

/* ---- the address: #3.1/it, and behind it the view and the unit where they are others than at first ---- */

function address() {
  const name = state.query === null ? "" : unit().queries.names[state.query];
  const rest = [
    ...(state.view === firstView() ? [] : [state.view]),
    ...(state.unit === page.unit ? [] : [state.unit]),
  ];
  const parts = [page.heads[state.head].join("."), ...(name || rest.length ? [encodeURIComponent(name)] : []), ...rest];
  return `#${TEXTS.length > 1 ? `${state.text + 1}:` : ""}${parts.join("/")}`;
}

function keepPlace() {
  if (!FRAMED) history.replaceState(null, "", address());
}

/* Go to the place that the address names; what it does not name is as at first. */
async function goToAddress() {
  const [, number, place] = /^#?(?:(\d+):)?(.*)$/s.exec(FRAMED ? "" : location.hash);
  const [head, name, ...rest] = place.split("/");
  await choose(Math.min(Math.max(Number(number ?? 1) - 1, 0), TEXTS.length - 1));
  const wanted = page.heads.findIndex((own) => own.join(".") === head);
  if (wanted >= 0) state.head = wanted;
  state.view = views().find((view) => rest.includes(view)) ?? firstView();
  state.unit = Object.keys(page.units).find((own) => rest.includes(own)) ?? page.unit;
  if (wanted >= 0) state.query = found(decoded(name ?? ""));
  show();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch { // an address that somebody typed, in which % is a per cent sign
    return text;
  }
}

/* The row that a name means, as a command would find it: it, it#2, #11, 11; null if there is none. */
function found(name) {
  const { labels, names, patches } = unit().queries;
  const wanted = name.trim();
  if (!wanted) return null;
  const place = page.grid && /^r(\d+)c(\d+)$/i.exec(wanted);
  const patch = place && Number(place[2]) < page.grid.columns ? place[1] * page.grid.columns + Number(place[2]) : null;
  const same = (one, other) => one.toLocaleLowerCase() === other.toLocaleLowerCase();
  const tests = [
    (_, row) => names[row] === wanted,
    (_, row) => labels[row] === wanted,
    (_, row) => same(names[row], wanted) || same(labels[row], wanted) || same(names[row], `${wanted}#1`),
    (_, row) => names[row] === `#${wanted}`,
    (_, row) => patches[row].includes(patch),
    (label) => label.toLocaleLowerCase().startsWith(wanted.toLocaleLowerCase()),
  ];
  const row = tests.map((test) => labels.findIndex(test)).find((index) => index >= 0);
  return row ?? null;
}

/* ---- choosing ---- */

async function choose(text) {
  if (!ready.has(text)) ready.set(text, new Maps(TEXTS[text], await unpack(TEXTS[text].maps)));
  [page, maps] = [TEXTS[text], ready.get(text)];
  Object.assign(state, { text, head: page.head, unit: page.unit, query: null });
  state.query = page.query ? found(page.query) : null;
  if (!views().includes(state.view)) state.view = firstView();
  fillOnce();
}

function set(changes) {
  Object.assign(state, changes);
  show();
}

/* Another unit: the same word, by its place in the text. */
function setUnit(name) {
  if (!(name in page.units) || name === state.unit) return;
  const start = state.query === null ? null : unit().queries.starts[state.query];
  state.unit = name;
  const { starts, stops } = unit().queries;
  const row = start === null ? -1 : starts.findIndex((own, index) => own <= start && start < stops[index]);
  set({ query: row < 0 ? null : row });
}

function moveHead(by) {
  const own = headsOf(page.heads[state.head][0]);
  const place = own.indexOf(state.head) + by;
  if (place >= 0 && place < own.length) set({ head: own[place] });
}

function moveLayer(by) {
  const [layer, head] = page.heads[state.head];
  const next = layers()[layers().indexOf(layer) + by];
  if (next !== undefined) set({ head: nearest(next, head) });
}

function nearest(layer, head) {
  const own = headsOf(layer);
  return own.find((one) => page.heads[one][1] === head) ?? own[Math.min(head, own.length - 1)];
}

/* From the patch that is chosen to the one beside it; above the first row are the special tokens. */
function movePatch(across, down) {
  const { patches } = unit().queries;
  const [own, columns] = [state.query === null ? [] : patches[state.query], page.grid.columns];
  const special = patches.flatMap((one, row) => (one.length ? [] : [row]));
  const at = special.indexOf(state.query);
  let next;
  if (own.length) {
    const from = across + down > 0 ? own.at(-1) : own[0];
    const [row, column] = [Math.floor(from / columns) + down, (from % columns) + across];
    next = column < 0 || column >= columns ? -1 : patches.findIndex((one) => one.includes(row * columns + column));
    if (row < 0) next = special.at(-1) ?? -1;
  } else if (at >= 0 && (across || down < 0)) {
    next = special[at + across] ?? -1;
  } else {
    next = patches.findIndex((one) => one.length);
  }
  if (next >= 0) set({ query: next });
}

function moveQuery(by) {
  const rows = unit().queries.labels.length;
  const next = state.query === null ? (by > 0 ? 0 : rows - 1) : state.query + by;
  if (next >= 0 && next < rows) set({ query: next });
}

/* ---- figures of heads ---- */

/* A role among the figures, in which there are others of the same name: `first`, `previous`. */
const roleNamed = (name) => unit().roles.find((role) => `role: ${role.name}` === name);

/* Each head's number of a figure or of a role; of `role`, its score in the role that it has. */
function figureOf(name) {
  const { figures, has } = unit();
  if (name in figures) return figures[name];
  if (name !== "role") return roleNamed(name)?.scores ?? [];
  return has.map((_, head) => roleOf(head)?.scores[head] ?? null);
}

/* The role that a head has; undefined if it has none. An offset is named with its size: `offset -2`. */
function roleOf(head) {
  const { roles, has } = unit();
  const name = has[head].startsWith("offset ") ? "offset" : has[head];
  return roles.find((role) => role.name === name);
}

function inOrder() {
  const heads = page.heads.map((_, head) => head);
  if (state.order === "layer") return heads;
  const numbers = figureOf(state.order);
  const sign = state.order === "entropy" ? 1 : -1;
  const key = (head) => (Number.isFinite(numbers[head]) ? sign * numbers[head] : Infinity);
  return heads.sort((one, other) => key(one) - key(other) || one - other);
}

/* ---- showing ---- */

/* What changes only with the text. */
function fillOnce() {
  at("title").textContent = page.title;
  const [model, ...remarks] = page.about;
  at("model").textContent = model;
  at("remarks").replaceChildren(...remarks.map((line) => made("p", line)));
  at("heads").hidden = page.joint;
  at("layer").max = layers().length - 1;
  for (const button of document.querySelectorAll("[data-unit]")) button.hidden = !(button.dataset.unit in page.units);
  for (const button of document.querySelectorAll("[data-view]")) button.hidden = !views().includes(button.dataset.view);
  at("units").hidden = at("two-units").hidden = Object.keys(page.units).length < 2;
  at("in-picture").hidden = !page.grid;
  at("words").hidden = Boolean(page.grid);
  at("find").placeholder = page.grid ? "r0c0" : "a word";
  for (const word of document.querySelectorAll(".one")) word.textContent = aUnit();
  const { figures, roles, has } = unit();
  const scored = roles.map((role) => `role: ${role.name}`);
  const choices = {
    figure: [...Object.keys(figures), ...(has.some(Boolean) ? ["role"] : []), ...scored],
    order: ["layer", ...Object.keys(figures), ...scored],
  };
  for (const [choice, names] of Object.entries(choices)) {
    at(choice).replaceChildren(...names.map((name) => made("option", name, { value: name })));
    if (!names.includes(state[choice])) [state[choice]] = names;
  }
}

function show() {
  const look = document.documentElement.style;
  look.colorScheme = printing ? "light" : state.theme === "auto" ? "light dark" : state.theme;
  showControls();
  showAtlas();
  showDrawing();
  showRow();
  showWords();
  at("says").textContent = sentence();
  document.title = `${nameOf(state.head)} · ${page.title}`;
  keepPlace();
}

function showControls() {
  const [layer, head] = page.heads[state.head];
  const own = headsOf(layer);
  at("text").value = state.text;
  at("layer").value = layers().indexOf(layer);
  at("layer").setAttribute("aria-valuetext", `layer ${layer}`);
  at("layer-name").textContent = layer;
  at("head").max = own.length - 1;
  at("head").value = own.indexOf(state.head);
  at("head").setAttribute("aria-valuetext", `head ${nameOf(state.head)}`);
  at("head-name").textContent = head;
  at("figure").value = state.figure;
  at("order").value = state.order;
  for (const button of document.querySelectorAll("[data-view]")) {
    button.setAttribute("aria-pressed", button.dataset.view === state.view);
  }
  for (const button of document.querySelectorAll("[data-unit]")) {
    button.setAttribute("aria-pressed", button.dataset.unit === state.unit);
  }
  at("theme").textContent = `Theme: ${state.theme}`;
  at("names").replaceChildren(...unit().queries.names.map((name) => made("option", "", { value: name })));
}

/* One cell for each head: by layer a grid, else in the order chosen. */
function showAtlas() {
  const numbers = figureOf(state.figure);
  const shares = !["entropy", "distance"].includes(state.figure);
  const high = shares ? 1 : Math.max(...numbers.filter(Number.isFinite), 1e-9);
  const scale = new Scale(colors(), { high });
  const columns = state.order === "layer" ? Math.max(...page.heads.map(([, head]) => head)) + 1 : 6;
  const wide = columns <= 12;
  const grid = made("div", "", { class: wide ? "grid wide" : "grid" });
  grid.style.gridTemplateColumns = `auto repeat(${columns}, minmax(0, 1fr))`;
  const cell = (head) => {
    const value = numbers[head];
    const known = Number.isFinite(value);
    const role = state.figure === "role" ? unit().has[head] : "";
    const text = () => (role ? roleOf(head).short : short(value, !shares));
    const button = made("button", wide && known ? text() : "", { type: "button" });
    const said = `${state.figure === "role" ? role || "no role" : state.figure}${known ? ` ${value.toFixed(2)}` : ""}`;
    button.setAttribute("aria-label", `${page.joint ? "" : "head "}${nameOf(head)}, ${said}`);
    button.setAttribute("aria-pressed", head === state.head);
    button.title = `${nameOf(head)}: ${said}`;
    button.tabIndex = head === state.head ? 0 : -1;
    button.dataset.head = head;
    if (known) Object.assign(button.style, { background: scale.fill(value), color: scale.ink(value) });
    return button;
  };
  if (state.order === "layer") {
    const count = (head) => (page.joint || (!wide && head % 4) ? "" : head);
    grid.append(made("span"), ...Array.from({ length: columns }, (_, head) => made("span", count(head))));
    for (const layer of layers()) {
      grid.append(made("span", layer));
      for (const head of headsOf(layer)) {
        const node = cell(head);
        node.style.gridColumn = page.heads[head][1] + 2;
        grid.append(node);
      }
    }
  } else {
    inOrder().forEach((head, place) => {
      if (place % columns === 0) grid.append(made("span"));
      const node = cell(head);
      node.textContent = nameOf(head);
      grid.append(node);
    });
  }
  const focused = document.activeElement?.dataset?.head !== undefined;
  at("atlas").replaceChildren(grid);
  if (focused) at("atlas").querySelector("[tabindex='0']")?.focus();
  at("meaning").textContent = MEANINGS[state.figure] ?? `Weight on ${roleNamed(state.figure)?.looks_at}.`;
}

function showDrawing() {
  const shared = {
    unit: unit(),
    colors: colors(),
    signed: page.signed,
    width: Math.max(at("drawing").clientWidth, 260),
    label: sentence(),
  };
  if (state.view === "heads") {
    const names = page.heads.map((_, head) => nameOf(head));
    const counts = layers().map((layer) => headsOf(layer).length);
    const inLayer = state.order === "layer" && counts.every((count) => count === counts[0]) ? counts[0] : 0;
    const { grid } = page;
    const rowOf = (head) => onPatches(numbersOfRow(head), unit().keys, grid);
    const all = { maps, order: inOrder(), names, unit: state.unit, chosen: state.head, inLayer, grid, rowOf };
    drawn = drawHeads({ ...shared, ...all });
  } else if (state.view === "picture") {
    drawn = drawPicture({ ...shared, numbers: numbersOfRow(), grid: page.grid, query: state.query });
  } else {
    const draw = state.view === "map" ? drawMap : drawLines;
    drawn = draw({ ...shared, map: maps.map(state.head, state.unit), query: state.query });
  }
  drawn.view = state.view;
  at("drawing").replaceChildren(drawn.svg);
  at("drawing").tabIndex = state.view === "picture" ? 0 : -1;
  const nouns = ["weight", "score", "norm"].includes(page.noun) ? `${page.noun}s` : page.noun;
  const whose = page.grid && state.view !== "map" ? ` of ${rowName()}` : "";
  const every = page.grid ? `All heads, ${nouns}${whose}, by ${state.order}` : `All heads, by ${state.order}`;
  at("attends").textContent = attends();
  at("heading").textContent = state.view === "heads" ? every : `${headline()}, ${nouns}${whose}`;
  at("trained").textContent = state.view === "heads" ? "" : page.trained[state.head];
  showLegend(drawn);
}

/* What the colours are of, below the drawing. */
function attends() {
  if (page.grid && state.view !== "map") {
    const query = state.query === null ? "all rows, on average," : `${numbered(unit().queries, state.query)} (query)`;
    return `${query} ${state.query === null ? "attend" : "attends"} to patches (keys)`;
  }
  const pooled = `; a cell is the largest ${page.noun} of ${page.squares} × ${page.squares} ${page.unit}s`;
  return `${page.attends}${page.squares > 1 ? pooled : ""}`;
}

function showLegend({ scale, lines, ground = null }) {
  if (scale === null) {
    at("legend").replaceChildren(made("span", `Each ${page.grid ? "picture" : "map"} has a scale of its own.`));
    return;
  }
  const bar = made("span", "", { class: "bar", "aria-hidden": "true" });
  for (const [level, fill] of (scale.signed ? scale.colors.changes : scale.colors.cells).entries()) {
    const swatch = made("i");
    swatch.style.background = lines && !scale.signed ? scale.colors.accent : fill;
    if (lines && !scale.signed) swatch.style.opacity = level / (LEVELS - 1);
    if (ground) swatch.style.background = `color-mix(in srgb, ${fill} ${100 * veilOf(scale, level)}%, ${ground})`;
    bar.append(swatch);
  }
  const rounded = { float32: "", float16: "; numbers are rounded to three digits", squares: "; numbers are approximate" };
  const [low, high] = [scale.signed ? `−${scale.high}` : "0", `${scale.high}${scale.cut ? " or more" : ""} ${page.noun}`];
  at("legend").replaceChildren(made("span", low), bar, made("span", `${high}${rounded[page.maps.packing]}`));
}

/* The numbers of the row chosen, or of the mean of all rows: each key with its weight. */
function numbersOfRow(head = state.head) {
  if (state.query === null) return maps.means(head, state.unit);
  const { columns, values, seen } = maps.map(head, state.unit);
  const first = state.query * columns;
  return Array.from({ length: columns }, (_, column) => (seen[first + column] ? values[first + column] : NaN));
}

const rowName = () => (state.query === null ? "all rows, on average" : numbered(unit().queries, state.query));

function showRow() {
  const { queries, keys } = unit();
  const numbers = numbersOfRow();
  const shown = numbers.map((_, column) => column).filter((column) => Number.isFinite(numbers[column]));
  if (at("sorted").checked) shown.sort((one, other) => numbers[other] - numbers[one]);
  const most = Math.max(...shown.map((column) => Math.abs(numbers[column])), 1e-9);
  at("row-heading").textContent =
    state.query === null ? "All rows, on average" : `${numbered(queries, state.query)} looks at`;
  at("number-column").textContent = page.noun;
  const lines = shown.slice(0, MOST_KEYS).map((column) => {
    const line = made("tr", "", { "data-key": column });
    const key = made("th", "", { scope: "row", dir: "auto" });
    key.append(made("bdi", keys.labels[column]));
    if (keys.special[column]) key.classList.add("special");
    const number = made("td", "", { title: exact(numbers[column]) });
    const [bar, share] = [made("i"), Math.abs(numbers[column]) / most];
    bar.style.width = share < 0.01 ? "0" : `calc((100% - 48px) * ${share})`;
    number.append(bar, made("b", written(numbers[column])));
    if (numbers[column] < 0) line.classList.add("less");
    line.append(key, number);
    return line;
  });
  at("numbers").replaceChildren(...lines);
  const left = shown.length - lines.length;
  at("more").textContent = left > 0 ? `${left} more` : "";
}

/* A number of the row, with two decimals, or if it is large, as a matrix may have them, with three digits. */
const written = (value) => (Math.abs(value) < 1000 ? value.toFixed(2) : value.toExponential(2));

/* The label that tells a row or column from others; a name may be that of the first of several patches. */
const numbered = (axis, index) => (page.grid || axis.names[index].startsWith("#") ? axis : { labels: axis.names }).labels[index];

/* The text, in which a word is chosen, shaded by what the row gives each word. */
function showWords() {
  const { queries, keys } = unit();
  const numbers = numbersOfRow();
  const most = Math.max(...numbers.filter(Number.isFinite).map(Math.abs), 1e-9);
  const scale = new Scale(colors(), { power: 2 / 3, high: page.signed ? above(most) : 1, signed: page.signed });
  const same = page.kind !== "cross" && JSON.stringify(queries.labels) === JSON.stringify(keys.labels);
  const line = (axis, name, { chosen, shaded }) => {
    const paragraph = made("p", "", { "aria-label": name, dir: "auto" });
    if (!same) paragraph.append(made("span", name, { class: "side" }));
    axis.labels.forEach((label, index) => {
      const word = made(chosen ? "button" : "span", label, chosen ? { type: "button", "data-query": index } : {});
      word.classList.add("word");
      if (chosen) word.setAttribute("aria-pressed", index === state.query);
      if (axis.special[index]) word.classList.add("special");
      if (shaded && Number.isFinite(numbers[index])) {
        Object.assign(word.style, { background: scale.fill(numbers[index]), color: scale.ink(numbers[index]) });
        word.title = exact(numbers[index]);
      }
      paragraph.append(word, " ");
    });
    return paragraph;
  };
  const both = [line(queries, page.sides[0], { chosen: true }), line(keys, page.sides[1], { shaded: true })];
  at("words").replaceChildren(...(same ? [line(queries, "The text", { chosen: true, shaded: true })] : both));
}

/* What is seen, in a sentence, for whoever does not see it. */
function sentence() {
  const { queries, keys, figures, has } = unit();
  const role = has[state.head] ? `, role ${has[state.head]}` : "";
  const focus = Number.isFinite(figures.focus?.[state.head]) ? `, focus ${figures.focus[state.head].toFixed(2)}` : "";
  if (state.query === null) return `${headline()}${focus}${role}. Choose a ${aUnit()} to see what it looks at.`;
  const numbers = numbersOfRow();
  const best = numbers.reduce((so, value, column) => (value > (numbers[so] ?? -Infinity) ? column : so), -1);
  if (best < 0) return `${headline()}: ${numbered(queries, state.query)} looks at nothing.`;
  const end = `most at ${numbered(keys, best)} (${written(numbers[best])})`;
  return `${headline()}${role}: ${numbered(queries, state.query)} looks ${end}.`;
}

/* ---- pointing ---- */

/* The cell of a drawing below the pointer: a row and, in a map, a column; in the picture of all heads, a head. */
function pointed(event) {
  const box = drawn.svg.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  if (drawn.view === "picture") return inPicture(drawn.find(x, y));
  const { left, top, cell, side, across, rows } = drawn.grid;
  if (drawn.view === "heads") {
    const head = inOrder()[across * Math.floor(y / (side + 14)) + Math.floor(x / side)];
    return Math.floor(x / side) < across && head !== undefined ? { head } : null;
  }
  const [row, column] = [Math.floor((y - top) / cell), rows ? null : Math.floor((x - left) / cell)];
  const { queries, keys } = unit();
  if (row < 0 || row >= queries.labels.length) return null;
  if (rows) return x < box.width / 2 ? { row, column } : null;
  return column >= 0 && column < keys.labels.length ? { row, column } : column < 0 ? { row, column: null } : null;
}

/* What is known of a place in the picture: the row that a click chooses, the column whose number is shown. */
function inPicture(place) {
  if (place === null) return null;
  const { queries, keys } = unit();
  const holds = place.key === undefined ? (own) => own.includes(place.patch) : null;
  const column = holds ? keys.patches.findIndex(holds) : place.key;
  const row = holds ? queries.patches.findIndex(holds) : queries.names.indexOf(keys.names[place.key]);
  return { row: row < 0 ? null : row, column: column < 0 ? null : column, patch: place.patch };
}

/* The number of a place in the picture, with the row and the column of its patch. */
function saidOf({ column, patch }) {
  const from = state.query === null ? "All rows, on average" : numbered(unit().queries, state.query);
  const { columns } = page.grid;
  const where = patch === undefined ? "" : ` (row ${Math.floor(patch / columns)}, column ${patch % columns})`;
  const number = column === null ? NaN : numbersOfRow()[column];
  const name = column === null ? `r${Math.floor(patch / columns)}c${patch % columns}` : unit().keys.labels[column];
  return `${from} → ${name}${where}  ${Number.isFinite(number) ? exact(number) : "not visible"}`;
}

function hover(event) {
  const place = pointed(event);
  const tip = at("tip");
  tip.hidden = place === null;
  drawn.svg.style.cursor = place === null || place.row === null ? "" : "pointer";
  if (place === null) return;
  if (place.head !== undefined) {
    tip.textContent = `${nameOf(place.head)}${unit().has[place.head] ? `, ${unit().has[place.head]}` : ""}`;
  } else if (drawn.view === "picture") {
    tip.textContent = saidOf(place);
  } else if (place.column === null) {
    tip.textContent = numbered(unit().queries, place.row);
  } else {
    const { columns, values, seen } = maps.map(state.head, state.unit);
    const index = place.row * columns + place.column;
    const number = seen[index] ? exact(values[index]) : "not visible";
    tip.textContent = `${numbered(unit().queries, place.row)} → ${numbered(unit().keys, place.column)}  ${number}`;
  }
  const [wide, high] = [tip.offsetWidth, tip.offsetHeight];
  tip.style.left = `${Math.max(Math.min(event.clientX + 14, innerWidth - wide - 4), 4)}px`;
  tip.style.top = `${event.clientY + 18 + high > innerHeight ? event.clientY - high - 10 : event.clientY + 18}px`;
}

/* ---- copying ---- */

function svgText() {
  return new XMLSerializer().serializeToString(drawn.svg);
}

async function pngBlob() {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgText())}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
  const context = canvas.getContext("2d");
  context.scale(2, 2);
  context.drawImage(image, 0, 0);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}

/* Put the picture on the clipboard, or where that is not allowed into a file. */
async function copy(kind) {
  const blob = kind === "png" ? await pngBlob() : new Blob([svgText()], { type: "image/svg+xml" });
  const item = () => (kind === "png" ? navigator.clipboard.write([new ClipboardItem({ "image/png": blob })])
    : navigator.clipboard.writeText(svgText()));
  const copied = navigator.clipboard ? await item().then(() => true, () => false) : false;
  if (!copied) save(blob, `${nameOf(state.head).replace(" ", "-")}.${kind}`);
  at("says").textContent = `The ${kind.toUpperCase()} is ${copied ? "on the clipboard" : "saved as a file"}.`;
}

function save(blob, name) {
  const link = made("a", "", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/* ---- events ---- */

const next = (options, own) => options[(options.indexOf(own) + 1) % options.length];
const nextTheme = () => set({ theme: next(["auto", "light", "dark"], state.theme) });

function help() {
  at("keys").hidden = !at("keys").hidden;
  at("help").setAttribute("aria-expanded", !at("keys").hidden);
}

const KEYS = {
  ArrowLeft: () => moveHead(-1),
  ArrowRight: () => moveHead(1),
  ArrowUp: () => moveLayer(-1),
  ArrowDown: () => moveLayer(1),
  h: () => moveHead(-1),
  l: () => moveHead(1),
  j: () => moveQuery(1),
  k: () => moveQuery(-1),
  v: () => set({ view: next(views(), state.view) }),
  w: () => setUnit(next(Object.keys(page.units), state.unit)),
  s: () => set({ order: next(Array.from(at("order").options, (option) => option.value), state.order) }),
  t: nextTheme,
  "/": () => at("find").focus(),
  "?": help,
  Escape: () => set({ query: null }),
};

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || !(event.key in KEYS)) return;
  const scrolls = event.key.startsWith("Arrow") && event.target.closest("#rows");
  const typing = scrolls || event.target.matches("input, select, textarea, summary");
  if (typing && event.key !== "Escape") return;
  if (typing) event.target.blur();
  event.preventDefault();
  if (event.target === at("drawing") && event.key in ARROWS && state.view === "picture") movePatch(...ARROWS[event.key]);
  else KEYS[event.key]();
}

function listen() {
  const on = (id, event, act) => at(id).addEventListener(event, act);
  on("text", "change", () => choose(Number(at("text").value)).then(show));
  on("layer", "input", () => set({ head: nearest(layers()[at("layer").value], page.heads[state.head][1]) }));
  on("head", "input", () => set({ head: headsOf(page.heads[state.head][0])[at("head").value] }));
  on("figure", "change", () => set({ figure: at("figure").value }));
  on("order", "change", () => set({ order: at("order").value }));
  on("sorted", "change", showRow);
  on("theme", "click", nextTheme);
  on("help", "click", help);
  on("svg", "click", () => copy("svg"));
  on("png", "click", () => copy("png"));
  on("find", "input", () => {
    const row = found(at("find").value);
    if (row !== null) set({ query: row });
  });
  on("atlas", "click", ({ target }) => {
    if (target.dataset.head !== undefined) set({ head: Number(target.dataset.head) });
  });
  on("words", "click", ({ target }) => {
    if (target.dataset.query === undefined) return;
    const row = Number(target.dataset.query);
    set({ query: row === state.query ? null : row });
    at("words").querySelector(`[data-query="${row}"]`).focus();
  });
  on("drawing", "pointermove", hover);
  on("drawing", "pointerleave", () => { at("tip").hidden = true; });
  on("drawing", "click", (event) => {
    const place = pointed(event);
    if (place === null) return;
    if (place.row === null) return;
    if (place.head !== undefined) set({ head: place.head, view: views()[0] });
    else set({ query: place.row === state.query ? null : place.row });
  });
  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => set({ view: button.dataset.view }));
  }
  for (const button of document.querySelectorAll("[data-unit]")) {
    button.addEventListener("click", () => setUnit(button.dataset.unit));
  }
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", goToAddress);
  let width = at("drawing").clientWidth;
  new ResizeObserver(() => {
    if (at("drawing").clientWidth === width) return;
    width = at("drawing").clientWidth;
    showDrawing();
  }).observe(at("drawing"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  for (const [event, now] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      printing = now;
      show();
    });
  }
}

async function start() {
  at("texts").hidden = TEXTS.length < 2;
  at("text").append(...TEXTS.map((own, index) => made("option", `${index + 1}  ${shortened(own.title, 60)}`, { value: index })));
  at("page").hidden = false;
  at("picture").open = false;
  await goToAddress();
  listen();
}

if ("DecompressionStream" in window) start();

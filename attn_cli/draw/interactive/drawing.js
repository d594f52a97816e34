/* Drawings as SVG, of maps that `Maps` has merged. */

const SPACE = "http://www.w3.org/2000/svg";
const LEVELS = 17;
const FONT = "ui-sans-serif, system-ui, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif";
const MOST_CELLS = 5000; // that are drawn as rectangles; larger maps are images
const MOST_LINES = 3000;
const LARGE = 60; // rows or columns of a map whose numbers are too small for a scale to 1
const NUMBERED = 30; // pixels of a cell that has room for a number
const DIGIT = 6; // pixels of a digit of it

function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function picture(width, height, label, colors) {
  const svg = element("svg", { xmlns: SPACE, width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  svg.setAttribute("aria-label", label);
  svg.setAttribute("font-family", FONT);
  svg.append(element("rect", { width, height, fill: colors.ground }));
  return svg;
}

/* A scale of colours, as attn_cli/draw/colors.py has it; `cut` where some numbers are above it. */
class Scale {
  constructor(colors, { high = 1, power = 1, signed = false, low = 0, cut = false } = {}) {
    Object.assign(this, { colors, high, power, signed, low, cut });
  }

  /* For the numbers of a map: to 1, so that one map looks like another, or for one that is large or small on the page
     to a round number above all but a few of them, and above a share of the largest. */
  static of(colors, map, { signed, small = Math.max(map.rows, map.columns) > LARGE, share = 0 }) {
    const known = map.values.filter((_, at) => map.seen[at]);
    if (signed) {
      const most = known.reduce((so, value) => Math.max(so, Math.abs(value)), 0);
      return new Scale(colors, { high: most ? above(most) : 1, power: 2 / 3, signed });
    }
    if (!small && known.every((value) => value <= 1.005)) return new Scale(colors, { power: 2 / 3 });
    const sorted = known.sort();
    const reach = Math.max(sorted[Math.floor(0.98 * (known.length - 1))] ?? 1, share * (sorted.at(-1) ?? 0));
    const found = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.005].find((end) => reach <= end) ?? above(reach);
    const high = found === 1.005 ? 1 : found;
    return new Scale(colors, { high, power: 2 / 3, cut: sorted.at(-1) > Math.max(high, found) });
  }

  level(value) {
    if (this.signed) {
      const share = Math.min(Math.abs(value) / this.high, 1) ** this.power;
      return 8 + Math.round(share * 8) * Math.sign(value);
    }
    const share = Math.min(Math.max((value - this.low) / (this.high - this.low || 1), 0), 1);
    return Math.round(share ** this.power * (LEVELS - 1));
  }

  fill(value) {
    return (this.signed ? this.colors.changes : this.colors.cells)[this.level(value)];
  }

  ink(value) {
    return (this.signed ? this.colors.changeNumbers : this.colors.numbers)[this.level(value)];
  }
}

function above(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((end) => end >= value);
}

function shortened(label, most = 22) {
  const letters = Array.from(label);
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : label;
}

function short(value, signed) {
  if (signed) return value.toFixed(1);
  const text = value.toFixed(2);
  return text === "0.00" ? "·" : text.replace(/^0/, "");
}

/* Room for labels, in pixels. */
function roomFor(labels, size) {
  const most = labels.reduce((so, label) => Math.max(so, Array.from(shortened(label)).length), 1);
  return Math.ceil(Math.min(most * size * 0.62, 170)) + 8;
}

/* The map as one image, a pixel for each cell. */
function pixels(map, scale) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [map.columns, map.rows];
  const context = canvas.getContext("2d");
  map.values.forEach((value, at) => {
    if (!map.seen[at]) return;
    context.fillStyle = scale.fill(value);
    context.fillRect(at % map.columns, Math.floor(at / map.columns), 1, 1);
  });
  return canvas.toDataURL();
}

/* One head's map. Where its cells begin and how large they are is in `grid`, for whoever points at it. */
function drawMap({ map, unit, colors, signed, query, width, label }) {
  const size = 12;
  const left = roomFor(unit.queries.labels, size);
  const cell = Math.max(Math.min(Math.floor((width - left - 12) / map.columns), 42), 2);
  const turned = cell < 52;
  const top = turned ? roomFor(unit.keys.labels, size) : 22;
  const scale = Scale.of(colors, map, { signed });
  const [wide, high] = [left + cell * map.columns + 12, top + cell * map.rows + 4];
  const svg = picture(wide, high, label, colors);
  const every = Math.ceil((size + 1) / cell);
  const cells = element("g", { "shape-rendering": "crispEdges" });
  if (map.rows * map.columns <= MOST_CELLS) {
    const fits = (value, at) => !map.seen[at] || short(value, signed).length * DIGIT <= cell;
    const numbered = cell >= NUMBERED && map.values.every(fits);
    map.values.forEach((value, at) => {
      if (!map.seen[at]) return;
      const [x, y] = [left + cell * (at % map.columns), top + cell * Math.floor(at / map.columns)];
      cells.append(element("rect", { x, y, width: cell, height: cell, fill: scale.fill(value) }));
      if (!numbered) return;
      const number = element("text", { x: x + cell / 2, y: y + cell / 2 + 4, fill: scale.ink(value) }, short(value, signed));
      number.setAttribute("font-size", 11);
      number.setAttribute("text-anchor", "middle");
      cells.append(number);
    });
  } else {
    const image = { href: pixels(map, scale), x: left, y: top, width: cell * map.columns, height: cell * map.rows };
    cells.append(element("image", { ...image, preserveAspectRatio: "none", "image-rendering": "pixelated" }));
  }
  svg.append(cells);
  unit.queries.labels.forEach((text, row) => {
    if (row % every && row !== query) return;
    const y = top + cell * (row + 0.5) + size / 3;
    svg.append(named(text, left - 6, y, size, { end: true, bold: row === query, special: unit.queries.special[row], colors }));
  });
  unit.keys.labels.forEach((text, column) => {
    if (column % every) return;
    const x = left + cell * (column + 0.5);
    const words = named(text, x + size / 3, top - 6, size, { special: unit.keys.special[column], colors });
    words.setAttribute("transform", `rotate(-90 ${x + size / 3} ${top - 6})`);
    svg.append(words);
  });
  const line = { stroke: colors.dim, "stroke-width": 1 };
  const [down, across] = [unit.queries.second, unit.keys.second];
  if (down !== null) svg.append(element("path", { d: `M0 ${top + cell * down}H${wide}`, ...line }));
  if (across !== null) svg.append(element("path", { d: `M${left + cell * across} 0V${high}`, ...line }));
  if (query !== null) {
    const frame = { x: left - 1, y: top + cell * query - 1, width: cell * map.columns + 2, height: cell + 2 };
    svg.append(element("rect", { ...frame, fill: "none", stroke: colors.ink, "stroke-width": 1.5 }));
  }
  return { svg, scale, lines: false, grid: { left, top, cell } };
}

function named(text, x, y, size, { end = false, bold = false, special = false, colors }) {
  const made = element("text", { x, y, fill: special ? colors.dim : colors.ink, "font-size": size }, shortened(text));
  if (end) made.setAttribute("text-anchor", "end");
  if (bold) made.setAttribute("font-weight", "bold");
  return made;
}

/* Lines from each row's word to the words it looks at: as dark as they are strong. */
function drawLines({ map, unit, colors, signed, query, width, label }) {
  const size = 13;
  const step = Math.max(map.rows, map.columns) > 60 ? 16 : 21;
  const [left, right] = [roomFor(unit.queries.labels, size), roomFor(unit.keys.labels, size)];
  const wide = Math.min(Math.max(width, left + right + 120), 760);
  const high = step * Math.max(map.rows, map.columns) + 8;
  const svg = picture(wide, high, label, colors);
  const scale = Scale.of(colors, map, { signed, small: false });
  const links = [];
  map.values.forEach((value, at) => {
    const row = Math.floor(at / map.columns);
    if (!map.seen[at] || (query !== null && row !== query)) return;
    const strength = Math.min(Math.abs(value) / scale.high, 1) ** scale.power;
    if (Math.abs(value) / scale.high >= 0.01) links.push({ row, column: at % map.columns, strength, value });
  });
  links.sort((one, other) => other.strength - one.strength);
  const [from, to] = [left + 2, wide - right - 2];
  const middle = (from + to) / 2;
  const place = (index) => step * (index + 0.5) + 4;
  for (const { row, column, strength, value } of links.slice(0, MOST_LINES).reverse()) {
    const path = `M${from} ${place(row)}C${middle} ${place(row)} ${middle} ${place(column)} ${to} ${place(column)}`;
    const stroke = signed ? colors.changes[value < 0 ? 3 : 13] : colors.accent;
    const look = { "stroke-opacity": strength.toFixed(3), "stroke-width": (1 + 2 * strength).toFixed(2) };
    svg.append(element("path", { d: path, fill: "none", stroke, ...look }));
  }
  unit.queries.labels.forEach((text, row) => {
    const bold = row === query;
    svg.append(named(text, left - 4, place(row) + 4, size, { end: true, bold, special: unit.queries.special[row], colors }));
  });
  unit.keys.labels.forEach((text, column) => {
    const most = query !== null && links[0]?.column === column;
    svg.append(named(text, wide - right + 4, place(column) + 4, size, { bold: most, special: unit.keys.special[column], colors }));
  });
  return { svg, scale, lines: true, grid: { left: 0, top: 4, cell: step, rows: true } };
}

/* Every head's map, small, in the order given; a layer is a row where there is room for `inLayer` heads. Of an image
   with a grid it is a row of each head, `rowOf(head)`, over the image. */
function drawHeads({ maps, order, names, unit, colors, signed, chosen, width, label, inLayer, grid, rowOf }) {
  const across = inLayer && width / inLayer >= 40 ? inLayer : Math.max(Math.floor(width / 84), 3);
  const side = Math.min(Math.floor(width / across), 132);
  const inner = side - 8;
  const down = Math.ceil(order.length / across);
  const svg = picture(side * Math.min(across, order.length), (side + 14) * down, label, colors);
  if (grid?.width) {
    const image = { id: "image", width: 1, height: 1, preserveAspectRatio: "none", href: painted(grid, colors.ground) };
    svg.append(element("defs", {}, element("image", image)));
  }
  order.forEach((head, place) => {
    const map = grid ? rowOf(head) : maps.map(head, unit);
    const scale = Scale.of(colors, map, { signed, small: true });
    const [x, y] = [side * (place % across) + 4, (side + 14) * Math.floor(place / across)];
    const name = element("text", { x, y: y + 12, "font-size": 11, fill: colors.ink }, names[head]);
    if (head === chosen) name.setAttribute("font-weight", "bold");
    const ratio = grid ? grid.rows / grid.columns : map.rows / map.columns;
    const [wide, high] = ratio > 1 ? [inner / ratio, inner] : [inner, inner * ratio];
    const href = grid ? veil(map, grid, scale) : pixels(map, scale);
    const image = { href, x, y: y + 17, width: wide, height: high, preserveAspectRatio: "none" };
    if (grid?.width) {
      svg.append(element("use", { href: "#image", transform: `translate(${x} ${y + 17}) scale(${wide} ${high})` }));
    }
    svg.append(name, element("image", { ...image, "image-rendering": "pixelated" }));
    const frame = { x: x - 1, y: y + 16, width: wide + 2, height: high + 2, fill: "none" };
    svg.append(element("rect", { ...frame, stroke: head === chosen ? colors.ink : colors.line }));
  });
  return { svg, scale: null, lines: false, grid: { side, across } };
}

/* Drawings of one row of a map on the grid of patches, over the image. */

const VEIL = 0.88; // opacity of the largest weight over the image
const PALE = 0.55; // share of the image in grey that is left below weights
const TALLEST = 560; // pixels of the grid from top to bottom
const SIDE = 150; // pixels of the image beside it
const CHIP = 22;
const LEAST = 0.25; // where the scale ends at least, as a share of the largest weight

/* The pixels of an image, as a data: address; in grey and near the ground if there is one to be below weights. */
function painted({ width, height, rgb }, ground = null) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const bytes = atob(rgb);
  const towards = ground === null ? null : [1, 3, 5].map((at) => parseInt(ground.slice(at, at + 2), 16));
  for (let at = 0; at < width * height; at += 1) {
    const own = [0, 1, 2].map((color) => bytes.charCodeAt(3 * at + color));
    const grey = 0.299 * own[0] + 0.587 * own[1] + 0.114 * own[2];
    for (let color = 0; color < 3; color += 1) {
      image.data[4 * at + color] = towards === null ? own[color] : PALE * grey + (1 - PALE) * towards[color];
    }
    image.data[4 * at + 3] = 255;
  }
  context.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

/* The mean grey of an image below weights, against which their colours are seen. */
function meanBelow({ rgb }, ground) {
  const bytes = atob(rgb);
  const weights = [0.299, 0.587, 0.114];
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 1) sum += bytes.charCodeAt(at) * weights[at % 3];
  const grey = (3 * sum) / bytes.length;
  const towards = [1, 3, 5].map((at) => parseInt(ground.slice(at, at + 2), 16));
  return `rgb(${towards.map((own) => Math.round(PALE * grey + (1 - PALE) * own)).join(" ")})`;
}

/* The numbers of a row by patch, as a map of one row: what is no patch, or not seen, is not in it. */
function onPatches(numbers, axis, grid) {
  const count = grid.rows * grid.columns;
  const row = { rows: 1, columns: count, values: new Float64Array(count), seen: new Uint8Array(count) };
  axis.patches.forEach((own, index) => {
    for (const patch of own) {
      row.values[patch] = Number.isFinite(numbers[index]) ? numbers[index] : 0;
      row.seen[patch] = Number.isFinite(numbers[index]) ? 1 : 0;
    }
  });
  return row;
}

/* How much of the image a number hides: nothing if it is 0. */
function opacity(scale, value) {
  return VEIL * Math.min(Math.abs(value) / scale.high, 1) ** scale.power;
}

/* How much of it a level of the scale hides. */
const veilOf = (scale, level) => VEIL * (scale.signed ? Math.abs(level - 8) / 8 : level / (LEVELS - 1));

/* The weights as one image, a pixel for each patch. */
function veil(row, grid, scale) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [grid.columns, grid.rows];
  const context = canvas.getContext("2d");
  row.values.forEach((value, patch) => {
    if (!row.seen[patch]) return;
    context.globalAlpha = grid.width ? opacity(scale, value) : 1;
    context.fillStyle = scale.fill(value);
    context.fillRect(patch % grid.columns, Math.floor(patch / grid.columns), 1, 1);
  });
  return canvas.toDataURL();
}

/* The frame around patches that touch one another. */
function around(patches, { left, top, cell, columns }, colors) {
  const rows = patches.map((patch) => Math.floor(patch / columns));
  const places = patches.map((patch) => patch % columns);
  const box = {
    x: left + cell * Math.min(...places),
    y: top + cell * Math.min(...rows),
    width: cell * (Math.max(...places) - Math.min(...places) + 1),
    height: cell * (Math.max(...rows) - Math.min(...rows) + 1),
    fill: "none",
  };
  return [
    element("rect", { ...box, stroke: colors.ground, "stroke-width": 5, "stroke-opacity": 0.8 }),
    element("rect", { ...box, stroke: colors.ink, "stroke-width": 2 }),
  ];
}

/* One row on the grid: the weights over the image in grey, the special tokens beside it, and the image itself. What is
   below a point is in `find`: a patch, or the index of a special token among the columns. */
function drawPicture({ numbers, unit, grid, colors, signed, query, width, label }) {
  const { rows, columns } = grid;
  const beside = width >= 420;
  const [left, top, size] = [26, 20, 11];
  const room = width - left - (beside ? SIDE + 24 : 0) - 2;
  const cell = Math.max(Math.floor(Math.min(room / columns, TALLEST / rows, 72)), 3);
  const [across, down] = [cell * columns, cell * rows];
  const special = unit.keys.patches.flatMap((own, index) => (own.length ? [] : [index]));
  const [x, y] = beside ? [left + across + 24, top] : [left, top + down + 14];
  const small = Math.max(Math.min(SIDE / columns, SIDE / rows), 1);
  const chips = special.map((index, place) => ({ index, x, y: y + (CHIP + 4) * place, width: SIDE, height: CHIP }));
  const below = y + (CHIP + 4) * special.length + (special.length ? 10 : 0);
  const high = Math.max(top + down, below + (grid.width ? small * rows : 0)) + 4;
  const svg = picture(beside ? x + SIDE + 2 : Math.max(left + across, x + SIDE) + 2, high, label, colors);
  const row = onPatches(numbers, unit.keys, grid);
  const scale = Scale.of(colors, row, { signed, small: true, share: LEAST });
  const stretched = { preserveAspectRatio: "none" };
  const whole = { x: left, y: top, width: across, height: down };
  if (grid.width) svg.append(element("image", { ...whole, ...stretched, href: painted(grid, colors.ground) }));
  if (rows * columns <= MOST_CELLS) {
    const cells = element("g", { "shape-rendering": "crispEdges" });
    row.values.forEach((value, patch) => {
      if (!row.seen[patch]) return;
      const place = { x: left + cell * (patch % columns), y: top + cell * Math.floor(patch / columns) };
      const look = { fill: scale.fill(value), "fill-opacity": grid.width ? opacity(scale, value).toFixed(3) : 1 };
      cells.append(element("rect", { ...place, width: cell, height: cell, ...look }));
    });
    svg.append(cells);
  } else {
    const image = { ...whole, ...stretched, href: veil(row, grid, scale), "image-rendering": "pixelated" };
    svg.append(element("image", image));
  }
  if (cell >= 9) {
    const lines = [
      ...Array.from({ length: rows - 1 }, (_, place) => `M${left} ${top + cell * (place + 1)}h${across}`),
      ...Array.from({ length: columns - 1 }, (_, place) => `M${left + cell * (place + 1)} ${top}v${down}`),
    ];
    svg.append(element("path", { d: lines.join(""), stroke: colors.ground, "stroke-opacity": 0.35 }));
  }
  svg.append(element("rect", { ...whole, fill: "none", stroke: colors.line }));
  const every = Math.ceil(22 / cell);
  const number = (text, place) => element("text", { ...place, fill: colors.dim, "font-size": size }, String(text));
  for (let place = 0; place < columns; place += every) {
    svg.append(number(place, { x: left + cell * (place + 0.5), y: top - 6, "text-anchor": "middle" }));
  }
  for (let place = 0; place < rows; place += every) {
    svg.append(number(place, { x: left - 6, y: top + cell * (place + 0.5) + 4, "text-anchor": "end" }));
  }
  const own = query === null ? [] : unit.queries.patches[query];
  if (own.length) svg.append(...around(own, { left, top, cell, columns }, colors));
  for (const { index, ...box } of chips) {
    const known = Number.isFinite(numbers[index]);
    const look = known ? { fill: scale.fill(numbers[index]) } : { fill: "none" };
    const chosen = query !== null && unit.queries.names[query] === unit.keys.names[index];
    const frame = chosen ? { stroke: colors.ink, "stroke-width": 2 } : { stroke: colors.line };
    const ink = known ? scale.ink(numbers[index]) : colors.dim;
    const text = (words, place) => element("text", { ...place, y: box.y + 15, fill: ink, "font-size": 12 }, words);
    svg.append(
      element("rect", { ...box, rx: 4, ...look, ...frame }),
      text(shortened(unit.keys.labels[index], 14), { x: box.x + 8 }),
      text(known ? written(numbers[index]) : "", { x: box.x + box.width - 8, "text-anchor": "end" }),
    );
  }
  if (grid.width) {
    const photo = { x, y: below, width: small * columns, height: small * rows };
    svg.append(element("image", { ...photo, ...stretched, href: painted(grid) }));
    if (own.length) svg.append(...around(own, { left: x, top: below, cell: small, columns }, colors));
  }
  const within = (px, py, box) => px >= box.x && px < box.x + box.width && py >= box.y && py < box.y + box.height;
  const find = (px, py) => {
    const chip = chips.find((box) => within(px, py, box));
    if (chip) return { key: chip.index };
    const part = [[whole, cell], [{ x, y: below, width: grid.width ? small * columns : 0, height: small * rows }, small]];
    const [box, step] = part.find(([one]) => within(px, py, one)) ?? [];
    if (!box) return null;
    return { patch: Math.floor((py - box.y) / step) * columns + Math.floor((px - box.x) / step) };
  };
  const ground = grid.width ? meanBelow(grid, colors.ground) : null;
  return { svg, scale, lines: false, ground, find, grid: { left, top, cell } };
}

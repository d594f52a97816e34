"use strict";
/* The numbers of one text: unpacked, and merged from tokens into words. See attn_cli/questions/inspect/page.py. */

async function unpack(maps) {
  const packed = Uint8Array.from(atob(maps.numbers), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const size = { float32: 4, float16: 2, squares: 1 }[maps.packing];
  const count = planes.length / size;
  const view = new DataView(new ArrayBuffer(planes.length));
  for (let plane = 0; plane < size; plane += 1) {
    for (let at = 0; at < count; at += 1) view.setUint8(at * size + plane, planes[plane * count + at]);
  }
  const numbers = new Float64Array(count);
  for (let at = 0; at < count; at += 1) {
    if (size === 4) numbers[at] = view.getFloat32(4 * at, true);
    else if (size === 2) numbers[at] = half(view.getUint16(2 * at, true));
    else numbers[at] = (view.getUint8(at) / maps.levels) ** 2;
  }
  return numbers;
}

/* A number of two bytes, as IEEE 754 has it. */
function half(bits) {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/* The maps of one text. A map has `values` and `seen`, row by row; what a row cannot see is 0 in `seen`. */
class Maps {
  constructor(page, numbers) {
    this.page = page;
    this.numbers = numbers;
    this.known = new Map();
  }

  map(head, unit) {
    const name = `${head} ${unit}`;
    if (!this.known.has(name)) this.known.set(name, this.merged(head, this.page.units[unit]));
    return this.known.get(name);
  }

  /* The weight to a word is the sum over its pieces, the weight from a word the mean over its pieces. */
  merged(head, unit) {
    const { rows: allRows, columns: allColumns, visible, patterns } = this.page.maps;
    const ends = visible[patterns[head]];
    const { queries, keys } = unit;
    const rows = queries.starts.length;
    const columns = keys.starts.length;
    const values = new Float64Array(rows * columns);
    const seen = new Uint8Array(rows * columns);
    const sums = new Float64Array(columns);
    for (let row = 0; row < rows; row += 1) {
      const pieces = queries.stops[row] - queries.starts[row];
      for (let piece = queries.starts[row]; piece < queries.stops[row]; piece += 1) {
        const first = (head * allRows + piece) * allColumns;
        let total = 0;
        for (let column = 0; column < columns; column += 1) {
          let sum = this.numbers[first + keys.starts[column]];
          for (let at = keys.starts[column] + 1; at < keys.stops[column]; at += 1) sum += this.numbers[first + at];
          sums[column] = sum;
          total += sum;
          const sees = ends[2 * piece] < keys.stops[column] && keys.starts[column] < ends[2 * piece + 1];
          if (sees && Number.isFinite(sum)) seen[row * columns + column] = 1;
        }
        const share = unit.hides && !this.page.signed ? (total > 0 ? 1 / total : 0) : 1;
        for (let column = 0; column < columns; column += 1) {
          if (Number.isFinite(sums[column])) values[row * columns + column] += (sums[column] * share) / pieces;
        }
      }
    }
    return { rows, columns, values, seen };
  }

  /* What each column has of all rows that see it, on average. */
  means(head, unit) {
    const { rows, columns, values, seen } = this.map(head, unit);
    return Array.from({ length: columns }, (_, column) => {
      let [sum, count] = [0, 0];
      for (let row = 0; row < rows; row += 1) {
        sum += values[row * columns + column];
        count += seen[row * columns + column];
      }
      return count ? sum / count : NaN;
    });
  }
}

/* A number in as many digits as tell it from its neighbours: those of JSON where it is one of four bytes. */
function exact(value) {
  if (Math.fround(value) !== value) return String(Number(value.toPrecision(6)));
  for (let digits = 1; digits < 9; digits += 1) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return String(short);
  }
  return String(Number(value.toPrecision(9)));
}

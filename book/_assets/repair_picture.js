// A picture at its full size: what a frame shows of it, the repair laid into its hole without a seam, its colours kept,
// and a PNG file of it. The same steps as faceinpaint/repair (framing.py, photograph.py, membrane.py, colour.py).
// A picture is {data: Uint8ClampedArray RGBA, width, height}; a frame is {x, y, side, tilt}, in pixels counted from the
// picture's edge and degrees clockwise.

const SWEEPS = 16;
const PUSH = 1.8;
const PALE = 0.03;
const FEW = 0.005;

/** What lies beyond the edge is mirrored. */
function mirrored(at, length) {
  const period = 2 * length;
  const place = ((Math.floor(at) % period) + period) % period;
  return place < length ? place : period - 1 - place;
}

/** From a place in the frame (0 to 1 across and down) to the picture. */
function outOf({ x, y, side, tilt }) {
  const [c, s] = [Math.cos((tilt * Math.PI) / 180), Math.sin((tilt * Math.PI) / 180)];
  return (u, v) => {
    const [dx, dy] = [(u - 0.5) * side, (v - 0.5) * side];
    return [x + c * dx - s * dy, y + s * dx + c * dy];
  };
}

/** From a place in the picture to the frame. */
function into({ x, y, side, tilt }) {
  const [c, s] = [Math.cos((tilt * Math.PI) / 180), Math.sin((tilt * Math.PI) / 180)];
  return (px, py) => {
    const [dx, dy] = [px - x, py - y];
    return [(c * dx + s * dy) / side + 0.5, (c * dy - s * dx) / side + 0.5];
  };
}

/** The hole at the picture's size: {top, left, width, height, mask} around it, from a grid painted on the frame. */
export function holeOf({ width, height }, frame, grid, side) {
  const place = into(frame);
  const reach = (frame.side / 2) * (Math.abs(Math.cos((frame.tilt * Math.PI) / 180)) +
    Math.abs(Math.sin((frame.tilt * Math.PI) / 180)));
  const bounds = (centre, length) => [
    Math.max(0, Math.floor(centre - reach)), Math.min(length, Math.ceil(centre + reach))];
  const [first, last] = bounds(frame.y, height);
  const [start, end] = bounds(frame.x, width);
  const painted = (x, y) => {
    const [u, v] = place(x + 0.5, y + 0.5);
    const [column, row] = [Math.floor(u * side), Math.floor(v * side)];
    return column >= 0 && row >= 0 && column < side && row < side && grid[row * side + column];
  };
  let [top, bottom, left, right] = [height, -1, width, -1];
  for (let y = first; y < last; y++)
    for (let x = start; x < end; x++)
      if (painted(x, y)) {
        [top, bottom] = [Math.min(top, y), y];
        [left, right] = [Math.min(left, x), Math.max(right, x)];
      }
  if (bottom < 0) return null;
  [top, left] = [Math.max(0, top - 1), Math.max(0, left - 1)]; // and the ring around it
  [bottom, right] = [Math.min(height - 1, bottom + 1), Math.min(width - 1, right + 1)];
  const hole = { top, left, width: right - left + 1, height: bottom - top + 1 };
  hole.mask = new Uint8Array(hole.width * hole.height);
  for (let y = 0; y < hole.height; y++)
    for (let x = 0; x < hole.width; x++) hole.mask[y * hole.width + x] = painted(x + left, y + top) ? 1 : 0;
  return hole;
}

function inHole(hole, x, y) {
  const [u, v] = [x - hole.left, y - hole.top];
  return u >= 0 && v >= 0 && u < hole.width && v < hole.height && hole.mask[v * hole.width + u];
}

/** What the frame shows, n x n: colours (float RGBA, means over what is known), and what is hole or unseen there.
 * Without a hole, all is shown as it is. */
export function cut(picture, frame, n, hole = null) {
  const { data, width, height } = picture;
  const place = outOf(frame);
  const fine = Math.max(1, Math.ceil(frame.side / n - 0.01)); // samples along each side of a pixel of the cut
  const colours = new Float32Array(4 * n * n);
  const gone = new Uint8Array(n * n); // all of it is hole
  const clear = new Uint8Array(n * n); // all that is known of it is transparent: nobody's colour
  for (let row = 0; row < n; row++)
    for (let column = 0; column < n; column++) {
      const sum = [0, 0, 0, 0];
      let [weight, opaque] = [0, 0];
      for (let j = 0; j < fine; j++)
        for (let i = 0; i < fine; i++) {
          const [px, py] = place((column + (i + 0.5) / fine) / n, (row + (j + 0.5) / fine) / n);
          const [x, y] = [px - 0.5, py - 0.5];
          const [x0, y0] = [Math.floor(x + 1e-6), Math.floor(y + 1e-6)];
          const [fx, fy] = [Math.max(0, x - x0), Math.max(0, y - y0)];
          for (const [dx, dy, share] of [
            [0, 0, (1 - fx) * (1 - fy)], [1, 0, fx * (1 - fy)], [0, 1, (1 - fx) * fy], [1, 1, fx * fy]]) {
            if (share < 1e-6) continue;
            const [sx, sy] = [mirrored(x0 + dx, width), mirrored(y0 + dy, height)];
            if (hole && inHole(hole, sx, sy)) continue;
            const at = 4 * (sy * width + sx);
            weight += share;
            sum[3] += share * data[at + 3];
            if (!data[at + 3]) continue;
            opaque += share;
            for (let c = 0; c < 3; c++) sum[c] += share * data[at + c];
          }
        }
      const at = 4 * (row * n + column);
      for (let c = 0; c < 3; c++) colours[at + c] = opaque ? sum[c] / opaque : 0;
      colours[at + 3] = weight ? sum[3] / weight : 0;
      gone[row * n + column] = weight ? 0 : 1;
      clear[row * n + column] = opaque ? 0 : 1;
    }
  return { colours, gone, clear };
}

// --- the membrane ---------------------------------------------------------------------------------------------------

/** Fill unknown pixels so that each is the mean of its four neighbours, in place; solved from coarse to fine. */
export function membrane(values, known, width, height, planes) {
  if (Math.max(width, height) === 1 || known.every(Boolean) || !known.some(Boolean)) return values;
  const [w, h] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const small = new Float32Array(w * h * planes);
  const count = new Uint8Array(w * h);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (!known[y * width + x]) continue;
      const to = (y >> 1) * w + (x >> 1);
      count[to]++;
      for (let c = 0; c < planes; c++) small[to * planes + c] += values[(y * width + x) * planes + c];
    }
  for (let i = 0; i < w * h; i++) for (let c = 0; c < planes; c++) small[i * planes + c] /= Math.max(1, count[i]);
  membrane(small, count, w, h, planes);
  const least = new Float32Array(planes).fill(Infinity);
  const most = new Float32Array(planes).fill(-Infinity);
  const open = [[], []]; // like a chessboard: the white ones, then the black ones from the new white ones
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      if (known[i]) {
        for (let c = 0; c < planes; c++) {
          least[c] = Math.min(least[c], values[i * planes + c]);
          most[c] = Math.max(most[c], values[i * planes + c]);
        }
        continue;
      }
      open[(x + y) % 2].push(i);
      const [u, v] = [(x - 0.5) / 2, (y - 0.5) / 2]; // bilinear
      const [u0, v0] = [Math.floor(u), Math.floor(v)];
      const [fx, fy] = [u - u0, v - v0];
      const [a, b] = [Math.max(0, u0), Math.min(w - 1, u0 + 1)];
      const [p, q] = [Math.max(0, v0), Math.min(h - 1, v0 + 1)];
      for (let c = 0; c < planes; c++)
        values[i * planes + c] =
          (1 - fy) * ((1 - fx) * small[(p * w + a) * planes + c] + fx * small[(p * w + b) * planes + c]) +
          fy * ((1 - fx) * small[(q * w + a) * planes + c] + fx * small[(q * w + b) * planes + c]);
    }
  for (let sweep = 0; sweep < SWEEPS; sweep++)
    for (const square of open)
      for (const i of square) {
        const x = i % width;
        const beside = [];
        if (i >= width) beside.push(i - width);
        if (i + width < width * height) beside.push(i + width);
        if (x > 0) beside.push(i - 1);
        if (x + 1 < width) beside.push(i + 1);
        for (let c = 0; c < planes; c++) {
          let sum = 0;
          for (const j of beside) sum += values[j * planes + c];
          values[i * planes + c] = (PUSH * sum) / beside.length + (1 - PUSH) * values[i * planes + c];
        }
      }
  for (const square of open)
    for (const i of square)
      for (let c = 0; c < planes; c++) {
        const at = i * planes + c;
        values[at] = Math.min(most[c], Math.max(least[c], values[at])); // a push may have gone too far
      }
  return values;
}

// --- colours --------------------------------------------------------------------------------------------------------

/** The line of a picture's known colours, and how far from it they lie; of a large picture, of a million of them. */
export function lineOf({ data, width, height }, hole) {
  const step = Math.max(1, Math.floor(Math.sqrt((width * height) / 1e6)));
  const colours = [];
  let grey = true;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const at = 4 * (y * width + x);
      if (!data[at + 3] || inHole(hole, x, y)) continue;
      grey &&= data[at] === data[at + 1] && data[at] === data[at + 2];
      if (x % step === 0 && y % step === 0) colours.push(at);
    }
  if (!colours.length) return null;
  if (grey) return { centre: [0, 0, 0], along: [1, 1, 1].map((one) => one / Math.sqrt(3)), reach: 0 };
  const centre = [0, 1, 2].map((c) => colours.reduce((total, at) => total + data[at + c], 0) / colours.length);
  const spread = [0, 1, 2].map((c) => [0, 1, 2].map((d) =>
    colours.reduce((total, at) => total + (data[at + c] - centre[c]) * (data[at + d] - centre[d]), 0)));
  let along = [1, 0.9, 0.8];
  for (let round = 0; round < 200; round++) {
    const next = spread.map((row) => row.reduce((total, value, k) => total + value * along[k], 0));
    const length = Math.hypot(...next) || 1;
    along = next.map((value) => value / length);
  }
  const line = { centre, along, reach: 0 };
  const far = Float32Array.from(colours, (at) => Math.hypot(...beside(line, [data[at], data[at + 1], data[at + 2]])));
  far.sort();
  const nearly = far[Math.floor((1 - FEW) * (far.length - 1))];
  line.reach = nearly < PALE * 255 ? nearly : far[far.length - 1];
  return line;
}

function beside({ centre, along }, colour) {
  const apart = colour.map((value, k) => value - centre[k]);
  const step = apart[0] * along[0] + apart[1] * along[1] + apart[2] * along[2];
  return apart.map((value, k) => value - step * along[k]);
}

/** A colour as whole numbers, no farther from the line than its reach, if there are whole numbers so near. */
export function held(line, colour) {
  const off = beside(line, colour);
  const shrink = Math.min(1, line.reach / Math.max(Math.hypot(...off), 1e-9));
  let wanted = colour.map((value, k) => value - off[k] * (1 - shrink));
  let [first, last] = [-Infinity, Infinity]; // moved along the line into the cube: cut off, it would leave the line
  wanted.forEach((value, k) => {
    if (!line.along[k]) return;
    const ends = [-value / line.along[k], (255 - value) / line.along[k]].sort((a, b) => a - b);
    first = Math.max(first, ends[0]);
    last = Math.min(last, ends[1]);
  });
  const step = first <= last ? Math.min(last, Math.max(first, 0)) : 0;
  wanted = wanted.map((value, k) => value + step * line.along[k]);
  const inside = (value) => Math.min(255, Math.max(0, value));
  const whole = wanted.map((value) => inside(Math.round(value)));
  if (Math.hypot(...beside(line, whole)) <= line.reach + 1e-9) return whole;
  let [best, cost] = [whole, Infinity];
  for (let at = 0; at < 13 * 8; at++) { // a little lighter and darker, too: 13 half steps along the line
    const along = ((at >> 3) - 6) / 2;
    const choice = wanted.map((value, k) => inside(Math.floor(value + along * line.along[k]) + ((at >> k) & 1)));
    const outside = Math.max(0, Math.hypot(...beside(line, choice)) - line.reach);
    const price = 1e6 * outside + Math.hypot(...choice.map((value, k) => value - wanted[k]));
    if (price < cost) [best, cost] = [choice, price];
  }
  return best;
}

// --- the repair at full size ----------------------------------------------------------------------------------------

/** Lay the network's picture (3 planes, n x n, 0 to 255) into the hole of a picture: a new picture, all else as it was. */
export function laidIn(picture, frame, hole, painted, n) {
  const { data, width } = picture;
  const place = into(frame);
  const { top, left, width: w, height: h, mask } = hole;
  const fill = new Float32Array(3 * w * h);
  const step = new Float32Array(4 * w * h); // the difference at known pixels, and alpha
  const known = new Uint8Array(w * h);
  const opaque = new Uint8Array(w * h);
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const i = y * w + x;
      const [u, v] = place(x + left + 0.5, y + top + 0.5);
      bicubic(painted, n, u * n - 0.5, v * n - 0.5, fill, 3 * i);
      if (mask[i]) continue;
      const at = 4 * ((y + top) * width + x + left);
      opaque[i] = 1;
      step[4 * i + 3] = data[at + 3];
      if (!data[at + 3] || u < 0 || v < 0 || u > 1 || v > 1) continue;
      known[i] = 1;
      for (let c = 0; c < 3; c++) step[4 * i + c] = data[at + c] - fill[3 * i + c];
    }
  const alpha = Float32Array.from({ length: w * h }, (_, i) => step[4 * i + 3]);
  const [any, some] = [known.includes(1), opaque.includes(1)];
  membrane(step, known, w, h, 4);
  membrane(alpha, opaque, w, h, 1);
  const line = lineOf(picture, hole);
  const made = new Uint8ClampedArray(data);
  for (let i = 0; i < w * h; i++) {
    if (!mask[i]) continue;
    const at = 4 * ((Math.floor(i / w) + top) * width + (i % w) + left);
    const seamless = [0, 1, 2].map((c) => Math.min(255, Math.max(0, fill[3 * i + c] + (any ? step[4 * i + c] : 0))));
    made.set(line ? held(line, seamless) : seamless.map(Math.round), at);
    made[at + 3] = some ? Math.round(alpha[i]) : 255;
  }
  return { data: made, width, height: picture.height };
}

/** Keys' cubic convolution of three planes at (x, y), the edge carried on. */
function bicubic(planes, n, x, y, out, at) {
  const weight = (t) => {
    const a = Math.abs(t);
    return a < 1 ? (1.5 * a - 2.5) * a * a + 1 : a < 2 ? ((-0.5 * a + 2.5) * a - 4) * a + 2 : 0;
  };
  const [x0, y0] = [Math.floor(x), Math.floor(y)];
  for (let j = -1; j <= 2; j++)
    for (let i = -1; i <= 2; i++) {
      const share = weight(x - x0 - i) * weight(y - y0 - j);
      if (!share) continue;
      const [u, v] = [Math.min(n - 1, Math.max(0, x0 + i)), Math.min(n - 1, Math.max(0, y0 + j))];
      for (let c = 0; c < 3; c++) out[at + c] += share * planes[(c * n + v) * n + u];
    }
}

// --- a file ---------------------------------------------------------------------------------------------------------

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function chunk(kind, ...parts) {
  const length = parts.reduce((total, part) => total + part.length, 0);
  const whole = new Uint8Array(length + 12);
  const view = new DataView(whole.buffer);
  view.setUint32(0, length);
  whole.set([...kind].map((letter) => letter.charCodeAt(0)), 4);
  let at = 8;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  let crc = 0xffffffff;
  for (let i = 4; i < at; i++) crc = CRC[(crc ^ whole[i]) & 255] ^ (crc >>> 8);
  view.setUint32(at, (crc ^ 0xffffffff) >>> 0);
  return whole;
}

/** A PNG file of a picture of any size; a canvas would allow 16,777,216 pixels on a phone. */
export async function pngOf({ data, width, height }) {
  let opaque = true;
  for (let i = 3; opaque && i < data.length; i += 4) opaque = data[i] === 255;
  const planes = opaque ? 3 : 4;
  const squeeze = new CompressionStream("deflate");
  const writer = squeeze.writable.getWriter();
  const packed = new Response(squeeze.readable).arrayBuffer();
  const STRIP = 64;
  for (let top = 0; top < height; top += STRIP) {
    const rows = Math.min(STRIP, height - top);
    const strip = new Uint8Array(rows * (1 + planes * width));
    let at = 0;
    for (let y = top; y < top + rows; y++) {
      strip[at++] = 1; // each byte less the one of the pixel on its left
      for (let x = 0, from = 4 * y * width; x < width; x++, from += 4)
        for (let c = 0; c < planes; c++) strip[at++] = data[from + c] - (x ? data[from + c - 4] : 0);
    }
    await writer.write(strip);
  }
  await writer.close();
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([8, opaque ? 2 : 6, 0, 0, 0], 8);
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const space = chunk("sRGB", new Uint8Array([0]));
  const body = chunk("IDAT", new Uint8Array(await packed));
  return new Blob([signature, chunk("IHDR", header), space, body, chunk("IEND")], { type: "image/png" });
}

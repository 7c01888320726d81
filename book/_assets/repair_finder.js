// Where the face is in a picture: CenterFace and its five landmarks, as in faceinpaint/repair/finder.py.

const STEP = 32;
const LEAST = 0.15;
const ENOUGH = 0.6;
const LEAST_SIDE = 24;
const ZOOM = 96;
const STRAIGHT = 20;
const [SURE, TURNED] = [0.85, 0.75];
const [ENLARGED, LOWERED] = [1.036, 0.008];

/** Planes of floats, {planes: [r, g, b], width, height}. */
export function planesOf({ data, width, height }) {
  const planes = [0, 1, 2].map((c) => Float32Array.from({ length: width * height }, (_, i) => data[4 * i + c]));
  return { planes, width, height };
}

function made(width, height, value) {
  const planes = [0, 1, 2].map(() => new Float32Array(width * height));
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) for (let c = 0; c < 3; c++) planes[c][y * width + x] = value(c, x, y);
  return { planes, width, height };
}

function halved({ planes, width, height }) {
  return made(width >> 1, height >> 1, (c, x, y) => {
    const at = 2 * y * width + 2 * x;
    return (planes[c][at] + planes[c][at + 1] + planes[c][at + width] + planes[c][at + width + 1]) / 4;
  });
}

/** Turned by a quarter to the left. */
function turned({ planes, width, height }) {
  return made(height, width, (c, x, y) => planes[c][x * width + width - 1 - y]);
}

function mirror({ planes, width, height }) {
  return made(width, height, (c, x, y) => planes[c][y * width + width - 1 - x]);
}

/** The square of CelebA-HQ around a face that was seen: {x, y, side, tilt}. */
export function frameOf({ points: [left, right, , ...mouth] }) {
  const mean = (a, b) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  const [eyes, lips] = [mean(left, right), mean(...mouth)];
  const between = [right[0] - left[0], right[1] - left[1]];
  const up = [eyes[0] - lips[0], eyes[1] - lips[1]];
  const side = Math.max(4 * Math.hypot(...between), 3.6 * Math.hypot(...up), 1e-3) / ENLARGED;
  const turn = Math.atan2(between[1] + up[0], between[0] - up[1]);
  const down = 0.1 * Math.hypot(...up) - LOWERED * side;
  return { x: eyes[0] - down * Math.sin(turn), y: eyes[1] + down * Math.cos(turn), side, tilt: (turn * 180) / Math.PI };
}

function moved(sight, move) {
  return { score: sight.score, points: sight.points.map(([x, y]) => move(x, y)) };
}

function unmirrored(sight, width) {
  const points = sight.points.map(([x, y]) => [width - x, y]);
  return { score: sight.score, points: [1, 0, 2, 4, 3].map((k) => points[k]) };
}

/** Sights of the same face joined to their mean, the surest first. */
function apart(sights) {
  const groups = [];
  for (const sight of [...sights].sort((a, b) => b.score - a.score)) {
    const { x, y, side } = frameOf(sight);
    const group = groups.find(([first]) => {
      const other = frameOf(first);
      return Math.hypot(x - other.x, y - other.y) < 0.3 * Math.max(side, other.side);
    });
    if (!group) {
      groups.push([sight]);
      continue;
    }
    const other = frameOf(group[0]).side;
    const far = Math.max(...sight.points.flatMap((p, k) => p.map((v, i) => Math.abs(v - group[0].points[k][i]))));
    if (side / other > 0.6 && side / other < 1.6 && far < 0.4 * other) group.push(sight);
  }
  const joined = groups.map((group) => {
    const weight = group.reduce((total, { score }) => total + score ** 2, 0);
    const points = group[0].points.map((_, k) =>
      [0, 1].map((i) => group.reduce((total, s) => total + s.score ** 2 * s.points[k][i], 0) / weight));
    return { score: group[0].score, points };
  });
  // One that swallows surer faces is none.
  const swallows = (large, small) => {
    const [a, b] = [frameOf(large), frameOf(small)];
    return b.side < 0.6 * a.side && Math.max(Math.abs(a.x - b.x), Math.abs(a.y - b.y)) < 0.35 * a.side;
  };
  return joined.filter((one, i) => !joined.slice(0, i).some((surer) => swallows(one, surer)));
}

async function look(run, { planes, width, height }) {
  const [w, h] = [Math.ceil(width / STEP) * STEP, Math.ceil(height / STEP) * STEP];
  const input = new Float32Array(3 * w * h);
  planes.forEach((plane, c) => {
    for (let y = 0; y < height; y++) input.set(plane.subarray(y * width, (y + 1) * width), (c * h + y) * w);
  });
  const { heat, size, offset, marks } = await run(input, w, h);
  const [m, n] = [w / 4, h / 4];
  const at = (map, c, x, y) => map[(c * n + y) * m + x];
  const found = [];
  for (let y = 0; y < n; y++)
    for (let x = 0; x < m; x++) {
      const score = at(heat, 0, x, y);
      if (score < LEAST) continue;
      let top = true;
      for (let v = Math.max(0, y - 1); v <= Math.min(n - 1, y + 1); v++)
        for (let u = Math.max(0, x - 1); u <= Math.min(m - 1, x + 1); u++) top &&= at(heat, 0, u, v) <= score;
      if (!top) continue;
      const extent = [0, 1].map((c) => 4 * Math.exp(Math.min(8, Math.max(-5, at(size, c, x, y)))));
      const corner = [y, x].map((v, c) => 4 * (v + at(offset, c, x, y) + 0.5) - extent[c] / 2);
      const points = [0, 1, 2, 3, 4].map((k) => [
        at(marks, 2 * k + 1, x, y) * extent[1] + corner[1], at(marks, 2 * k, x, y) * extent[0] + corner[0]]);
      found.push({ score, points });
    }
  return apart(found);
}

/** A face seen again, upright and of one size. */
async function upright(run, picture, sight) {
  const { x, y, side, tilt } = frameOf(sight);
  const scale = side / ZOOM;
  const [c, s] = [scale * Math.cos((tilt * Math.PI) / 180), scale * Math.sin((tilt * Math.PI) / 180)];
  const back = (u, v) => [x + c * (u - ZOOM) - s * (v - ZOOM), y + s * (u - ZOOM) + c * (v - ZOOM)];
  const fine = Math.max(1, Math.round(scale));
  const inside = (value, length) => Math.min(length - 1, Math.max(0, Math.floor(value)));
  const view = made(2 * ZOOM, 2 * ZOOM, (plane, u, v) => {
    let sum = 0;
    for (let j = 0; j < fine; j++)
      for (let i = 0; i < fine; i++) {
        const [px, py] = back(u + (i + 0.5) / fine, v + (j + 0.5) / fine);
        sum += picture.planes[plane][inside(py, picture.height) * picture.width + inside(px, picture.width)];
      }
    return sum / fine ** 2;
  });
  const views = await look(run, view);
  for (const other of await look(run, mirror(view))) views.push(unmirrored(other, 2 * ZOOM));
  const near = views.filter((one) => {
    const frame = frameOf(one);
    return Math.max(Math.abs(frame.x - ZOOM), Math.abs(frame.y - ZOOM)) < ZOOM / 3;
  });
  return near.length ? moved(apart(near)[0], back) : { ...sight, score: sight.score / 2 };
}

async function closely(run, picture, turn) {
  let view = picture;
  for (let k = 0; k < turn; k++) view = turned(view);
  const { width, height } = picture;
  const back = [
    (x, y) => [x, y], (x, y) => [width - y, x], (x, y) => [width - x, height - y], (x, y) => [y, height - x]][turn];
  const found = [];
  for (let scale = 1; scale <= 4 && Math.min(view.width, view.height) >= LEAST_SIDE; scale *= 2) {
    for (const mirrored of [false, true])
      for (const sight of await look(run, mirrored ? mirror(view) : view)) {
        const straight = mirrored ? unmirrored(sight, view.width) : sight;
        found.push(moved(straight, (x, y) => back(scale * x, scale * y)));
      }
    view = halved(view);
  }
  const sights = [];
  for (const sight of apart(found)) {
    const lean = ((frameOf(sight).tilt - 90 * turn + 180 + 720) % 360) - 180;
    sights.push(Math.abs(lean) > STRAIGHT ? await upright(run, picture, sight) : sight);
  }
  return apart(sights);
}

/** The faces of a picture, at any angle, as frames with how sure each is; the surest first.
 * @param run gives, for a picture as planes, the likelihood of a face at each place, its size, offset and landmarks. */
export async function findFaces(run, picture) {
  let best = await closely(run, picture, 0);
  for (let turn = 1; turn < 4 && !(best.length && best[0].score >= SURE); turn++) {
    const other = await closely(run, picture, turn);
    if (other.length && other[0].score >= Math.max(TURNED, best.length ? best[0].score : 0)) best = other;
  }
  return best.filter(({ score }) => score >= ENOUGH).map((sight) => ({ ...frameOf(sight), score: sight.score }));
}

// Runs the networks of the page "Repair in this page", beside the page's own thread so that the page stays usable, and
// holds the picture at its full size.
// Messages in: {load: {runtime, wasm, networks: {name: address}}}, {picture}, {find: picture}, {see: {picture, frame,
// size}}, {like: another photograph of the person, as seen, or null}, {repair: {grid, side, frame, size, view}}, {save:
// true}. Each is answered by one message; {progress: bytes so far} may come before it, and {failed: text} in its place.

import { findFaces, planesOf } from "./repair_finder.js";
import { cut, holeOf, laidIn, membrane, pngOf } from "./repair_picture.js";

let ort, picture, repaired;
let lent = null; // of another photograph of the person: its style matrix, and the regions that it shows
const networks = {};

/** One file, unpacked if it is packed (a server may have done so already), with its bytes told as they come. */
async function fetchBytes(address, told) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address} answers ${answer.status}`);
  const parts = [];
  for (const reader = answer.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    told(value.length);
  }
  const whole = new Blob(parts);
  const [first, second] = new Uint8Array(await whole.slice(0, 2).arrayBuffer());
  const packed = first === 0x1f && second === 0x8b;
  const plain = packed ? new Response(whole.stream().pipeThrough(new DecompressionStream("gzip"))) : whole;
  return new Uint8Array(await plain.arrayBuffer());
}

async function load({ runtime, wasm, networks: addresses }) {
  let loaded = 0;
  const told = (bytes) => postMessage({ progress: (loaded += bytes) });
  const wanted = Object.entries(ort ? addresses : { wasm, ...addresses });
  const got = await Promise.all(wanted.map(async ([name, address]) => [name, await fetchBytes(address, told)]));
  const files = Object.fromEntries(got);
  if (!ort) {
    ort = await import(runtime);
    ort.env.logLevel = "error";
    ort.env.wasm.numThreads = 1; // more would need a server that sends special headers
    ort.env.wasm.wasmBinary = files.wasm.buffer;
  }
  for (const name of Object.keys(addresses)) networks[name] = await ort.InferenceSession.create(files[name]);
  return { ready: true };
}

async function find(small) {
  const { inputNames, outputNames } = networks.finder;
  const run = async (input, width, height) => {
    const found = await networks.finder.run({ [inputNames[0]]: new ort.Tensor("float32", input, [1, 3, height, width]) });
    const [heat, size, offset, marks] = outputNames.map((name) => found[name].data);
    return { heat, size, offset, marks };
  };
  return { found: await findFaces(run, planesOf(small)) };
}

/** What the networks see of a picture: colours, the same as planes in [-1, 1], zero in the hole, and the hole. */
function seen(of, frame, size, hole = null) {
  const { colours, gone, clear } = cut(of, frame, size, hole);
  if (gone.some((hidden, i) => !hidden && clear[i])) {
    // Colour under full transparency is nobody's: what is around it is carried in.
    const known = Uint8Array.from(gone, (hidden, i) => (hidden || clear[i] ? 0 : 1));
    const carried = membrane(colours.slice(), known, size, size, 4);
    for (let i = 0; i < gone.length; i++) if (!gone[i] && clear[i]) colours.set(carried.subarray(4 * i, 4 * i + 3), 4 * i);
  }
  const plane = size * size;
  const image = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++)
    for (let c = 0; c < 3; c++) image[c * plane + i] = gone[i] ? 0 : colours[4 * i + c] / 127.5 - 1;
  return { colours, image, gone };
}

function feedsOf({ image, gone }) {
  const size = Math.sqrt(gone.length);
  return {
    image: new ort.Tensor("float32", image, [1, 3, size, size]),
    hole: new ort.Tensor("float32", Float32Array.from(gone), [1, 1, size, size]),
  };
}

/** What the generator is told where there is no other photograph. */
function nobody() {
  const zeros = ["reference", "lends"].map((name) => {
    const { shape } = networks.generator.inputMetadata.find((input) => input.name === name);
    return [name, new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b)), shape)];
  });
  return Object.fromEntries(zeros);
}

/** Read another photograph of the person. */
async function like(other) {
  lent = null;
  if (!other) return;
  const feeds = feedsOf(other);
  const { regions } = await networks.parser.run(feeds);
  const none = nobody();
  const { styles } = await networks.generator.run({ ...feeds, regions, ...none });
  const shown = none.lends.data.map((_, region) => Number(regions.data.includes(region + 1)));
  lent = { reference: styles, lends: new ort.Tensor("float32", shown, none.lends.dims) };
}

/** The networks' picture of what a frame shows, laid into the hole at full size; with what the page shows of it. */
async function repair({ grid, side, frame, size, view }) {
  const hole = holeOf(picture, frame, grid, side);
  if (!hole) throw new Error("the hole lies outside of the picture");
  const { image, gone } = seen(picture, frame, size, hole);
  const feeds = feedsOf({ image, gone });
  const began = performance.now();
  const { regions } = await networks.parser.run(feeds);
  const parsed = performance.now();
  const { painted: out, styles, lent: shares } = await networks.generator.run({ ...feeds, regions, ...(lent ?? nobody()) });
  const ended = performance.now();
  const painted = out.data.map((value) => Math.min(255, Math.max(0, Math.round((value + 1) * 127.5))));
  repaired = laidIn(picture, frame, hole, painted, size);
  const shown = (of) => Uint8ClampedArray.from(cut(of, frame, view).colours, Math.round);
  const seconds = { parser: (parsed - began) / 1000, generator: (ended - parsed) / 1000 };
  return {
    repaired: {
      view, before: shown(picture), rgba: shown(repaired), hole: cut(picture, frame, view, hole).gone,
      regions: regions.data, gone, styles: styles.data, columns: styles.dims[2], seconds,
      lent: lent && shares.data,
    },
  };
}

async function answer({ load: files, picture: given, find: small, see, like: other, repair: question }) {
  if (files) return load(files);
  if (given) {
    [picture, repaired] = [given, null];
    return { taken: true };
  }
  if (small) return find(small);
  if (see) {
    const { colours, image, gone } = seen(see.picture, see.frame, see.size);
    return { seen: { image, gone, shown: Uint8ClampedArray.from(colours, Math.round) } };
  }
  if (other !== undefined) {
    await like(other);
    return { read: true };
  }
  if (question) return repair(question);
  return { saved: await pngOf(repaired) };
}

onmessage = async ({ data }) => {
  try {
    postMessage(await answer(data));
  } catch (error) {
    postMessage({ failed: String((error && error.message) || error) });
  }
};

// Runs the two networks of the page "Repair in this page", beside the page's own thread so that the page stays usable.
// Messages in:  {load: {runtime, files: {wasm, parser, generator}, bytes}} once, then {repair: {rgba, hole}} any number.
// Messages out: {progress: bytes so far}, {ready: true}, {repaired: {...}}, {failed: text}.

let ort, parser, generator, size;

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

async function load({ runtime, files, pixels }) {
  size = pixels;
  let loaded = 0;
  const told = (bytes) => postMessage({ progress: (loaded += bytes) });
  const wanted = Object.entries(files).map(async ([name, address]) => [name, await fetchBytes(address, told)]);
  const got = Object.fromEntries(await Promise.all(wanted));
  ort = await import(runtime);
  ort.env.wasm.numThreads = 1; // more would need a server that sends special headers
  ort.env.wasm.wasmBinary = got.wasm.buffer;
  parser = await ort.InferenceSession.create(got.parser);
  generator = await ort.InferenceSession.create(got.generator);
  await repair({ rgba: new Uint8ClampedArray(4 * size * size), hole: new Uint8Array(size * size) }); // the first is slow
  postMessage({ ready: true });
}

/** Repaired pixels, regions, style matrix and seconds for one picture, size x size. */
async function repair({ rgba, hole }) {
  const plane = size * size;
  const image = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++)
    for (let c = 0; c < 3; c++) image[c * plane + i] = hole[i] ? 0 : rgba[4 * i + c] / 127.5 - 1;
  const feeds = {
    image: new ort.Tensor("float32", image, [1, 3, size, size]),
    hole: new ort.Tensor("float32", Float32Array.from(hole), [1, 1, size, size]),
  };
  const began = performance.now();
  const { regions } = await parser.run(feeds);
  const parsed = performance.now();
  const { repaired, styles } = await generator.run({ ...feeds, regions });
  const ended = performance.now();
  // Known pixels are the bytes that came in; only the hole takes the network's.
  const out = new Uint8ClampedArray(rgba);
  for (let i = 0; i < plane; i++)
    if (hole[i]) for (let c = 0; c < 3; c++) out[4 * i + c] = Math.round((repaired.data[c * plane + i] + 1) * 127.5);
  const seconds = { parser: (parsed - began) / 1000, generator: (ended - parsed) / 1000 };
  return { rgba: out, regions: regions.data, styles: styles.data, columns: styles.dims[2], seconds };
}

onmessage = async ({ data }) => {
  try {
    if (data.load) await load(data.load);
    if (data.repair) postMessage({ repaired: await repair(data.repair) });
  } catch (error) {
    postMessage({ failed: String((error && error.message) || error) });
  }
};

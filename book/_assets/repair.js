// The page "Repair in this page": choose a face, paint a hole, see the repair. Everything happens in this browser;
// the networks run in repair_worker.js. What the page needs to know (size, regions, files) stands in about.json,
// which the build writes beside the networks.

const STATIC = new URL("./", import.meta.url);
const FILES = new URL("repair/", STATIC);
const ROOT = document.getElementById("repair");
const VIEW = 512; // pixels of the canvas that is painted on, whatever the size of the networks
const GRID = 512; // cells along each side of what is painted over a picture of the reader's
const SMALL = 640; // pixels of the longer side in which the detector looks for a face
const UNDO = 50; // strokes that can be taken back

// Where eyes and mouth of an aligned CelebA-HQ face stand, as shares of the side: the quarter of the frame between the
// eyes, the mouth 1/3.6 of it below them (Karras et al., 2018).
const GUIDE = { eyes: [[0.375, 0.472], [0.625, 0.472]], mouth: [0.5, 0.75] };

// ColorBrewer's PuOr from violet to orange, the colours of style matrices in the other chapters.
const DIVERGING = [
  [45, 0, 75], [84, 39, 136], [128, 115, 172], [178, 171, 210], [216, 218, 235], [247, 247, 247],
  [254, 224, 182], [253, 184, 99], [224, 130, 20], [179, 88, 6], [127, 59, 8],
];

const TEMPLATE = `
<fieldset>
  <legend>1. Choose a face</legend>
  <div class="fr-faces" data-part="faces"></div>
  <p class="fr-row"><label class="fr-button">Your own picture <input type="file" accept="image/*" data-part="file"></label>
  <span>or drop it here, or paste it. It never leaves this browser: nothing is sent anywhere.</span></p>
</fieldset>
<fieldset>
  <legend data-part="task">2. Paint the hole</legend>
  <div class="fr-work">
    <canvas class="fr-stage" width="${VIEW}" height="${VIEW}" tabindex="0" role="application" data-part="stage"
      aria-label="Face to paint on" aria-describedby="repair-keys"></canvas>
    <div class="fr-tools" data-part="paint">
      <label class="fr-slider"><span>Brush</span><input type="range" min="1" max="24" value="8" data-part="brush">
        <output data-part="brushed"></output></label>
      <p class="fr-row">
        <button type="button" data-part="erase" aria-pressed="false">Erase</button>
        <button type="button" data-part="undo">Undo</button>
        <button type="button" data-part="clear">Clear</button>
        <button type="button" data-part="reframe" hidden>Frame again</button></p>
      <p data-part="share"></p>
      <p id="repair-keys" class="fr-note">Mouse or finger: draw. Keyboard: arrow keys move the brush (with Shift by one
        pixel), hold the space bar to paint, Ctrl+Z takes a stroke back.</p>
    </div>
    <div class="fr-tools" data-part="frame" hidden>
      <p>Bring the eyes into the two ovals and the mouth into the third: so the faces stood that the networks learned
        from. A detector tries it first; move the frame if it went wrong.</p>
      <label class="fr-slider"><span>Larger</span><input type="range" min="0" max="100" step="any" value="0" data-part="zoom"></label>
      <label class="fr-slider"><span>Across</span><input type="range" min="0" max="100" step="0.5" data-part="across"></label>
      <label class="fr-slider"><span>Down</span><input type="range" min="0" max="100" step="0.5" data-part="down"></label>
      <label class="fr-slider"><span>Turn</span><input type="range" min="-180" max="180" value="0" data-part="turn"></label>
      <p class="fr-row"><button type="button" class="fr-main" data-part="use">Use this part</button>
        <button type="button" data-part="find">Find the face</button></p>
      <p class="fr-note">The picture can also be dragged, and made larger or smaller with the mouse wheel.</p>
    </div>
  </div>
</fieldset>
<fieldset>
  <legend>3. Repair</legend>
  <div class="fr-row" data-part="other">
    <label class="fr-button"><span data-part="choose"></span> <input type="file" accept="image/*" data-part="like"></label>
    <canvas class="fr-other" data-part="liked" role="img" aria-label="The face of the other photograph" hidden></canvas>
    <button type="button" data-part="unlike" hidden>Remove</button></div>
  <p role="status" aria-live="polite" class="fr-note" data-part="likeness"></p>
  <p class="fr-row"><button type="button" class="fr-main" data-part="go">Repair</button>
    <span data-part="cost"></span></p>
  <progress data-part="progress" aria-label="Loading" hidden></progress>
  <p role="status" aria-live="polite" data-part="status"></p>
  <p class="fr-note" data-part="about"></p>
</fieldset>
<section data-part="result" hidden aria-label="Result">
  <div class="fr-results">
    <figure>
      <div class="fr-pair"><canvas data-part="before" role="img" aria-label="The picture as it was"></canvas>
        <canvas data-part="after" role="img" aria-label="The repaired picture"></canvas></div>
      <label class="fr-slider"><span>Before</span><input type="range" min="0" max="100" value="100" data-part="wipe"
        aria-label="From before (0) to after (100)"><span>After</span></label>
      <p class="fr-row"><button type="button" data-part="download">Download PNG</button></p>
    </figure>
    <figure>
      <canvas data-part="regions" role="img"></canvas>
      <ul class="fr-legend" data-part="legend"></ul>
      <figcaption>Regions, as the parser sees them in what is left of the face and guesses them in the hole.</figcaption>
    </figure>
  </div>
  <figure class="fr-styles">
    <canvas data-part="styles" role="img"></canvas>
    <div class="fr-columns" aria-hidden="true" data-part="columns"></div>
    <figcaption data-part="scale"></figcaption>
  </figure>
</section>`;

const $ = {}; // the parts of the template by name
let about; // about.json
let size; // side in pixels of what the networks see
let grid; // side of what is painted, in cells
let picture; // ImageData that is painted on, grid x grid
let place; // where that lies in the whole picture: {x, y, side, tilt}
let hole; // Uint8Array, grid x grid: 1 = hole
let strokes = []; // holes before each stroke, for undo
let cursor; // {x, y} of the brush in pixels of the picture
let pen = null; // hole before the stroke that is being drawn, if one is
let own = null; // a picture of the reader's: {whole, levels, x, y, zoom, turn}, x and y in pixels of the file
let other = null; // the face of another photograph of the person, as the networks see it: {image, gone, shown, frame}
let sent = null; // the whole picture that the worker holds
let told = null; // the other photograph that the worker has read
let framing = false;
let worker = null;
let loaded = {}; // what the worker has: "finder", "networks"
let busy = false;
let shown = null; // what the last repair gave

function canvasOf(width, height = width) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

function say(text, isError = false, where = $.status) {
  where.textContent = text;
  where.classList.toggle("fr-error", isError);
}

function note(text, isError = false) {
  say(text, isError, $.likeness);
}

// --- the picture ----------------------------------------------------------------------------------------------------

function take(image, frame) {
  picture = image;
  grid = image.width;
  place = frame;
  hole = new Uint8Array(grid * grid);
  strokes = [];
  pen = null;
  cursor = { x: grid / 2, y: grid / 2 };
  framing = false;
  $.result.hidden = true;
  layout();
}

async function takeDrawn(button) {
  const image = button.querySelector("img");
  await image.decode();
  const context = canvasOf(size).getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0, size, size);
  own = null;
  take(context.getImageData(0, 0, size, size), { x: size / 2, y: size / 2, side: size, tilt: 0 });
  press(button);
  say("");
}

function press(chosen) {
  for (const button of $.faces.children) button.setAttribute("aria-pressed", String(button === chosen));
}

/** A file as a photograph: all of its pixels, and what can be drawn of it. */
async function photoOf(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => {
    throw new Error("This browser cannot read that file as a picture. Choose a PNG, JPEG or WebP.");
  });
  const { width, height } = bitmap;
  const [whole, levels] = [pixelsOf(bitmap), [canvasOf(...within(bitmap, 2048))]];
  const first = levels[0].getContext("2d");
  first.imageSmoothingQuality = "high";
  first.drawImage(bitmap, 0, 0, levels[0].width, levels[0].height);
  bitmap.close();
  // Halves of halves, so that a large photograph is averaged and not sampled as it shrinks.
  for (let last = levels[0]; Math.min(last.width, last.height) >= 2 * size; last = levels.at(-1)) {
    const half = canvasOf(Math.ceil(last.width / 2), Math.ceil(last.height / 2));
    const context = half.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(last, 0, 0, half.width, half.height);
    levels.push(half);
  }
  return { whole, width, height, levels };
}

async function takeFile(file) {
  if (!file) return;
  try {
    const photo = await photoOf(file);
    own = { ...photo, x: photo.width / 2, y: photo.height / 2, zoom: 1, turn: 0 };
  } catch (error) {
    return say(error.message, true);
  }
  press(null);
  frame();
  await find();
}

/** What the detector finds in a photograph shrunk to so many pixels, and how many of its pixels one of these is. */
async function facesIn(photo, tell = say) {
  await load("finder", { finder: about.finder.file }, about.finder.bytes, tell);
  const [w, h] = within(photo, SMALL);
  const context = canvasOf(w, h).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const level = photo.levels.findLast((one) => one.width >= w) ?? photo.levels[0];
  context.drawImage(level, 0, 0, w, h);
  const { found } = await ask({ find: context.getImageData(0, 0, w, h) });
  return { found, scale: photo.width / w };
}

/** Width and height of a picture, shrunk until neither is more than so many pixels. */
function within({ width, height }, most) {
  const scale = Math.min(1, most / Math.max(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** All pixels of a picture, read in strips: on a phone a canvas has at most 16,777,216. */
function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  const rows = Math.max(1, Math.min(height, Math.floor(4e6 / width)));
  const context = canvasOf(width, rows).getContext("2d", { willReadFrequently: true });
  const data = new Uint8ClampedArray(4 * width * height);
  for (let top = 0; top < height; top += rows) {
    const high = Math.min(rows, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, top, width, high, 0, 0, width, high);
    data.set(context.getImageData(0, 0, width, high).data, 4 * top * width);
  }
  return { data, width, height };
}

/** Frame the face that the detector finds; the reader's frame stays where none is found. */
async function find() {
  const mine = own;
  if (busy) return;
  busy = true;
  layout();
  own.looked = true;
  const { width, height } = own;
  const asIs = { x: own.x, y: own.y, zoom: own.zoom, turn: own.turn };
  const yours = `Your picture, ${width} x ${height} pixels.`;
  try {
    const { found: [found = null], scale } = await facesIn(own);
    if (own === mine && framing) {
      const moved = Object.keys(asIs).some((name) => own[name] !== asIs[name]);
      if (found && !moved) {
        const side = found.side * scale;
        aim({ zoom: Math.min(width, height) / side, x: found.x * scale, y: found.y * scale, turn: -found.tilt });
      }
      say(
        moved ? `${yours} The frame is where you put it.`
          : found ? `${yours} The face was found. Use this part, or move the frame first.`
            : `${yours} No face was found. Bring it into the frame, then use this part.`,
      );
      ROOT.dispatchEvent(new CustomEvent("framed", { detail: found }));
    }
  } catch (error) {
    forget();
    if (own === mine && framing)
      say(`${yours} Bring the face into the frame, then use this part. (Nothing looks for it: ${error.message}.)`);
  }
  await rest();
}

/** Be free for what is asked next; a picture that came meanwhile is looked at. */
async function rest() {
  $.progress.hidden = true;
  busy = false;
  layout();
  if (own && framing && !own.looked) await find();
}

/** Take another photograph of the person; its styles are read before the next repair. */
async function takeOther(file) {
  if (!file) return;
  if (busy) return note("Wait until this page is done, then choose it again.", true);
  busy = true;
  leaveOther();
  layout();
  try {
    other = await faceOf(await photoOf(file));
    note("Its face was found. Press Repair: where little is left of a region, its style then comes from there.");
  } catch (error) {
    note(error.message, true);
  }
  presentOther();
  ROOT.dispatchEvent(new CustomEvent("likened", { detail: other }));
  await rest();
}

/** The one face of a photograph, as the networks see it. */
async function faceOf(photo) {
  const { found, scale } = await facesIn(photo, note).catch((error) => {
    forget();
    const problem = `Its face could not be looked for: ${error.message}. Check the connection and choose it again.`;
    throw new Error(problem, { cause: error });
  });
  const sure = found.filter(({ score }) => score >= about.finder.sure);
  if (sure.length !== 1) {
    const seen = sure.length ? `${sure.length} faces were` : "No face was";
    const remedy = "Choose a photograph that shows the face of the same person, and no other.";
    throw new Error(`${seen} found in it, so it is not used. ${remedy}`);
  }
  const [{ x, y, side, tilt }] = sure;
  const frame = { x: scale * x, y: scale * y, side: scale * side, tilt };
  const { seen } = await ask({ see: { picture: photo.whole, frame, size } });
  return { ...seen, frame };
}

function leaveOther() {
  other = null;
  presentOther();
  note("Optional: where little is left of a region, its style is taken from there. It stays in this browser, too.");
}

function presentOther() {
  if (other) show($.liked, new ImageData(other.shown, size));
  $.liked.hidden = $.unlike.hidden = !other;
  $.choose.textContent = other ? "Choose another" : "Another photograph of this person";
}

/** How far the other photograph lends, in words. */
function lentIn({ lent }) {
  const parts = about.columns.flatMap((name, i) => (lent[i] > 0 ? [`${name} (${percent(lent[i])})`] : []));
  return parts.length
    ? `The other photograph lends styles: ${parts.join(", ")}.`
    : "The other photograph lends nothing: enough is left of each region that it shows.";
}

function frame() {
  framing = true;
  $.result.hidden = true;
  layout();
  $.stage.focus({ preventScroll: true });
  const { width, height } = own;
  const small = Math.min(width, height) < size ? ` It is small: the networks work at ${size} x ${size}.` : "";
  say(`Your picture, ${width} x ${height} pixels. Bring the face into the frame, then use this part.${small}`);
}

/** Move and scale the frame within the reader's picture; what is given is set, the rest stays. */
function aim(change) {
  Object.assign(own, change);
  own.zoom = Math.min(64, Math.max(0.5, own.zoom));
  const { width, height } = own;
  own.x = Math.min(width, Math.max(0, own.x));
  own.y = Math.min(height, Math.max(0, own.y));
  layout();
}

function part(side) {
  const context = canvasOf(side).getContext("2d", { willReadFrequently: true });
  const { width, height, levels } = own;
  const scale = (side * own.zoom) / Math.min(width, height);
  const shrunk = (scale * width) / levels[0].width; // of the first level
  const level = levels[Math.min(levels.length - 1, Math.max(0, Math.floor(Math.log2(1 / shrunk))))];
  context.fillStyle = "#808080";
  context.fillRect(0, 0, side, side);
  context.imageSmoothingQuality = "high";
  context.translate(side / 2, side / 2);
  context.rotate((own.turn * Math.PI) / 180);
  context.scale(scale, scale);
  context.translate(-own.x, -own.y);
  context.drawImage(level, 0, 0, width, height);
  return context;
}

// --- the hole -------------------------------------------------------------------------------------------------------

function brush() {
  return (Number($.brush.value) / 100) * grid; // radius in cells
}

function begin() {
  pen = hole.slice();
}

/** Paint (or erase) from one point to another. */
function stroke(from, to) {
  const radius = brush();
  const value = $.erase.getAttribute("aria-pressed") === "true" ? 0 : 1;
  const steps = Math.max(1, Math.ceil((2 * Math.hypot(to.x - from.x, to.y - from.y)) / radius));
  for (let step = 0; step <= steps; step++) {
    const x = from.x + ((to.x - from.x) * step) / steps;
    const y = from.y + ((to.y - from.y) * step) / steps;
    for (let v = Math.max(0, Math.floor(y - radius)); v <= Math.min(grid - 1, y + radius); v++)
      for (let u = Math.max(0, Math.floor(x - radius)); u <= Math.min(grid - 1, x + radius); u++)
        if ((u + 0.5 - x) ** 2 + (v + 0.5 - y) ** 2 <= radius * radius) hole[v * grid + u] = value;
  }
}

function end() {
  if (!pen) return;
  if (pen.some((value, i) => value !== hole[i])) remember(pen);
  pen = null;
  layout();
}

function remember(before) {
  strokes.push(before);
  if (strokes.length > UNDO) strokes.shift();
}

function undo() {
  if (!strokes.length) return;
  hole = strokes.pop();
  layout();
  say(`Taken back. The hole covers ${percent(holeShare())} of the picture.`);
}

function clear() {
  if (!hole.includes(1)) return;
  remember(hole);
  hole = new Uint8Array(grid * grid);
  layout();
  say("The hole is cleared. Undo brings it back.");
}

function holeShare() {
  return hole.reduce((sum, value) => sum + value, 0) / hole.length;
}

function percent(share) {
  return share > 0 && share < 0.01 ? "less than 1%" : `${Math.round(100 * share)}%`;
}

// --- drawing --------------------------------------------------------------------------------------------------------

/** The picture with a grey checker board, which no face looks like, where the hole is. */
function damaged() {
  const made = new ImageData(new Uint8ClampedArray(picture.data), grid);
  const square = Math.max(1, grid / 32);
  for (let i = 0; i < hole.length; i++)
    if (hole[i]) {
      const odd = (Math.floor((i % grid) / square) + Math.floor(Math.floor(i / grid) / square)) % 2;
      made.data.fill(odd ? 118 : 158, 4 * i, 4 * i + 3);
    }
  return made;
}

function show(canvas, image) {
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d").putImageData(image, 0, 0);
}

let asked = false;
/** Draw soon, once, however often it is asked for. */
function layout() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

function draw() {
  const context = $.stage.getContext("2d");
  $.paint.hidden = framing;
  $.frame.hidden = !framing;
  $.task.textContent = framing ? "2. Bring the face into the frame" : "2. Paint the hole";
  $.go.disabled = framing || busy;
  $.unlike.disabled = busy;
  $.stage.setAttribute("aria-label", framing ? "Your picture: arrow keys move it, plus and minus scale it" : "Face to paint on");
  if (framing) {
    context.drawImage(part(VIEW).canvas, 0, 0);
    guide(context);
    $.zoom.value = (100 * Math.log(2 * own.zoom)) / Math.log(128);
    $.across.value = (100 * own.x) / own.width;
    $.down.value = (100 * own.y) / own.height;
    $.turn.value = own.turn;
    $.find.disabled = busy;
    return;
  }
  const small = canvasOf(grid);
  show(small, damaged());
  context.imageSmoothingEnabled = grid >= 128;
  context.drawImage(small, 0, 0, VIEW, VIEW);
  ring(context, (cursor.x * VIEW) / grid, (cursor.y * VIEW) / grid, (brush() * VIEW) / grid);
  $.undo.disabled = !strokes.length;
  $.clear.disabled = !hole.includes(1);
  $.reframe.hidden = !own;
  $.brushed.textContent = `${Math.round((2 * brush() * place.side) / grid)} px`;
  const share = holeShare();
  $.share.textContent = share
    ? `The hole covers ${percent(share)} of the picture.${share > 0.6 ? " The networks never saw more than 60%." : ""}`
    : "Nothing is painted yet.";
}

/** A ring that is seen on light and on dark. */
function ring(context, x, y, rx, ry = rx) {
  for (const [colour, width] of [["#000", 4], ["#fff", 2]]) {
    context.beginPath();
    context.ellipse(x, y, rx, ry, 0, 0, 2 * Math.PI);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }
}

function guide(context) {
  for (const [x, y] of GUIDE.eyes) ring(context, x * VIEW, y * VIEW, 0.06 * VIEW, 0.035 * VIEW);
  ring(context, GUIDE.mouth[0] * VIEW, GUIDE.mouth[1] * VIEW, 0.1 * VIEW, 0.04 * VIEW);
}

// --- loading and repairing ------------------------------------------------------------------------------------------

function megabytes(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** One question to the worker; each of its messages but progress answers it. */
function ask(question, progressed) {
  return new Promise((answered, failed) => {
    worker.onmessage = ({ data }) => {
      if (data.progress) progressed?.(data.progress);
      else if (data.failed) failed(new Error(data.failed));
      else answered(data);
    };
    worker.onerror = (event) => failed(new Error(event.message || "the script of the networks cannot be loaded"));
    worker.postMessage(question);
  });
}

/** Have the worker load networks, once, with what runs them. */
async function load(what, networks, bytes, tell = say) {
  if (loaded[what]) return;
  const all = bytes + (Object.keys(loaded).length ? 0 : about.sizes.wasm);
  worker ??= new Worker(new URL("repair_worker.js", STATIC), { type: "module" });
  $.progress.max = all;
  $.progress.value = 0;
  $.progress.hidden = false;
  const address = (path) => new URL(path, FILES).href;
  const files = Object.fromEntries(Object.entries(networks).map(([name, path]) => [name, address(path)]));
  const named = what === "finder" ? "what looks for the face" : "the networks and what runs them";
  tell(`Loading ${named}, ${megabytes(all)} ...`);
  const question = { runtime: address(about.runtime), wasm: address(about.files.wasm), networks: files };
  await ask({ load: question }, (come) => {
    $.progress.value = come;
    $.progress.setAttribute("aria-valuetext", `${megabytes(come)} of ${megabytes(all)}`);
    if (come >= all) tell("Loaded. Getting ready ...");
  });
  loaded[what] = true;
}

/** Begin again after something went wrong. */
function forget() {
  worker?.terminate();
  [worker, loaded, sent, told] = [null, {}, null, null];
}

async function repair() {
  if (busy) return;
  if (!hole.includes(1)) return say("Paint a hole first: it is what gets repaired.");
  busy = true;
  $.go.disabled = true;
  const [mask, frame] = [hole.slice(), place];
  const whole = own ? own.whole : picture;
  try {
    const { parser, generator } = about.files;
    await load("networks", { parser, generator }, about.sizes.parser + about.sizes.generator);
    $.cost.textContent = "";
    $.progress.hidden = true;
    if (told !== other) {
      if (other) say("Reading the other photograph ...");
      await ask({ like: other });
      told = other;
    }
    say("Repairing ...");
    if (sent !== whole) {
      const { data, width, height } = whole;
      await ask({ picture: { data, width, height } });
      sent = whole;
    }
    const view = own ? Math.min(1024, Math.max(size, Math.round(frame.side))) : size;
    const { repaired } = await ask({ repair: { grid: mask, side: grid, frame, size, view } });
    shown = repaired;
    present();
    const seconds = repaired.seconds;
    say(
      `Repaired in ${(seconds.parser + seconds.generator).toFixed(1)} seconds: ${seconds.parser.toFixed(1)} for the ` +
        `regions, ${seconds.generator.toFixed(1)} for the picture.`,
    );
    if (shown.lent) note(lentIn(shown));
    ROOT.dispatchEvent(new CustomEvent("repaired", { detail: shown }));
  } catch (error) {
    forget();
    say(`That did not work: ${error.message}. Check the connection and press Repair again.`, true);
  }
  await rest();
}

function present() {
  $.result.hidden = false;
  show($.before, new ImageData(shown.before, shown.view));
  show($.after, new ImageData(shown.rgba, shown.view));
  $.wipe.value = 100;
  wipe();
  presentRegions();
  presentStyles();
}

function wipe() {
  $.after.style.clipPath = `inset(0 ${100 - Number($.wipe.value)}% 0 0)`;
}

function presentRegions() {
  const colours = about.regions.map(({ colour }) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  const map = new ImageData(size, size);
  const counts = about.regions.map(() => 0);
  shown.regions.forEach((region, i) => {
    map.data.set([...colours[region], 255], 4 * i);
    counts[region]++;
  });
  show($.regions, map);
  const seen = about.regions.map(({ name, colour }, i) => ({ name, colour, share: counts[i] / shown.regions.length }));
  const present = seen.filter(({ share }) => share);
  $.legend.replaceChildren(
    ...present.map(({ name, colour }) => {
      const item = document.createElement("li");
      const swatch = item.appendChild(document.createElement("i"));
      swatch.style.background = colour;
      item.append(name);
      return item;
    }),
  );
  const text = present.map(({ name, share }) => `${name} ${percent(share)}`).join(", ");
  $.regions.setAttribute("aria-label", `Predicted regions: ${text}.`);
}

function presentStyles() {
  const { styles, columns } = shown;
  const limit = styles.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-6);
  const map = new ImageData(columns, styles.length / columns);
  styles.forEach((value, i) => {
    const at = ((value / limit + 1) / 2) * (DIVERGING.length - 1);
    const low = Math.min(DIVERGING.length - 2, Math.floor(at));
    const colour = DIVERGING[low].map((c, k) => c + (DIVERGING[low + 1][k] - c) * (at - low));
    map.data.set([...colour, 255], 4 * i);
  });
  show($.styles, map);
  $.columns.replaceChildren(
    ...about.columns.map((name) => {
      const column = document.createElement("span");
      column.textContent = name;
      return column;
    }),
  );
  $.scale.textContent =
    `Style matrix: ${map.height} numbers for each region, read from what is known of it; the last column is the ` +
    `whole face. Orange is positive, violet negative, the deepest colour is ${limit.toPrecision(2)}. ` +
    `A region that is not seen has a white column.${shown.lent ? ` ${lentIn(shown)}` : ""}`;
  $.styles.setAttribute(
    "aria-label",
    `Heat map of the style matrix: ${map.height} rows, columns ${about.columns.join(", ")}.`,
  );
}

/** The whole picture, at its full size. */
async function download() {
  if (busy) return;
  busy = true;
  layout();
  try {
    const { saved } = await ask({ save: true });
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(saved), download: "repaired.png" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    say(`The file could not be written: ${error.message}.`, true);
  }
  await rest();
}

// --- hands and keys -------------------------------------------------------------------------------------------------

function at(event) {
  const box = $.stage.getBoundingClientRect();
  return { x: ((event.clientX - box.left) / box.width) * grid, y: ((event.clientY - box.top) / box.height) * grid };
}

let held = null; // pointer that draws or drags

function pointerDown(event) {
  if (held !== null || event.button > 0) return;
  held = event.pointerId;
  $.stage.setPointerCapture(held);
  cursor = at(event);
  if (!framing) {
    begin();
    stroke(cursor, cursor);
  }
  layout();
}

function pointerMove(event) {
  if (held !== null && event.pointerId !== held) return;
  const moves = event.getCoalescedEvents?.() ?? [];
  for (const move of moves.length ? moves : [event]) {
    const to = at(move);
    if (framing && held !== null) {
      const scale = Math.min(own.width, own.height) / own.zoom / grid;
      const [sin, cos] = [Math.sin((own.turn * Math.PI) / 180), Math.cos((own.turn * Math.PI) / 180)];
      const [dx, dy] = [(to.x - cursor.x) * scale, (to.y - cursor.y) * scale];
      aim({ x: own.x - dx * cos - dy * sin, y: own.y + dx * sin - dy * cos });
    } else if (pen) stroke(cursor, to);
    cursor = to;
  }
  layout();
}

function pointerUp(event) {
  if (event.pointerId !== held) return;
  held = null;
  end();
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function keyDown(event) {
  if (event.altKey) return;
  const command = event.ctrlKey || event.metaKey;
  if (command && event.key.toLowerCase() === "z" && !framing) undo();
  else if (command) return;
  else if (event.key in ARROWS) arrow(...ARROWS[event.key], event.shiftKey);
  else if (framing && "+=-".includes(event.key)) aim({ zoom: own.zoom * (event.key === "-" ? 1 / 1.05 : 1.05) });
  else if (!framing && event.key === " ") {
    if (!pen) begin();
    stroke(cursor, cursor);
    layout();
  } else return;
  event.preventDefault(); // the page does not scroll or turn over
  event.stopPropagation();
}

function arrow(right, below, fine) {
  if (framing) {
    const step = ((fine ? 0.005 : 0.02) * Math.min(own.width, own.height)) / own.zoom;
    return aim({ x: own.x + right * step, y: own.y + below * step });
  }
  const step = fine ? 1 : Math.max(1, brush() / 2);
  const inside = (value) => Math.min(grid, Math.max(0, value));
  const to = { x: inside(cursor.x + right * step), y: inside(cursor.y + below * step) };
  if (pen) stroke(cursor, to);
  cursor = to;
  layout();
}

function keyUp(event) {
  if (event.key === " ") end();
}

function listen() {
  $.stage.addEventListener("pointerdown", pointerDown);
  $.stage.addEventListener("pointermove", pointerMove);
  $.stage.addEventListener("pointerup", pointerUp);
  $.stage.addEventListener("pointercancel", pointerUp);
  $.stage.addEventListener("keydown", keyDown);
  $.stage.addEventListener("keyup", keyUp);
  $.stage.addEventListener("blur", end);
  $.stage.addEventListener(
    "wheel",
    (event) => {
      if (!framing) return;
      event.preventDefault();
      aim({ zoom: own.zoom * Math.exp(-event.deltaY / 500) });
    },
    { passive: false },
  );
  $.brush.addEventListener("input", layout);
  $.erase.addEventListener("click", () => {
    $.erase.setAttribute("aria-pressed", String($.erase.getAttribute("aria-pressed") !== "true"));
  });
  $.undo.addEventListener("click", undo);
  $.clear.addEventListener("click", clear);
  $.reframe.addEventListener("click", frame);
  $.zoom.addEventListener("input", () => aim({ zoom: 128 ** (Number($.zoom.value) / 100) / 2 }));
  for (const [slider, axis, side] of [[$.across, "x", "width"], [$.down, "y", "height"]])
    slider.addEventListener("input", () => aim({ [axis]: (Number(slider.value) / 100) * own[side] }));
  $.turn.addEventListener("input", () => aim({ turn: Number($.turn.value) }));
  $.use.addEventListener("click", () => {
    const side = Math.min(own.width, own.height) / own.zoom;
    take(part(GRID).getImageData(0, 0, GRID, GRID), { x: own.x, y: own.y, side, tilt: -own.turn });
    say("Now paint the hole.");
    $.stage.focus({ preventScroll: true });
  });
  $.find.addEventListener("click", find);
  $.go.addEventListener("click", repair);
  $.wipe.addEventListener("input", wipe);
  $.download.addEventListener("click", download);
  $.file.addEventListener("change", () => {
    takeFile($.file.files[0]);
    $.file.value = ""; // the same file can be chosen again
  });
  ROOT.addEventListener("dragover", (event) => event.preventDefault());
  $.like.addEventListener("change", () => {
    takeOther($.like.files[0]);
    $.like.value = "";
  });
  $.unlike.addEventListener("click", () => {
    leaveOther();
    note("Removed. The next repair is made without it.");
    $.like.focus(); // the button that had it is gone
  });
  ROOT.addEventListener("drop", (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if ($.other.contains(event.target)) takeOther(file);
    else takeFile(file);
  });
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
    if (file) {
      event.preventDefault();
      takeFile(file);
    }
  });
}

async function start() {
  about = await (await fetch(new URL("about.json", FILES))).json();
  size = about.size;
  ROOT.innerHTML = TEMPLATE;
  ROOT.classList.toggle("fr-coarse", size < 128); // pixels are shown as they are, not smeared
  for (const element of ROOT.querySelectorAll("[data-part]")) $[element.dataset.part] = element;
  $.cost.textContent =
    `The first time loads ${megabytes(about.bytes)} from this site` +
    `, and ${megabytes(about.finder.bytes)} more if a face is to be found in a picture of yours.`;
  const { trained_on, licence } = about.generator;
  $.about.textContent =
    `The networks (${about.weights}) work at ${size} x ${size} pixels. Trained on: ${trained_on}. Licence of the ` +
    `weights: ${licence}. What they paint is made up: it is no evidence of anything.`;
  for (const { file, title } of about.faces) {
    const button = document.createElement("button");
    button.type = "button";
    const image = button.appendChild(new Image(size, size));
    image.src = new URL(file, FILES);
    image.alt = title;
    button.addEventListener("click", () => takeDrawn(button));
    $.faces.append(button);
  }
  leaveOther();
  await takeDrawn($.faces.firstElementChild);
  listen();
  ROOT.dataset.state = "ready";
}

start().catch((error) => {
  ROOT.textContent = `The tool cannot start: ${error.message}. It needs the built book behind any file server.`;
});

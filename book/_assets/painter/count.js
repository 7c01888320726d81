// A square was painted: what the hole takes. `this` holds the squares, and in data-paint how many pixels of each region
// lie in each of them.
const figure = this.closest('figure');
const data = JSON.parse(this.dataset.paint);
const squares = [...this.children];
const taken = data.names.map(() => 0);
const area = taken.slice();
squares.forEach((square, i) => data.cells[i].forEach((pixels, region) => {
  area[region] += pixels;
  if (square.checked) taken[region] += pixels;
}));
const share = squares.filter((square) => square.checked).length / squares.length;
figure.querySelectorAll('.fi-layer').forEach((layer, region) => { layer.hidden = !taken[region]; });
figure.querySelectorAll('.fi-legend span').forEach((entry, region) => {
  const lost = taken[region] / area[region];
  const said = lost === 0 ? 'whole' : lost < 0.01 ? 'under 1% lost' : Math.round(100 * lost) + '% lost';
  entry.textContent = data.names[region] + ': ' + said;
  entry.previousElementSibling.style.background = lost === 0 ? data.whole : data.colours[region];
});
const bin = data.bins.find((_, i) => share > data.edges[i] && share <= data.edges[i + 1]);
const where = bin ? 'bin ' + bin : 'in none of the bins';
figure.querySelector('output').textContent = 'hole fraction ' + share.toFixed(2) + ', ' + where;

// A fast mouse skips squares between two events: all on the line from the last one are painted.
const squares = [...this.children];
const side = Math.sqrt(squares.length);
const to = squares.indexOf(event.target);
if (event.buttons & 1 && event.pointerType === 'mouse' && to >= 0) {
  const last = squares.indexOf(event.relatedTarget);
  const from = last < 0 ? to : last;
  const row = Math.floor(from / side);
  const column = from % side;
  const down = Math.floor(to / side) - row;
  const across = (to % side) - column;
  const steps = Math.max(Math.abs(across), Math.abs(down), 1);
  for (let k = 0; k <= steps; k += 1) {
    const at = Math.round(row + (down * k) / steps) * side + Math.round(column + (across * k) / steps);
    squares[at].checked = true;
  }
  this.dispatchEvent(new Event('input'));
}

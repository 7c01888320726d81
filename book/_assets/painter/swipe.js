// A finger stays captured by the square where it came down: ask what lies under it. Its first few pixels are kept back
// by the browser, so that the square where it came down is painted here as well.
const touch = event.touches[0];
const under = document.elementFromPoint(touch.clientX, touch.clientY);
const fresh = [event.target, under].filter((square) => square && square.parentNode === this && !square.checked);
for (const square of fresh) square.checked = true;
if (fresh.length) this.dispatchEvent(new Event('input'));

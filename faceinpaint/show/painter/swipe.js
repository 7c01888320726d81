// A finger stays captured by the square where it came down: ask what lies under it.
const touch = event.touches[0];
const square = document.elementFromPoint(touch.clientX, touch.clientY);
if (square && square.parentNode === this && !square.checked) {
  square.checked = true;
  this.dispatchEvent(new Event('input'));
}

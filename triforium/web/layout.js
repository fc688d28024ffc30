// Where tiles go: pure functions of the room there is and how many they are.

export const GAP = 8;

const WIDEST = 16 / 9;
const STRIP = { share: 0.22, least: 96, most: 280 };

/**
 * Place `count` tiles in a box of `width` × `height` pixels.
 *
 * With `staged`, the first one is large and the others stand in a strip beside it, or below it where the box is upright.
 * Returns one { left, top, width, height } for each tile, in order.
 */
export function arrange(width, height, count, staged = false) {
  if (count === 0 || width <= 0 || height <= 0) return [];
  const box = { left: 0, top: 0, width, height };
  const narrowest = width < height ? 3 / 4 : 4 / 3; // faces may be cut to upright tiles where the whole is upright
  if (!staged) return grid(box, count, narrowest);
  const [stage, strip] = count > 1 ? split(box) : [box, box];
  return [...grid(stage, 1, narrowest), ...grid(strip, count - 1, narrowest)];
}

/** Fill a box with equal tiles, in as many columns as make them largest; the last row is centred. */
function grid(box, count, narrowest) {
  let best = { area: -1 };
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    const size = fit((box.width - GAP * (columns - 1)) / columns, (box.height - GAP * (rows - 1)) / rows, narrowest);
    const area = size.width * size.height;
    if (area > best.area) best = { area, columns, rows, ...size };
  }
  return Array.from({ length: count }, (_, index) => place(box, count, index, best));
}

function place(box, count, index, { columns, rows, width, height }) {
  const row = Math.floor(index / columns);
  const inRow = row < rows - 1 ? columns : count - columns * (rows - 1);
  const span = (each, size) => each * size + (each - 1) * GAP;
  return {
    left: box.left + (box.width - span(inRow, width)) / 2 + (index % columns) * (width + GAP),
    top: box.top + (box.height - span(rows, height)) / 2 + row * (height + GAP),
    width,
    height,
  };
}

/** The largest size within a cell that is neither too wide nor too narrow for a face. */
function fit(width, height, narrowest) {
  if (width <= 0 || height <= 0) return { width: 0, height: 0 };
  if (width / height > WIDEST) return { width: height * WIDEST, height };
  return { width, height: Math.min(height, width / narrowest) };
}

function split(box) {
  const isUpright = box.width < box.height;
  const length = isUpright ? box.height : box.width;
  const strip = Math.min(STRIP.most, Math.max(STRIP.least, length * STRIP.share));
  const stage = length - strip - GAP;
  return isUpright
    ? [{ ...box, height: stage }, { ...box, top: box.top + stage + GAP, height: strip }]
    : [{ ...box, width: stage }, { ...box, left: box.left + stage + GAP, width: strip }];
}

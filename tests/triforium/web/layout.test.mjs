// Where tiles go: rules that hold for every box and every number of people.

import assert from "node:assert/strict";
import { test } from "node:test";
import { GAP, arrange } from "../../../triforium/web/layout.js";

const BOXES = { wide: [1248, 640], narrow: [344, 610], square: [600, 600], flat: [900, 200], tiny: [120, 90] };
const COUNTS = Array.from({ length: 25 }, (_, index) => index + 1);

const overlaps = (a, b) =>
  a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;

function* arrangements(staged) {
  for (const [name, [width, height]] of Object.entries(BOXES)) {
    for (const count of COUNTS) {
      yield { name: `${count} in ${name}`, width, height, count, boxes: arrange(width, height, count, staged) };
    }
  }
}

for (const staged of [false, true]) {
  test(`every tile is inside and none covers another${staged ? ", with a stage" : ""}`, () => {
    for (const { name, width, height, count, boxes } of arrangements(staged)) {
      assert.equal(boxes.length, count, name);
      for (const box of boxes) {
        assert.ok(box.left >= -0.01 && box.left + box.width <= width + 0.01, name);
        assert.ok(box.top >= -0.01 && box.top + box.height <= height + 0.01, name);
      }
      boxes.forEach((box, index) => {
        for (const other of boxes.slice(index + 1)) assert.ok(!overlaps(box, other), name);
      });
    }
  });
}

test("tiles of a grid are equal, and have the shape of a picture", () => {
  for (const { name, width, height, boxes } of arrangements(false)) {
    for (const box of boxes) {
      assert.deepEqual([box.width, box.height], [boxes[0].width, boxes[0].height], name);
      const shape = box.width / box.height;
      assert.ok(shape <= 16 / 9 + 0.01 && shape >= (width >= height ? 4 / 3 : 3 / 4) - 0.01, name);
    }
  }
});

test("one alone fills the height, two stand side by side, or one above the other in an upright box", () => {
  assert.equal(arrange(1600, 720, 1)[0].height, 720);
  const [left, right] = arrange(...BOXES.wide, 2);
  assert.equal(left.top, right.top);
  assert.equal(right.left - left.left - left.width, GAP);
  const [upper, lower] = arrange(...BOXES.narrow, 2);
  assert.equal(upper.left, lower.left);
  assert.equal(lower.top - upper.top - upper.height, GAP);
});

test("the last row is centred", () => {
  const [first, second, , fourth, fifth] = arrange(1248, 640, 5);
  assert.equal(first.top, second.top);
  assert.ok(fourth.left > first.left);
  assert.ok(Math.abs(fourth.left - (1248 - fifth.left - fifth.width)) < 0.01);
});

test("the staged tile has most of the space", () => {
  for (const [width, height] of [BOXES.wide, BOXES.narrow]) {
    const [stage, ...others] = arrange(width, height, 12, true);
    assert.ok(stage.width * stage.height > 0.6 * width * height);
    for (const other of others) assert.ok(other.width * other.height < stage.width * stage.height);
  }
});

test("nobody, or no space, is no tile", () => {
  assert.deepEqual(arrange(800, 600, 0), []);
  assert.deepEqual(arrange(0, 600, 3), []);
});

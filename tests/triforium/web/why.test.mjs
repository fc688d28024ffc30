// Why a picture has its size, and what may be chosen.

import assert from "node:assert/strict";
import { test } from "node:test";
import { choices, decisionRows, whyThisLayer } from "../../../triforium/web/why.js";

const [LOW, MEDIUM, HIGH] = [0, 1, 2];
const LAYERS = [
  { quality: HIGH, width: 1280, height: 720 },
  { quality: LOW, width: 320, height: 180 },
  { quality: MEDIUM, width: 640, height: 360 },
];
const why = (what) => whyThisLayer({ isPaused: false, layers: LAYERS, quality: HIGH, ...what });

test("the server's choice comes first, then what is less than the best", () => {
  assert.deepEqual(choices(LAYERS), [
    { quality: HIGH, label: "Auto" },
    { quality: MEDIUM, label: "Medium, at most 640 × 360" },
    { quality: LOW, label: "Low, at most 320 × 180" },
  ]);
});

test("one layer leaves no choice, and needs no reason", () => {
  assert.deepEqual(choices(LAYERS.slice(0, 1)), []);
  assert.equal(why({ layers: LAYERS.slice(0, 1), received: LAYERS[1] }), "");
});

test("sizes that nobody told are not in the choice, and explain nothing", () => {
  const unsized = [LOW, HIGH].map((quality) => ({ quality, width: 0, height: 0 }));
  assert.equal(why({ layers: unsized, received: LAYERS[1] }), "");
  assert.deepEqual(choices(unsized).map(({ label }) => label), ["Auto", "Low"]);
});

test("a paused picture is paused whatever came before", () => {
  assert.match(why({ isPaused: true, received: LAYERS[0] }), /^Paused/);
});

test("nothing is said of a picture that has not come", () => {
  assert.equal(why({ received: undefined }), "");
});

test("the largest layer is the best there is, in any size of tile", () => {
  assert.match(why({ received: LAYERS[0], wanted: { width: 160, height: 90 } }), /the best/);
});

test("what was chosen explains its own layer, and none below", () => {
  assert.equal(why({ quality: MEDIUM, received: LAYERS[2] }), "You chose medium quality.");
  assert.match(why({ quality: MEDIUM, received: LAYERS[1] }), /not to be had/);
});

test("a tile needs no layer much larger than itself", () => {
  assert.equal(why({ received: LAYERS[1], wanted: { width: 320, height: 195 } }), "Its tile needs no more.");
  assert.match(why({ received: LAYERS[1], wanted: { width: 360, height: 210 } }), /not to be had/);
});

test("upright pictures are measured by their width", () => {
  const upright = LAYERS.map(({ quality, width, height }) => ({ quality, width: height, height: width }));
  const received = { width: 180, height: 320 };
  assert.equal(why({ layers: upright, received, wanted: { width: 180, height: 900 } }), "Its tile needs no more.");
});

test("of layers of one size the upper one is meant", () => {
  const alike = [{ quality: LOW, width: 640, height: 360 }, LAYERS[2]];
  assert.match(why({ layers: alike, received: LAYERS[2] }), /the best/);
});

test("the server's decision is told in its own words", () => {
  const within = { spatial: 1, temporal: 1 };
  const sent = { layer: "h", spatial: null, temporal: null };
  const decision = { wanted: "f", available: ["q", "h", "f"], within, sent, paused: [], budget_bps: 620_000 };
  assert.deepEqual(decisionRows(decision), [
    ["Server", "sends medium of low, medium, high"],
    ["Wanted", "up to high"],
    ["Your link", "carries 620 kbit/s"],
  ]);
});

test("layers within a stream are counted, and so are rates of frames", () => {
  const within = { spatial: 3, temporal: 3 };
  const decision = { wanted: "q", available: ["q"], within, paused: [], budget_bps: null };
  const says = (spatial, temporal) => decisionRows({ ...decision, sent: { layer: "q", spatial, temporal } })[0][1];
  assert.equal(says(null, null), "sends 3 of 3 layers");
  assert.equal(says(1, null), "sends 2 of 3 layers");
  assert.equal(says(0, 1), "sends 1 of 3 layers, 2 of 3 rates");
});

test("a server that sends nothing says why, and one that tells nothing leaves nothing to show", () => {
  const within = { spatial: 1, temporal: 1 };
  const decision = { wanted: "q", available: ["q"], within, sent: null, paused: ["BANDWIDTH"], budget_bps: 30_000 };
  assert.deepEqual(decisionRows(decision)[0], ["Server", "sends nothing: bandwidth"]);
  assert.deepEqual(decisionRows(undefined), []);
});

// From statistics to words.

import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, layerOf, totals } from "../../../triforium/web/stats.js";

const LAYERS = [
  { width: 1280, height: 720 },
  { width: 320, height: 180 },
  { width: 640, height: 360 },
];

const report = (...entries) => new Map(entries.map((entry) => [entry.id, entry]));
const CODEC = { id: "C", type: "codec", mimeType: "video/VP8" };
const inbound = (time, bytesReceived, packetsReceived, packetsLost) => ({
  id: "I",
  type: "inbound-rtp",
  codecId: "C",
  timestamp: time,
  bytesReceived,
  packetsReceived,
  packetsLost,
  frameWidth: 640,
  frameHeight: 360,
  framesPerSecond: 29.7,
});

test("what is received: picture, layer, bitrate and loss since the last look", () => {
  const before = totals(report(CODEC, inbound(1000, 10_000, 100, 2)));
  const now = totals(report(CODEC, inbound(2000, 60_000, 190, 12)));
  assert.deepEqual(describe(now, before, LAYERS), [
    ["Picture", "640 × 360, 30 fps"],
    ["Layer", "2 of 3"],
    ["Bitrate", "400 kbit/s"],
    ["Loss", "10.0 %"],
    ["Codec", "VP8"],
  ]);
});

test("at the first look rates are not known", () => {
  const rows = Object.fromEntries(describe(totals(report(CODEC, inbound(1000, 10_000, 100, 2)))));
  assert.equal(rows.Bitrate, "measuring…");
  assert.equal(rows.Loss, "measuring…");
  assert.ok(!("Layer" in rows), "one layer is none to speak of");
});

test("a stream that stopped lost nothing that can be told", () => {
  const now = totals(report(inbound(2000, 10_000, 100, 2)));
  assert.equal(Object.fromEntries(describe(now, totals(report(inbound(1000, 10_000, 100, 2))))).Loss, "nothing came");
});

test("packets that came late after all are no negative loss", () => {
  const now = totals(report(inbound(2000, 20_000, 200, 1)));
  assert.equal(Object.fromEntries(describe(now, totals(report(inbound(1000, 10_000, 100, 4))))).Loss, "0.0 %");
});

test("what is sent is the sum of its live layers", () => {
  const outbound = (id, time, bytesSent, active, frameHeight) => ({
    id, type: "outbound-rtp", timestamp: time, bytesSent, active, frameWidth: frameHeight * 2, frameHeight,
  });
  const before = totals(report(outbound("a", 0, 0, true, 180), outbound("b", 0, 0, true, 360), outbound("c", 0, 0, false, 720)));
  const now = totals(report(outbound("a", 1000, 25_000, true, 180), outbound("b", 1000, 225_000, true, 360), outbound("c", 1000, 0, false, 720)));
  assert.deepEqual(describe(now, before), [["Picture", "720 × 360"], ["Layers", "2 sent"], ["Bitrate", "2.0 Mbit/s"]]);
});

test("no stream is nothing yet", () => {
  assert.deepEqual(describe(totals(report())), [["Received", "nothing yet"]]);
});

test("the layer is the one of the nearest size, counted from the smallest", () => {
  assert.equal(layerOf({ width: 1280, height: 720 }, LAYERS), "3 of 3");
  assert.equal(layerOf({ width: 300, height: 170 }, LAYERS), "1 of 3");
  assert.equal(layerOf({ width: 180, height: 320 }, LAYERS), "1 of 3");
});

test("layers of one size are not told apart", () => {
  const alike = [LAYERS[2], LAYERS[2], LAYERS[0]];
  assert.equal(layerOf({ width: 640, height: 360 }, alike), "1 or 2 of 3");
  assert.equal(layerOf({ width: 1280, height: 720 }, alike), "3 of 3");
});

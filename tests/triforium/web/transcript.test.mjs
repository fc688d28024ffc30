// Transcripts: what is shown of what is being said, and for how long.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SHOWN_MS, Transcript } from "../../../triforium/web/transcript.js";

const texts = (transcript, now) => transcript.read(now).lines.map(({ text }) => text);

test("a segment that is understood better replaces what stood there, and keeps its place", () => {
  const transcript = new Transcript();
  transcript.write("a", "ada", "wreck a", 0);
  transcript.write("b", "agent", "Yes?", 1);
  transcript.write("a", "ada", " recognise\nspeech ", 2);
  assert.deepEqual(transcript.read(2).lines, [
    { id: "a", speaker: "ada", text: "recognise speech" },
    { id: "b", speaker: "agent", text: "Yes?" },
  ]);
});

test("a line goes some seconds after its last word", () => {
  const transcript = new Transcript();
  transcript.write("a", "ada", "one", 0);
  transcript.write("b", "ada", "two", 500);
  transcript.write("a", "ada", "one more", 1000);
  assert.equal(transcript.read(1000).lookAt, 500 + SHOWN_MS);
  assert.deepEqual(texts(transcript, 500 + SHOWN_MS), ["one more"]);
  assert.deepEqual(transcript.read(1000 + SHOWN_MS), { lines: [], lookAt: null });
});

test("three lines are shown at most, of long ones the end, of empty ones nothing", () => {
  const transcript = new Transcript();
  for (const id of ["a", "b", "c", "d"]) transcript.write(id, "ada", id, 0);
  transcript.write("e", "ada", " \n", 0);
  assert.deepEqual(texts(transcript, 0), ["b", "c", "d"]);
  transcript.write("d", "ada", `${"👋".repeat(300)}!`, 0);
  const long = texts(transcript, 0).at(-1);
  assert.equal([...long].length, 240);
  assert.ok(long.startsWith("…👋") && long.endsWith("👋!"));
});

// Errors in words: what people can do about it has to be in the sentence.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  agentState,
  deviceProblem,
  ending,
  initials,
  joinProblem,
  people,
  screenProblem,
  shorten,
  unread,
} from "../../../triforium/web/words.js";

const TABLE = [
  [{ status: 401, message: "invalid token, error: token has invalid claims: token is expired" }, "NotAllowed", /expired/],
  [{ status: 401, message: "invalid API key: other" }, "NotAllowed", /does not accept this token/],
  [{ status: 404, message: "requested room does not exist" }, "NotAllowed", /no such room/],
  [{ message: "could not establish signal connection: Failed to fetch" }, "ServerUnreachable", /cannot be reached/],
  [{ status: 503, message: "" }, "ServerUnreachable", /full/],
  [{ status: 429, message: "room is full" }, "NotAllowed", /full/],
  [{ message: "could not establish pc connection" }, "InternalError", /firewall/],
  [{ message: "room connection has timed out" }, "Timeout", /too long/],
  [{ message: "something new" }, undefined, /something new/],
  [{}, undefined, /Joining failed/],
];

test("why a room could not be joined", () => {
  for (const [error, reason, words] of TABLE) assert.match(joinProblem(error, reason), words);
});

test("why a device cannot be used", () => {
  assert.match(deviceProblem({ name: "NotAllowedError" }, "both"), /does not let this page use your camera and microphone/);
  assert.match(deviceProblem({ name: "NotFoundError" }, "videoinput"), /No camera was found/);
  assert.match(deviceProblem({ name: "NotReadableError" }, "audioinput"), /microphone cannot be opened/);
  assert.match(deviceProblem({ name: "TypeError" }, "both"), /https/);
  assert.match(deviceProblem({ name: "OddError", message: "boo" }, "audioinput"), /boo/);
});

test("who thinks better of sharing a screen is told nothing", () => {
  assert.equal(screenProblem({ name: "NotAllowedError" }), "");
  assert.match(screenProblem({ name: "TypeError" }), /cannot share/);
});

test("how a call ended, also for reasons that nobody knew", () => {
  assert.equal(ending("CLIENT_INITIATED").title, "You have left");
  assert.match(ending("DUPLICATE_IDENTITY").text, /another tab/);
  assert.equal(ending(undefined).title, "The connection was lost");
});

test("initials are two letters at most", () => {
  const table = { "Ada Lovelace": "AL", ada: "A", "Jean-Luc van Damme": "JD", "": "?", "  ": "?", "öäü": "Ö", "𝒳 y": "𝒳Y" };
  for (const [name, expected] of Object.entries(table)) assert.equal(initials(name), expected);
});

test("an agent's state is told if it is known", () => {
  assert.deepEqual(["listening", "thinking", "on fire", undefined].map(agentState), ["listening", "thinking…", "", ""]);
});

test("how many people there are", () => {
  assert.equal(people(1), "only you");
  assert.equal(people(5), "5 people");
});

test("how many messages wait", () => {
  assert.deepEqual([0, 1, 12].map(unread), ["Chat", "Chat, 1 unread message", "Chat, 12 unread messages"]);
});

test("a long message is told by its beginning", () => {
  assert.equal(shorten("  two\nlines "), "two lines");
  assert.equal(shorten("👋".repeat(5), 4), "👋👋👋…");
});

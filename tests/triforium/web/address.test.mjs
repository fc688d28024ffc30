// What an address and a token say.

import assert from "node:assert/strict";
import { test } from "node:test";
import { invitation, readFragment, readToken, serverAddress } from "../../../triforium/web/address.js";

test("a fragment names a room, or brings a token", () => {
  assert.deepEqual(readFragment(""), { room: "", token: "" });
  assert.deepEqual(readFragment("#lobby"), { room: "lobby", token: "" });
  assert.deepEqual(readFragment("#token=a.b.c"), { room: "", token: "a.b.c" });
  assert.deepEqual(readFragment("#100%"), { room: "100%", token: "" });
});

test("an invitation leads to its room, whatever that is called", () => {
  for (const room of ["lobby", "Küche 2", "token=x", "a#b?c/d"]) {
    const url = new URL(invitation("https://sfu.example", room));
    assert.equal(url.search, "");
    assert.deepEqual(readFragment(url.hash), { room, token: "" });
  }
});

test("clients connect to where the page came from", () => {
  assert.equal(serverAddress(new URL("https://sfu.example/")), "wss://sfu.example");
  assert.equal(serverAddress(new URL("http://127.0.0.1:7880/")), "ws://127.0.0.1:7880");
});

const tokenOf = (claims) => `head.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.signature`;

test("a token tells its room and its bearer", () => {
  assert.deepEqual(readToken(tokenOf({ sub: "bjork-1", name: "Björk ✓", video: { room: "lobby" } })), {
    room: "lobby",
    name: "Björk ✓",
  });
  assert.deepEqual(readToken(tokenOf({ sub: "bjork-1" })), { room: "", name: "bjork-1" });
});

test("what is no token is none", () => {
  for (const text of ["", "abc", "a.b.c", "a.!!.c", `a.${Buffer.from("null").toString("base64url")}.c`]) {
    assert.equal(readToken(text), null, text);
  }
});

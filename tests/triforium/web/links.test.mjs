// Links in messages: what is an address and what is the sentence around it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { splitLinks } from "../../../triforium/web/links.js";

const links = (text) => splitLinks(text).filter(({ isLink }) => isLink).map(({ text }) => text);

test("addresses are found in sentences, without what closes these", () => {
  assert.deepEqual(links("see https://a.example/b?c=d#e, or HTTP://b.example."), ["https://a.example/b?c=d#e", "HTTP://b.example"]);
  assert.deepEqual(links("(https://a.example/x)"), ["https://a.example/x"]);
  assert.deepEqual(links("https://a.example/Arch_(building)."), ["https://a.example/Arch_(building)"]);
});

test("nothing else is one", () => {
  assert.deepEqual(links("javascript:alert(1) data:text/html,x a.example ftp://a.example https:// http://[ <b>"), []);
});

test("the pieces make up the text", () => {
  for (const text of ["", "plain", "https://a.example", "a https://a.example/, b http://b.example) c"]) {
    assert.equal(splitLinks(text).map((piece) => piece.text).join(""), text);
  }
});

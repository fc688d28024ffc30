// Pages of a headless browser, told what to do by JSON lines on standard input: {"id": 1, "page": "alice", "call": "join",
// "with": {...}}, answered by {"id": 1, "result": ...} or {"id": 1, "error": "..."}. `open` and `photograph` are the
// driver's own calls, all others are those of page.js. The first argument names the browser. What a page logs goes to
// <page>.log in the folder named by the second, a screenshot to <page>.png. It ends, and the browser with it, when the
// input does.

import { appendFileSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const [engine, folder] = process.argv.slice(2);
const { launch } = await import(`./${engine}.mjs`);
const FILES = {
  "/": ["page.html", "text/html"],
  "/data.js": ["data.js", "text/javascript"],
  "/page.js": ["page.js", "text/javascript"],
  "/e2ee-worker.js": ["node_modules/livekit-client/dist/livekit-client.e2ee.worker.js", "text/javascript"],
  "/livekit-client.umd.js": ["node_modules/livekit-client/dist/livekit-client.umd.js", "text/javascript"],
};

// Served from 127.0.0.1, which is a secure context: without one there are no cameras.
const server = createServer((request, response) => {
  const [path, type] = FILES[request.url] ?? [];
  response.writeHead(path ? 200 : 404, { "Content-Type": type ?? "text/plain" });
  response.end(path && readFileSync(new URL(path, import.meta.url)));
});
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));

const browser = await launch();
const pages = new Map();

async function open(name) {
  const page = await browser.newPage();
  const log = (line) => appendFileSync(`${folder}/${name}.log`, `${new Date().toISOString()} ${line}\n`);
  page.on("console", (message) => log(message.text()));
  page.on("pageerror", (error) => log(error.stack));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  pages.set(name, page);
}

async function answer({ page: name, call, with: arguments_ }) {
  if (call === "open") return open(name);
  const page = pages.get(name);
  if (call === "photograph") return void (await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true }));
  return page.evaluate(([what, how]) => participant[what](how), [call, arguments_]);
}

const answered = [];
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const say = (what) => process.stdout.write(`${JSON.stringify({ id: request.id, ...what })}\n`);
  answered.push(answer(request).then((result) => say({ result }), (error) => say({ error: error.message })));
}
await Promise.allSettled(answered);
await browser.close();
server.close();

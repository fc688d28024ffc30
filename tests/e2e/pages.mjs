// The built-in page in headless Chromium, told what to do by JSON lines as browser.mjs is: {"id": 1, "page": "alice",
// "call": "click", "with": {...}}. What a page logs goes to <page>.log in the folder named by the first argument, a
// screenshot to <name>.png. Further arguments are Chromium's. It ends, and the browser with it, when the input does.

import { appendFileSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [folder, ...flags] = process.argv.slice(2);
const PATIENCE_MS = 20_000;
const POLL_MS = 50;
const AXE = readFileSync(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--disable-gpu",
    "--disable-quic",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    ...flags,
  ],
});
const pages = new Map();

const calls = {
  async open({ url, width, height, scheme, without }, name) {
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme });
    context.setDefaultTimeout(PATIENCE_MS);
    const page = await context.newPage();
    if (without) await page.route(without, (route) => route.abort());
    const log = (line) => appendFileSync(`${folder}/${name}.log`, `${new Date().toISOString()} ${line}\n`);
    const violations = [];
    page.on("console", (message) => {
      log(message.text());
      if (/Content.Security.Policy/i.test(message.text())) violations.push(message.text());
    });
    page.on("pageerror", (error) => {
      log(error.stack);
      violations.push(error.message);
    });
    pages.set(name, { page, violations });
    await page.goto(url);
  },
  reload: (_, { page }) => page.reload().then(() => null),
  click: ({ selector }, { page }) => page.click(selector),
  fill: ({ selector, text }, { page }) => page.fill(selector, text),
  press: ({ key }, { page }) => page.keyboard.press(key),
  evaluate: ({ expression }, { page }) => page.evaluate(expression),
  /** Asked again and again from here: waitForFunction would have the page evaluate strings, which its policy forbids. */
  async until({ expression }, { page }) {
    const end = Date.now() + PATIENCE_MS;
    while (!(await page.evaluate(expression))) {
      if (Date.now() > end) throw new Error(`in vain, and the page says: ${await page.evaluate("document.body.innerText")}`);
      await page.waitForTimeout(POLL_MS);
    }
  },
  size: ({ width, height }, { page }) => page.setViewportSize({ width, height }),
  scheme: ({ scheme }, { page }) => page.emulateMedia({ colorScheme: scheme }),
  photograph: ({ name }, { page }) => page.screenshot({ path: `${folder}/${name}.png` }).then(() => null),
  /** What the policy refused, and what nobody caught. */
  violations: (_, { violations }) => violations,
  /** What axe-core finds that is serious or worse. Evaluated, so the page's policy does not hold it up. */
  async axe(_, { page }) {
    await page.evaluate(AXE);
    const { violations } = await page.evaluate(() => axe.run());
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`);
  },
};

const answered = [];
for await (const line of createInterface({ input: process.stdin })) {
  const { id, page, call, with: how } = JSON.parse(line);
  const say = (what) => process.stdout.write(`${JSON.stringify({ id, ...what })}\n`);
  const answer = async () => calls[call](how, call === "open" ? page : pages.get(page));
  answered.push(answer().then((result) => say({ result }), (error) => say({ error: error.message })));
}
await Promise.allSettled(answered);
await browser.close();

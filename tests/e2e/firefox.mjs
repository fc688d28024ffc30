// Headless Firefox with a fake camera and microphone, driven over WebDriver BiDi.

import puppeteer from "puppeteer-core";

/** Start it. Returns how to have a new page, in a session of its own, and how to end the browser. */
export async function launch() {
  const browser = await puppeteer.launch({
    browser: "firefox",
    executablePath: "/usr/bin/firefox-esr",
    headless: true,
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      "media.autoplay.default": 0, // allowed
      "media.cubeb.force_mock_context": true, // play to nowhere: without a device AudioContexts never start
    },
  });
  const newPage = async () => (await browser.createBrowserContext()).newPage();
  // Killed, with all its processes: when asked to end it may hang for longer than a test waits.
  return { newPage, close: () => process.kill(-browser.process().pid, "SIGKILL") };
}

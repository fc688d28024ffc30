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
  return { newPage, close: () => browser.close() };
}

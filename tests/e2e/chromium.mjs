// Headless Chromium with a fake camera and microphone.

import { chromium } from "playwright-core";

/** Start it. Returns how to have a new page, in a session of its own, and how to end the browser. */
export async function launch() {
  const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: [
      "--disable-gpu",
      "--disable-quic",
      "--autoplay-policy=no-user-gesture-required",
      "--use-fake-device-for-media-stream",
      "--use-fake-ui-for-media-stream",
      // Candidates of 127.0.0.1, by number: there is no other network to meet on, nor mDNS to resolve names.
      "--allow-loopback-in-peer-connection",
      "--disable-features=WebRtcHideLocalIpsWithMdns",
    ],
  });
  const newPage = async () => (await browser.newContext({ viewport: { width: 1320, height: 480 } })).newPage();
  return { newPage, close: () => browser.close() };
}

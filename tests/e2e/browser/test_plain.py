"""Pages with a plain RTCPeerConnection publish by WHIP and watch by WHEP, beside clients of LiveKit's."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Final

import pytest

from tests.e2e.meeting import DUAL, SINGLE, Kind, Meeting, Participant, at_once, open_meeting
from tests.e2e.pages import Browser, Page, open_browser

pytestmark = pytest.mark.e2e

PUBLISH: Final = """(async () => {
  const media = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480 } });
  const connection = new RTCPeerConnection();
  window.connection = connection;
  connection.addTransceiver(media.getAudioTracks()[0], { direction: "sendonly", streams: [media] });
  const video = connection.addTransceiver(media.getVideoTracks()[0], {
    direction: "sendonly",
    streams: [media],
    sendEncodings: RIDS.length
      ? RIDS.map((rid) => ["q", "low"].includes(rid)
          ? { rid, scaleResolutionDownBy: 2, maxBitrate: 100_000 }
          : { rid, scaleResolutionDownBy: 1, maxBitrate: 200_000 })
      : undefined,
  });
  const { codecs } = RTCRtpSender.getCapabilities("video");
  const wanted = codecs.filter((codec) => `${codec.mimeType};${codec.sdpFmtpLine}`.match("CODEC"));
  video.setCodecPreferences([...wanted, ...codecs.filter((codec) => codec.mimeType === "video/rtx")]);
  await connection.setLocalDescription();
  const authorization = { Authorization: "Bearer TOKEN" };
  const response = await fetch("/whip/v1", {
    method: "POST",
    headers: { ...authorization, "Content-Type": "application/sdp" },
    body: connection.localDescription.sdp,
  });
  if (response.status !== 201) return await response.text();
  await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
  window.session = response.headers.get("Location");
  window.restart = async () => {
    connection.restartIce();
    await connection.setLocalDescription();
    const line = (name) => connection.localDescription.sdp.match(new RegExp(`^a=${name}:.*$`, "m"))[0];
    const body = [line("ice-ufrag"), line("ice-pwd"), "m=audio 9 UDP/TLS/RTP/SAVPF 0", "a=mid:0", ""].join("\\r\\n");
    const headers = { ...authorization, "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" };
    const answer = await fetch(session, { method: "PATCH", headers, body });
    const fragment = await answer.text();
    const said = (name) => fragment.match(new RegExp(`^a=${name}:.*$`, "m"))[0];
    let sdp = connection.remoteDescription.sdp;
    for (const name of ["ice-ufrag", "ice-pwd"]) {
      sdp = sdp.replaceAll(new RegExp(`^a=${name}:.*$`, "mg"), said(name));
    }
    await connection.setRemoteDescription({ type: "answer", sdp });
    return [answer.status, answer.headers.get("ETag") !== response.headers.get("ETag")];
  };
  window.leave = async () => {
    const { status } = await fetch(session, { method: "DELETE", headers: authorization });
    connection.close();
    return status;
  };
  return connection.remoteDescription.type;
})()"""

PLAYING: Final = """[...document.querySelectorAll('#watch-pictures video')]
    .filter((video) => !video.hidden && video.videoWidth > 0)"""


async def publish(browser: Browser, meeting: Meeting, *, codec: str, rids: Sequence[str]) -> Page:
    """Have a page publish as `camera` by WHIP. `codec` is a pattern for its MIME type and parameters."""
    page = await browser.open("camera", f"{meeting.server.page}watch/lobby")
    script = PUBLISH.replace("CODEC", codec).replace("RIDS", json.dumps(rids))
    assert await page.evaluate(script.replace("TOKEN", meeting.server.token("camera"))) == "answer"
    return page


async def watch(browser: Browser, meeting: Meeting, name: str = "watcher") -> Page:
    page = await browser.open(name, f"{meeting.server.page}watch/lobby")
    await page.click("#watch-button")
    return page


async def plays(page: Page, pictures: int) -> None:
    """Wait until so many pictures move, and as many sounds arrive."""
    await page.until(f"{PLAYING}.length === {pictures}")


async def hears_and_sees(client: Participant, of: str, codec: str) -> None:
    view = await client.until(lambda view: view.video(of).frames > 8 and view.audio(of).energy > 0)
    assert view.video(of).codec == codec


async def has_width(client: Participant, width: int) -> None:
    await client.until(lambda view: view.video("camera").width == width)


@pytest.mark.parametrize(
    ("codec", "rids"),
    [
        ("video/VP8", ["q", "h"]),
        ("video/VP8", ["high", "low"]),
        ("video/H264", []),
        ("video/VP9;profile-id=2", []),
    ],
    ids=["VP8", "VP8 the other way round", "H264", "VP9 profile 2"],
)
async def test_a_page_publishes_by_whip_and_others_see_it(folder, codec, rids):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        bob = await meeting.invite("bob", Kind.BROWSER, SINGLE)
        carol = await meeting.invite("carol", Kind.PYTHON, DUAL)
        await at_once(bob.join, carol.join)
        camera = await publish(browser, meeting, codec=codec, rids=rids)
        watcher = await watch(browser, meeting)
        await at_once(*[partial(hears_and_sees, client, "camera", codec.partition(";")[0]) for client in (bob,)])
        await carol.until(lambda view: view.video("camera").frames > 8)
        await plays(watcher, 1)
        if rids:
            await has_width(bob, 640)
            for quality, width in (("LOW", 320), ("HIGH", 640)):
                await bob.ask("choose", of="camera", quality=quality)
                await has_width(bob, width)
        assert await camera.evaluate("restart()") == [200, True]
        frames = (await bob.view()).video("camera").frames
        await bob.until(lambda view: view.video("camera").frames > frames + 8)
        assert await camera.evaluate("leave()") == 200
        await bob.until(lambda view: "camera" not in view.participants)
        for page in (camera, watcher):
            await page.has_kept_its_policy()


async def test_a_page_watches_people_come_and_go(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        watcher = await watch(browser, meeting)
        await watcher.says("Nobody is to be seen")
        alice = await meeting.invite("alice", Kind.BROWSER, SINGLE)
        bob = await meeting.invite("bob", Kind.BROWSER, DUAL)
        await at_once(alice.join, bob.join)
        await alice.publish(codec="vp8")
        await plays(watcher, 1)
        await bob.publish(codec="h264")
        await plays(watcher, 2)
        await alice.unpublish()
        await plays(watcher, 1)
        await alice.publish(codec="vp8")
        await plays(watcher, 2)
        assert list((await bob.view()).participants) == ["alice"]
        await watcher.is_accessible("watching")
        await watcher.has_kept_its_policy()

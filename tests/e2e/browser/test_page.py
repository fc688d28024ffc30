"""The built-in page, used as people do: what it shows, what it says, and that everybody can use it."""

from datetime import timedelta
from functools import partial

import pytest
from livekit import api

from tests.e2e.meeting import DUAL, SINGLE, Kind, at_once, open_meeting
from tests.e2e.namespace import open_namespace
from tests.e2e.pages import DENIED, DEVICES, NARROW, NO_CAMERA, WIDE, open_browser
from tests.e2e.server import KEY, SECRET
from tests.e2e.wire import open_wire

pytestmark = pytest.mark.e2e


def page_of(port: int, fragment: str = "") -> str:
    return f"http://127.0.0.1:{port}/{fragment}"


async def test_two_pages_meet_and_part(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        alice = await browser.open("alice", page_of(meeting.server.port, "#lobby"), **WIDE)
        bob = await browser.open("bob", page_of(meeting.server.port, "#lobby"), **NARROW)
        await at_once(partial(alice.enter, "Alice"), partial(bob.enter, "Bob"))
        await at_once(
            partial(alice.sees, "Alice (you)", "Bob"),
            partial(bob.sees, "Bob (you)", "Alice"),
        )
        await alice.until("document.querySelectorAll('#sound audio').length === 1")

        await bob.click("#microphone-button")
        await bob.click("#camera-button")
        await alice.says("2 people")
        await alice.until(
            "[...document.querySelectorAll('.tile')].some((tile) => tile.querySelector('.name').textContent === 'Bob'"
            " && !tile.querySelector('.muted').hidden && tile.querySelector('video').hidden)"
        )
        await bob.click("#camera-button")
        await alice.sees("Alice (you)", "Bob")

        await bob.click("#leave-button")
        await bob.says("You have left", "Join again")
        await alice.says("Bob left", "only you")
        await bob.click("#ended-button")
        await bob.enter()
        await alice.sees("Alice (you)", "Bob")
        for page in (alice, bob):
            await page.has_kept_its_policy()


async def test_five_pages_meet_each_other_and_a_published_client_and_one_pins_another(folder):
    names = ["Ada", "Ben", "Cleo", "Dan", "Eve"]
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        pages = []
        for name in names:
            page = await browser.open(name, page_of(meeting.server.port, "#lobby"), **NARROW)
            await page.enter(name)
            pages.append(page)
        carol = await meeting.invite("carol", Kind.BROWSER, SINGLE)
        await carol.join()
        await carol.publish()
        for page, name in zip(pages, names, strict=True):
            await page.sees(f"{name} (you)", "carol", *[other for other in names if other != name])
        identities = [await page.identity() for page in pages]
        await carol.until(lambda view: all(view.video(identity).frames > 8 for identity in identities))
        ada = pages[0]
        assert await ada.tiles() == ["Ben", "Cleo", "Dan", "Eve", "carol", "Ada (you)"]
        await ada.click(".tile .pin")
        await ada.until("document.querySelectorAll('.tile.pinned').length === 1")
        width = "parseFloat(document.querySelectorAll('.tile')[{}].style.width)"
        await ada.until(f"{width.format(0)} > 2 * {width.format(1)}")
        await ada.click(".tile.pinned .pin")
        await ada.until(f"{width.format(0)} === {width.format(1)}")
        assert await ada.evaluate("document.documentElement.scrollWidth") == NARROW["width"]


async def test_two_pages_meet_published_clients_of_other_kinds(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        pia = await browser.open("pia", page_of(meeting.server.port, "#lobby"), **WIDE)
        quinn = await browser.open("quinn", page_of(meeting.server.port, "#lobby"), **NARROW)
        alice = await meeting.invite("alice", Kind.BROWSER, DUAL)
        bob = await meeting.invite("bob", Kind.PYTHON, SINGLE)
        await at_once(partial(pia.enter, "Pia"), partial(quinn.enter, "Quinn"), alice.join, bob.join)
        await at_once(alice.publish, bob.publish)
        await pia.sees("Pia (you)", "Quinn", "alice", "bob")
        await quinn.sees("Quinn (you)", "Pia", "alice", "bob")
        identities = [await page.identity() for page in (pia, quinn)]
        for other in (alice, bob):
            await other.until(lambda view: all(view.video(identity).frames > 8 for identity in identities))


async def test_a_shared_screen_gets_the_stage(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        alice = await browser.open("alice", page_of(meeting.server.port), **WIDE)
        bob = await browser.open("bob", page_of(meeting.server.port), **NARROW)
        await at_once(partial(alice.enter, "Alice"), partial(bob.enter, "Bob"))
        await alice.sees("Alice (you)", "Bob")
        await bob.click("#screen-button")
        await alice.until(
            "document.querySelector('.tile.screen.pinned video:not([hidden])')?.videoWidth > 0"
            " && document.querySelector('.tile.screen .name').textContent === \"Bob's screen\""
        )
        await alice.sees("Alice (you)", "Bob", "Bob's screen")
        await alice.is_accessible("screen")
        await bob.click("#screen-button")
        await alice.until("document.querySelector('.tile.screen') === null")


async def test_a_ring_shows_who_speaks(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        alice = await browser.open("alice", page_of(meeting.server.port), **WIDE)
        bob = await meeting.invite("bob", Kind.PYTHON, SINGLE)
        await at_once(partial(alice.enter, "Alice"), bob.join)
        await alice.click("#microphone-button")
        await bob.publish()
        speaking = "[...document.querySelectorAll('.tile.speaking .name')].map((name) => name.textContent).join()"
        await alice.until(f"{speaking} === 'bob'")
        await bob.mute()
        await alice.until(f"{speaking} === ''")


async def test_a_tile_tells_what_is_received_and_why_and_lets_people_choose(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        alice = await browser.open("alice", page_of(meeting.server.port), **WIDE)
        bob = await meeting.invite("bob", Kind.BROWSER, SINGLE)
        await at_once(partial(alice.enter, "Alice"), bob.join)
        await bob.publish()
        await alice.sees("Alice (you)", "bob")
        await alice.evaluate("document.querySelector('.tile .actions button:last-child').focus()")
        await alice.press("Enter")  # by keyboard
        await alice.says("kbit/s", "Loss\n0.0 %", "Codec\nVP8", "Codec\nOpus")
        await alice.says("640 \N{MULTIPLICATION SIGN} 360", "Layer\n2 of 2", "This is the best that is sent.")
        await alice.says("Server\nsends medium of low, medium", "Your link\nshows no limit")
        await alice.is_accessible("details")
        await alice.evaluate("document.getElementById('details-quality').focus()")
        await alice.press("ArrowDown")
        await alice.says("Layer\n1 of 2", "You chose low quality.")
        await alice.press("ArrowUp")
        await alice.says("Layer\n2 of 2", "This is the best that is sent.")
        await alice.resize(1280, 300)  # a small tile is sent a small picture
        await alice.says("320 \N{MULTIPLICATION SIGN} 180", "Layer\n1 of 2", "Its tile needs no more.")
        await alice.press("Escape")
        await alice.until("!document.getElementById('details').matches(':popover-open')")


async def test_people_write_to_each_other(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        alice = await browser.open("alice", page_of(meeting.server.port), **WIDE)
        bob = await browser.open("bob", page_of(meeting.server.port), **NARROW)
        await at_once(partial(alice.enter, "Alice"), partial(bob.enter, "Bob"))
        await at_once(partial(alice.sees, "Alice (you)", "Bob"), partial(bob.sees, "Bob (you)", "Alice"))
        await bob.click("#chat-button")
        await bob.is_accessible("chat-empty")
        for text in ("Hello Alice", "Is this <b>bold</b>? See https://example.org/notes."):
            await bob.fill("#chat-text", text)
            await bob.click("#chat-form button")
            await bob.until("document.getElementById('chat-text').value === ''")

        await alice.says("Bob: Hello Alice")  # in a notice
        await alice.until("document.getElementById('chat-button').ariaLabel === 'Chat, 2 unread messages'")
        await alice.is_accessible("chat-unread")
        await alice.click("#chat-button")
        await alice.until("document.getElementById('chat-button').ariaLabel === 'Chat'")
        assert await alice.evaluate("[...document.querySelectorAll('.said')].map((said) => said.textContent)") == [
            "Hello Alice",
            "Is this <b>bold</b>? See https://example.org/notes.",
        ]
        assert await alice.evaluate("document.querySelector('.said a').href") == "https://example.org/notes"

        await alice.fill("#chat-text", "No, but it is here")
        await alice.press("Enter")
        await bob.says("No, but it is here")
        await alice.is_accessible("chat")
        await bob.is_accessible("chat-narrow")
        assert await bob.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
        await alice.press("Escape")
        assert await alice.evaluate("document.activeElement.id") == "chat-button"
        for page in (alice, bob):
            await page.has_kept_its_policy()


async def test_an_agent_is_known_by_its_state_and_writes_down_what_is_said(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        alice = await browser.open("alice", page_of(meeting.server.port), **WIDE)
        await alice.enter("Alice")
        identity = await alice.identity()
        agent = await meeting.invite("bob", Kind.PYTHON, SINGLE, token=meeting.server.token("bob", "agent"))
        await agent.join()
        caption = "document.querySelector('.tile .caption').innerText.replace(/\\s+/g, ' ').trim()"
        for state, words in (("initializing", "starting…"), ("listening", "listening"), ("thinking", "thinking…")):
            await agent.ask("set_attributes", attributes={"lk.agent.state": state})
            await alice.until(f"{caption} === 'agent bob {words}'")
        lines = "[...document.querySelectorAll('#captions p')].map((line) => line.innerText).join('|')"
        await agent.ask("transcribe", segment="SG_1", text="how wreck a", of=identity)
        await alice.until(f"{lines} === 'You how wreck a'")
        await agent.ask("transcribe", segment="SG_1", text="how to recognise speech?", of=identity)
        await agent.ask("transcribe", segment="SG_2", text="By listening, mostly.", of="bob")
        await agent.ask("transcribe_by_packet", segment="SG_2", text="By listening, mostly.", of="bob")
        await agent.ask("transcribe_by_packet", segment="SG_3", text="And then by asking again.", of="bob")
        await alice.until(
            f"{lines} === 'You how to recognise speech?|bob By listening, mostly.|bob And then by asking again.'"
        )
        await alice.is_accessible("agent")
        await alice.until(f"{lines} === ''")
        await alice.has_kept_its_policy()


async def test_reloading_takes_ones_own_place_again(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        alice = await browser.open("alice", page_of(meeting.server.port), **WIDE)
        bob = await browser.open("bob", page_of(meeting.server.port), **NARROW)
        await at_once(partial(alice.enter, "Alice"), partial(bob.enter, "Bob"))
        await alice.sees("Alice (you)", "Bob")
        await bob.reload()
        await bob.enter()  # the name is still there
        await alice.sees("Alice (you)", "Bob")


async def test_an_invitation_leads_to_the_room(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        alice = await browser.open("alice", page_of(meeting.server.port), **WIDE)
        await alice.enter("Alice")
        await alice.click("#invite-button")
        await alice.is_accessible("invite")
        link = await alice.evaluate("document.getElementById('invite-link').value")
        bob = await browser.open("bob", link, **NARROW)
        await bob.enter("Bob")
        await bob.sees("Bob (you)", "Alice")
        assert await bob.evaluate("document.getElementById('call-room').textContent") == "lobby"


def token(*, identity: str = "carol", secret: str = SECRET, hours: float = 1) -> str:
    claims = api.AccessToken(KEY, secret).with_identity(identity).with_name("Carol")
    grants = api.VideoGrants(room_join=True, room="lobby")
    return claims.with_grants(grants).with_ttl(timedelta(hours=hours)).to_jwt()


async def test_a_token_in_the_fragment_opens_the_room_and_leaves_the_address(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        page = await browser.open("carol", page_of(meeting.server.port, f"#token={token()}"), **WIDE)
        await page.says("Join lobby", "You join as Carol")
        assert await page.evaluate("location.href") == page_of(meeting.server.port)
        await page.is_accessible("token")
        await page.enter()
        await page.sees("Carol (you)")
        assert await page.evaluate("document.getElementById('invite-button').hidden")


@pytest.mark.parametrize(
    ("brought", "words"),
    [
        (token(hours=-2), "This token has expired"),
        (token(secret="another secret of more than 32 letters"), "does not accept this token"),
        ("abc", "not a whole token"),
    ],
    ids=["expired", "foreign", "broken"],
)
async def test_a_token_that_opens_nothing_is_told_in_words(folder, brought, words):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        page = await browser.open("page", page_of(meeting.server.port, f"#token={brought}"), **WIDE)
        await page.click("#join-button")
        await page.until(f"document.getElementById('join-problem').textContent.includes('{words}')")
        await page.is_accessible("token-problem")
        await page.fill("#join-token", token())
        await page.enter()


@pytest.mark.parametrize(
    ("flags", "words"),
    [(NO_CAMERA, "No camera was found"), (DENIED, "does not let this page use your camera and microphone")],
    ids=["missing", "denied"],
)
async def test_what_cannot_be_opened_is_told_and_joining_goes_without(folder, flags, words):
    async with open_browser(folder, flags) as browser, open_meeting(folder) as meeting:
        page = await browser.open("page", page_of(meeting.server.port), **NARROW)
        await page.says(words)
        await page.is_accessible("device-problem")
        await page.enter("Alice")
        await page.says("Alice (you)")
        await page.click("#camera-button")
        await page.until("document.getElementById('notices').textContent.includes('camera')")
        await page.has_kept_its_policy()


async def test_a_page_of_which_a_part_did_not_come_says_so(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        page = await browser.open("page", page_of(meeting.server.port), **NARROW, without="**/web/call.js")
        await page.says("This page is not complete yet")
        await page.is_accessible("incomplete")
        whole = await browser.open("whole", page_of(meeting.server.port), **NARROW)
        await whole.enter("Alice")
        assert await whole.evaluate("document.getElementById('loading').hidden")


@pytest.mark.alone
async def test_other_hosts_meet_with_cameras_over_https(folder):
    async with (
        open_namespace() as namespace,
        open_meeting(folder, {"bind_addresses": namespace.outside}, flags=["--https"]) as meeting,
        open_browser(
            folder,
            [*DEVICES, f"--ignore-certificate-errors-spki-list={meeting.server.authority_pin()}"],
            before=namespace.command,
        ) as browser,
    ):
        alice = await browser.open("alice", meeting.server.page, **WIDE)
        bob = await browser.open("bob", meeting.server.page, **NARROW)
        await at_once(partial(alice.enter, "Alice"), partial(bob.enter, "Bob"))
        await at_once(partial(alice.sees, "Alice (you)", "Bob"), partial(bob.sees, "Bob (you)", "Alice"))
        for page in (alice, bob):
            assert await page.evaluate("location.protocol") == "https:"
            await page.has_kept_its_policy()


@pytest.mark.alone
async def test_other_hosts_are_told_that_cameras_want_https(folder):
    async with (
        open_namespace() as namespace,
        open_meeting(folder, {"bind_addresses": namespace.outside}) as meeting,
        open_browser(folder, before=namespace.command) as browser,
    ):
        page = await browser.open("page", meeting.server.page, **NARROW)
        await page.says("Browsers give a camera and microphone to secure pages only")
        await page.is_accessible("insecure")
        await page.enter("Alice")
        await page.says("Alice (you)")


async def test_a_server_that_cannot_be_reached_is_told_in_words(folder):
    async with (
        open_browser(folder) as browser,
        open_meeting(folder) as meeting,
        open_wire(meeting.server.port) as wire,
    ):
        page = await browser.open("page", page_of(wire.port), **WIDE)
        await page.fill("#join-name", "Alice")
        wire.cut()
        await page.click("#join-button")
        await page.says("The server cannot be reached")
        await wire.mend()
        await page.enter()


async def test_a_call_survives_an_outage_and_says_so(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        bob = await meeting.invite("bob", Kind.PYTHON, SINGLE)
        await bob.join()
        await bob.publish()
        async with open_wire(meeting.server.port) as wire:
            page = await browser.open("page", page_of(wire.port), **WIDE)
            await page.enter("Alice")
            await page.sees("Alice (you)", "bob")
            wire.cut()
            await page.says("Reconnecting")
            await page.is_accessible("reconnecting")
            await wire.mend()
            await page.says("You are connected again")
            await page.sees("Alice (you)", "bob")
            await page.has_kept_its_policy()


async def test_a_server_that_stops_is_told_in_words(folder):
    async with open_browser(folder) as browser, open_meeting(folder) as meeting:
        page = await browser.open("page", page_of(meeting.server.port), **WIDE)
        await page.enter("Alice")
        await meeting.server.stop()
        await page.says("The server has stopped")
        await page.is_accessible("ended")


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
async def test_everybody_can_use_it(folder, size):
    async with open_browser(folder, DEVICES) as browser, open_meeting(folder) as meeting:
        page = await browser.open("alice", page_of(meeting.server.port), **size)
        bob = await meeting.invite("bob", Kind.PYTHON, SINGLE)
        await bob.join()
        await bob.publish()
        await page.until("!document.getElementById('preview-video').hidden")
        await page.is_accessible("preview")
        await page.click("#join-button")
        await page.says("Tell the others your name first")
        await page.is_accessible("preview-problem")
        await page.enter("Alice")
        await page.sees("Alice (you)", "bob")
        await page.is_accessible("call")
        await page.click("#devices-button")
        await page.until("document.querySelectorAll('#call-devices select option').length > 2")
        await page.is_accessible("devices")
        await page.press("Escape")
        assert await page.evaluate("document.activeElement.id") == "devices-button"
        await page.has_kept_its_policy()

"""Whatever is wished for, muted, stopped, started anew or lost: every picture that a subscriber decodes is right."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from rtp.payload.dependency_descriptor import Structure
from sfu.media import splicing, vp8_munger
from sfu.media.downtrack import DownTrack
from sfu.media.fanout import PacketFacts
from sfu.media.forwarder import Sent
from sfu.media.frames import FrameFacts
from sfu.media.selecting import LayerSelector
from tests.simulation.trial import Outcome, run_trial
from tests.support.packetizing import KINDS
from tests.support.productions import PRODUCTIONS

CHANGES_PER_TRIAL = 10


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run as many trials as it takes to come to `--judged-changes`."""
    if "trial_seed" in metafunc.fixturenames:
        trials = -(-metafunc.config.getoption("judged_changes") // CHANGES_PER_TRIAL)
        metafunc.parametrize("trial_seed", range(trials))


def run(kind: str, seed: int) -> Outcome:
    print(f"repeat with python -m tests.simulation.trial {kind} {seed} {CHANGES_PER_TRIAL}")  # noqa: T201 - shown if it fails
    return run_trial(kind, seed, CHANGES_PER_TRIAL)


def test_every_picture_is_what_a_decoder_fed_directly_gives(trial_seed: int) -> None:
    kind = list(PRODUCTIONS)[trial_seed % len(PRODUCTIONS)]
    outcome = run(kind, trial_seed)
    assert outcome.faults == []
    assert outcome.done.total() - outcome.done["settle"] == CHANGES_PER_TRIAL
    assert outcome.total("pictures") >= 50
    assert outcome.total("incomparable") <= PRODUCTIONS[kind].max_incomparable * outcome.total("pictures")


# What the judge is for: each of these is a fault that no decoder would tell of.

every_kind = pytest.mark.parametrize("kind", KINDS)

SEED = 20
"""In which layers are changed, as the first test below says."""

SCALING_SEED = 7
"""In which more spatial layers are wished for between key pictures."""

THINNING_SEED = 4
"""In which more temporal layers are wished for just before a frame that needs one which was left out."""


@every_kind
def test_there_are_changes_to_be_judged(kind: str) -> None:
    outcome = run(kind, SEED)
    assert outcome.switches >= 3
    assert outcome.faults == []


@every_kind
def test_layers_that_are_entered_anywhere_are_found(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def enter_anywhere(*fields: object) -> PacketFacts:
        return PacketFacts(*fields[:5], True, *fields[6:])

    monkeypatch.setattr("sfu.media.receiver.PacketFacts", enter_anywhere)
    signs = ("not the picture", "refuses", "makes 0 pictures")
    assert any(sign in fault for fault in run(kind, SEED).faults for sign in signs)


def test_picture_ids_with_a_gap_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    offset: Callable[[int | None, int | None], int] = vp8_munger._offset
    monkeypatch.setattr(vp8_munger, "_offset", lambda first, sent: offset(first, sent) + 1)
    assert any("picture_id goes from" in fault for fault in run("vp8", SEED).faults)


def test_temporal_layers_that_are_entered_anywhere_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LayerSelector, "_has_sent", lambda *_: True)
    assert any("not the picture" in fault for fault in run("vp9", THINNING_SEED).faults)


def test_spatial_layers_that_are_entered_anywhere_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin_picture(selector: LayerSelector, frame: FrameFacts) -> None:
        begin(selector, replace(frame, is_key=True))

    begin = LayerSelector._begin_picture
    monkeypatch.setattr(LayerSelector, "_begin_picture", begin_picture)
    monkeypatch.setattr(LayerSelector, "_has_sent", lambda *_: True)
    faults = run("scalable-av1", SCALING_SEED).faults
    assert any("which never came" in fault for fault in faults)
    assert any("not the picture" in fault for fault in faults)


def test_a_descriptor_that_tells_of_layers_that_are_not_sent_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Structure, "targets_within", lambda structure, *_: structure.all_targets)
    assert any("is the highest" in fault for fault in run("scalable-av1", SCALING_SEED).faults)


@every_kind
def test_time_that_stands_still_is_found(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def same_again(_: int | None, *, sent: Sent, **__: float) -> int:
        return sent.timestamp

    monkeypatch.setattr(splicing, "next_timestamp", same_again)
    assert any("another frame with the same time" in fault for fault in run(kind, SEED).faults)


def test_wishes_that_are_not_heard_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DownTrack, "set_wish", lambda *_: None)
    assert any("not settled" in fault for fault in run("vp8", SEED).faults)

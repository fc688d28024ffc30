"""What clients in processes of their own sound: a sine, frame by frame."""

import numpy as np

SAMPLE_RATE = 48_000
FRAME_SAMPLES = SAMPLE_RATE // 50
AMPLITUDE = 0.25


def tone(frequency, at):
    """Return one frame, from the sample `at` on: 16 bits each."""
    times = np.arange(at, at + FRAME_SAMPLES) / SAMPLE_RATE
    return (np.sin(2 * np.pi * frequency * times) * AMPLITUDE * 32767).astype(np.int16)

"""FFmpeg's own WHIP muxer, by PyAV: it publishes one colour and one tone until its input ends.

Usage: ffmpeg_client.py URL TOKEN CERTIFICATE KEY RED,GREEN,BLUE FREQUENCY
"""

import select
import sys
import time

import av
import numpy as np
from tone import FRAME_SAMPLES, SAMPLE_RATE, tone

WIDTH, HEIGHT = 320, 240
FRAMES_PER_SECOND = 15
H264 = {"profile": "baseline", "preset": "ultrafast", "tune": "zerolatency", "g": str(FRAMES_PER_SECOND)}


def picture(colour, number):
    frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), colour, np.uint8), format="rgb24")
    frame.pts = number
    return frame


def sound(frequency, at):
    samples = np.repeat(tone(frequency, at), 2)
    frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="stereo")
    frame.sample_rate, frame.pts = SAMPLE_RATE, at
    return frame


def publish(url, options, colour, frequency):
    with av.open(url, "w", format="whip", options=options) as output:
        camera = output.add_stream("libx264", rate=FRAMES_PER_SECOND, options=H264)
        camera.width, camera.height, camera.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        microphone = output.add_stream("libopus", rate=SAMPLE_RATE, layout="stereo")
        began, frames, samples = time.monotonic(), 0, 0
        while not select.select([sys.stdin], [], [], max(0.0, began + frames / FRAMES_PER_SECOND - time.monotonic()))[
            0
        ]:
            output.mux(camera.encode(picture(colour, frames)))
            frames += 1
            while samples < frames * SAMPLE_RATE / FRAMES_PER_SECOND:
                output.mux(microphone.encode(sound(frequency, samples)))
                samples += FRAME_SAMPLES


def main():
    url, token, certificate, key, colour, frequency = sys.argv[1:]
    options = {"authorization": token, "cert_file": certificate, "key_file": key}
    publish(url, options, tuple(map(int, colour.split(","))), int(frequency))


if __name__ == "__main__":
    av.logging.set_level(av.logging.VERBOSE)
    main()

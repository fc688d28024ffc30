"""What to type, or to fill in, to publish by WHIP or to watch by WHEP with programs that know nothing of LiveKit."""

from urllib.parse import quote


def whip_recipes(url: str, token: str) -> str:
    """Say how the usual encoders are pointed at a server, whose HTTP address is `url`."""
    endpoint = f"{url.rstrip('/')}/whip/v1"
    return f"""\
OBS Studio 30 or newer (Settings, Stream):
  Service       WHIP
  Server        {endpoint}
  Bearer Token  {token}

FFmpeg 8 or newer:
  ffmpeg -re -i FILE -c:v libx264 -profile:v baseline -pix_fmt yuv420p -bf 0 -g 60 -c:a libopus -ar 48000 -ac 2 \\
    -f whip -authorization {token} {endpoint}
  built with GnuTLS (`ffmpeg -version` says so), its own certificates are too weak: give it one
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=whip -keyout key.pem -out cert.pem
    ffmpeg … -f whip -cert_file cert.pem -key_file key.pem …

GStreamer with gst-plugins-rs:
  gst-launch-1.0 whipclientsink name=out signaller::whip-endpoint={endpoint} signaller::auth-token={token} \\
    videotestsrc is-live=true ! out. audiotestsrc is-live=true ! out.

A browser, or anything else: POST an SDP offer as application/sdp
  {endpoint}
  Authorization: Bearer {token}"""


def whep_recipes(url: str, room: str, token: str, query: str) -> str:
    """Say how a room is watched on a server, whose HTTP address is `url`."""
    url = url.rstrip("/")
    endpoint = f"{url}/whep/v1{query and '?'}{query}"
    return f"""\
A browser:
  {url}/watch/{quote(room, safe="")}#token={token}

GStreamer with gst-plugins-rs:
  gst-launch-1.0 whepclientsrc name=in signaller::whep-endpoint='{endpoint}' signaller::auth-token={token} \\
    in. ! videoconvert ! autovideosink in. ! audioconvert ! autoaudiosink

Your own page: copy {url}/web/whep.js, and give it
  {endpoint}
  {token}"""

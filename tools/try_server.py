"""Start an installed `triforium` from an empty folder, ask it for `/`, stop it: `try_server.py PATH_TO_TRIFORIUM`."""

import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

START_SECONDS = 20
STOP_SECONDS = 5


def main(command: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [Path(command).absolute(), "serve", "--dev", "--port", "0", "--udp-port", "0"],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            try_out(server)
        finally:
            server.kill()
            server.wait()


def try_out(server: subprocess.Popen[str]) -> None:
    assert server.stdout is not None, "opened with a pipe"
    address = next((found[1] for line in server.stdout if (found := re.search(r"LIVEKIT_URL=ws(://\S+)", line))), None)
    assert address is not None, "the server ended without printing its address"
    with urllib.request.urlopen(f"http{address}/", timeout=START_SECONDS) as response:
        body = response.read()
    assert body == b"OK", f"GET / answered {body!r}"
    server.send_signal(signal.SIGTERM)
    status = server.wait(STOP_SECONDS)
    assert status == 0, f"SIGTERM ended it with exit status {status}"
    print("the installed server serves, and stops on SIGTERM")


if __name__ == "__main__":
    main(sys.argv[1])

"""The server that is measured, in a process of its own: what `triforium serve --dev` runs, on free ports.

It prints its URL, then answers each line on its standard input with the endpoint's counts; a thread does that, so that
between two lines nothing runs that the command does not run.
"""

import json
import sys
from threading import Thread

import trio

from triforium.app import Server, run_until_signalled
from triforium.loading import load
from triforium.logs import set_up_logging


def main() -> None:
    config, _ = load(is_development=True, port=0, udp_port=0)
    set_up_logging(config.logging)
    trio.run(run_until_signalled, config, announce)


def announce(server: Server) -> None:
    say({"url": server.url})
    Thread(target=answer, args=(server,), daemon=True).start()


def answer(server: Server) -> None:
    for _ in sys.stdin:
        counts = server.endpoint.statistics()
        say(
            {
                "received": counts.datagrams_received,
                "sent": counts.datagrams_sent,
                "wake_ups": counts.wake_ups,
                "routes": counts.routes,
                "dropped": counts.kernel_drops + sum(counts.drops.values()),
            }
        )


def say(answer: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

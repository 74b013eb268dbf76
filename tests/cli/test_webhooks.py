"""`fedreg webhooks …`: each command, what it prints, how it ends, and the secret in one place only."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fedreg.client.local import open_local
from fedreg.domain.records import Actor, Change
from fedreg.services.deliveries import deliver_due
from fedreg.services.webhook_sending import open_sender
from fedreg.store import journal

from .conftest import Outcome

Command = Callable[..., Outcome]
SECRET = "whsec_"


class Receiver:
    """Answers with `status`; counts what it gets."""

    def __init__(self) -> None:
        self.status, self.ids = 204, []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                receiver.ids.append(self.headers["webhook-id"])
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Nothing is printed between what commands print."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def config(config: Path) -> Path:
    rules = "webhooks: {allow_http: true, allow_private: [127.0.0.0/8], max_attempts: 1}\n"
    config.write_text(f"{rules}{config.read_text()}")
    return config


def deliver(config: Path) -> None:
    """What a gateway that is served does after a change."""

    async def work() -> None:
        async with open_local(config) as client:
            gateway = client.gateway
            change = Change(action="created", registry="left", model="churn", actor=Actor(subject="ann"))
            await gateway.store.write(lambda tx: journal.append(tx, change, gateway.now()))
            async with open_sender(gateway.webhooks) as sender:
                await deliver_due(gateway, sender, "hook")

    asyncio.run(work())


def test_set_list_show_and_delete(fedreg: Command) -> None:
    assert fedreg("webhooks", "list", "--json").out.strip() == "[]"
    filters = ("--action", "stage_set", "--action", "created", "--registry", "left", "--model", "team-*")
    made = fedreg("webhooks", "set", "hook", "https://hook.example/in", *filters)
    assert made.code == 0
    lines = dict(line.split(None, 1) for line in made.out.splitlines())
    assert lines["webhook"] == "hook" and lines["url"] == "https://hook.example/in"
    assert (lines["actions"], lines["registries"], lines["model"]) == ("stage_set, created", "left", "team-*")
    assert lines["secret"].startswith(SECRET) and "shown this once" in made.err
    listed = fedreg("webhooks", "list")
    assert listed.code == 0 and listed.out.split("\n")[0].split() == [
        "WEBHOOK",
        "URL",
        "ACTIONS",
        "REGISTRIES",
        "MODEL",
    ]
    assert "https://hook.example/in" in listed.out
    assert fedreg("webhooks", "list", "-o", "name").out == "hook\n"
    shown = json.loads(fedreg("webhooks", "show", "hook", "--json").out)
    assert (shown["actions"], shown["registries"], shown["model"]) == (["stage_set", "created"], ["left"], "team-*")
    assert shown["secret"] is None
    deleted = fedreg("webhooks", "delete", "hook")
    assert (deleted.code, deleted.out, deleted.err) == (0, "", "deleted webhook hook\n")
    assert fedreg("webhooks", "list", "-o", "name").out == ""


def test_the_secret_is_shown_once_and_nowhere_else(fedreg: Command, config: Path) -> None:
    made = json.loads(fedreg("webhooks", "set", "hook", "https://hook.example/", "--json").out)["secret"]
    kept = fedreg("webhooks", "set", "hook", "https://hook.example/", "--model", "m*")
    assert kept.code == 0 and SECRET not in kept.out + kept.err and "shown this once" not in kept.err
    renewed = json.loads(fedreg("webhooks", "set", "hook", "https://hook.example/", "--new-secret", "--json").out)
    assert made.startswith(SECRET) and renewed["secret"].startswith(SECRET) and renewed["secret"] != made
    later = [
        fedreg("webhooks", *command)
        for command in (("list", "-o", "wide"), ("list", "--json"), ("show", "hook"), ("deliveries", "hook", "--json"))
    ]
    later += [fedreg("audit"), fedreg("audit", "--json"), fedreg("config", "show")]
    assert {one.code for one in later} == {0}
    assert not [one for one in later if SECRET in one.out + one.err]


def test_deliveries_and_a_dead_letter_sent_again(fedreg: Command, config: Path, receiver: Receiver) -> None:
    fedreg("webhooks", "set", "hook", receiver.url, "--action", "created")
    receiver.status = 500
    deliver(config)
    dead = json.loads(fedreg("webhooks", "deliveries", "hook", "--state", "dead", "--json").out)
    assert [(one["sequence"], one["state"], one["status"], one["attempts"]) for one in dead] == [(2, "dead", 500, 1)]
    table = fedreg("webhooks", "deliveries", "hook")
    assert table.code == 0 and "answered 500" in table.out
    assert fedreg("webhooks", "deliveries", "hook", "--state", "delivered", "-o", "name").out == ""
    again = fedreg("webhooks", "redeliver", "hook", "2")
    assert again.code == 0 and "redelivering" in again.out
    twice = fedreg("webhooks", "redeliver", "hook", "2")
    assert twice.code == 1 and "delivery 2 to 'hook' is redelivering already" in twice.err and "cure: " in twice.err
    receiver.status = 204
    deliver(config)
    assert fedreg("webhooks", "deliveries", "hook", "-o", "name").out.split() == ["4", "2"]
    states = json.loads(fedreg("webhooks", "deliveries", "hook", "--json").out)
    assert {one["state"] for one in states} == {"delivered"}
    assert len(receiver.ids) == 3 and receiver.ids[0] == receiver.ids[1] != receiver.ids[2]
    assert json.loads(fedreg("webhooks", "deliveries", "hook", "--limit", "1", "--json").out) == states[:1]
    told = [line for line in fedreg("audit").out.splitlines() if "webhook hook" in line]
    assert len(told) == 2 and "webhook set" in told[0] and "webhook redelivered" in told[1]


def test_a_test_message(fedreg: Command, receiver: Receiver) -> None:
    fedreg("webhooks", "set", "hook", receiver.url)
    arrived = fedreg("webhooks", "test", "hook")
    assert (arrived.code, arrived.out.split()) == (0, ["delivered", "yes", "status", "204"])
    receiver.status = 403
    refused = fedreg("webhooks", "test", "hook", "--json")
    assert refused.code == 1
    assert json.loads(refused.out) == {
        "delivered": False,
        "status": 403,
        "error": "answered 403",
        "retry_after": None,
    }


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("set", "Hook!", "https://hook.example/"), 2, "id 'Hook!' is no name"),
        (("set", "hook", "hook.example"), 2, "url is no address"),
        (("set", "hook", "https://hook.example/", "--registry", "lefft"), 2, "registry 'lefft'"),
        (("delete", "nobody"), 3, "webhook 'nobody' does not exist"),
        (("test", "nobody"), 3, "webhook 'nobody' does not exist"),
        (("deliveries", "nobody"), 3, "webhook 'nobody' does not exist"),
        (("deliveries", "nobody", "--state", "lost"), 2, "'lost' is not one of"),
        (("redeliver", "nobody", "7"), 3, "webhook 'nobody' has no delivery 7"),
        (("redeliver", "nobody", "x"), 2, "'x' is not a valid integer"),
    ],
    ids=range(9),
)
def test_bad_input(fedreg: Command, arguments: tuple[str, ...], code: int, said: str) -> None:
    outcome = fedreg("webhooks", *arguments)
    assert (outcome.code, outcome.out) == (code, "") and said in outcome.err, outcome.err
    assert "Traceback" not in outcome.err

"""What only some surfaces have, and why. An entry that is no longer needed fails a test."""

from __future__ import annotations

from fedreg.client.remote import MODEL, REGISTRY, VERSION

COMMANDLESS = {
    "version": "`fedreg show` prints the version, and its files",
    "versions": "`fedreg inventory --versions` finds the same; a script gets each of them read live",
}
METHODLESS = {
    "POST /v1/events/{registry}": "for registries, which prove themselves by their own means",
    "OPTIONS /v1/events/{registry}": "for registries, which prove themselves by their own means",
    "GET /healthz": "for the platform that runs the process",
    "GET /readyz": "for the platform that runs the process",
    "GET /metrics": "for Prometheus",
    "GET /openapi.json": "the interface itself",
    "GET /docs": "the interface itself",
    "GET /v1/audit/verify": "the same as the POST with nothing in it, for a monitor",
    f"PUT {VERSION}/stage": "the same as `POST /v1/promotions`, told as a state",
}
OF_THIS_MACHINE = {
    "fedreg config check": "reads a file of this machine",
    "fedreg config show": "reads a file of this machine",
    "fedreg demo": "starts a sandbox on this machine",
    "fedreg init": "writes a file of this machine",
    "fedreg serve": "runs the gateway that the others talk to",
    "fedreg store backup": "works on the store's file",
    "fedreg store check": "works on the store's file",
    "fedreg store move": "works on the store's file",
    "fedreg store upgrade": "works on the store's file",
}
# parameters: `name`, or `method.name` where it is so for one method only
FIELDLESS = {
    "progress": "comes by `GET /v1/operations/{id}/events`",
    "directory": "a folder of the caller's",
}
OPTIONLESS = {
    "progress": "shown on stderr without asking",
    "inventory.cursor": "all pages are printed",
    "inventory.limit": "all pages are printed",
}
# fields of a request: `name`, which every route with pages has, or `route name`
PARAMETERLESS = {
    "limit": "clients read all pages",
    "cursor": "clients read all pages",
    f"GET {MODEL} from": "clients read live; `inventory` answers from the index",
    f"GET {VERSION} from": "clients read live; `inventory` answers from the index",
    f"GET {REGISTRY}/refresh wait": "`refresh` waits by itself",
    f"GET {VERSION}/files payload": "`download` asks for the payload, `show` for all files",
    "POST /v1/copies dry_run": "a method of its own: `plan_copy`",
    "POST /v1/migrations dry_run": "a method of its own: `plan_migration`",
}
# options: `--name`, or `command --name`
PRINTING = {
    "--output": "how the answer is printed",
    "--json": "how the answer is printed",
    "fedreg promote --wait": "methods wait for the end anyway, but for people: `promotion` tells how it stands",
    "fedreg promotions show --wait": "a script asks `promotion` as long as it likes",
    "fedreg promotions show --timeout": "a script asks `promotion` as long as it likes",
    "fedreg promote --timeout": "a script that waits for people asks `promotion` as long as it likes",
    "fedreg delete --yes": "asks nobody; a script is not asked",
    "fedreg migrate --report": "a file of what `migration_rows` gives",
}

"""The table of routes. Routing, the OpenAPI document and the docs page are made from it."""

from __future__ import annotations

from fedreg.api.endpoints import Route, make_route
from fedreg.api.handlers import (
    copies,
    doctor,
    files,
    inventory,
    journal,
    migrations,
    models,
    operations,
    promotions,
    registries,
    system,
    versions,
)
from fedreg.api.handlers.system import Health
from fedreg.domain.migrations import MigrationPlan
from fedreg.domain.reports import CopyPlan, OperationView
from fedreg.settings.sections import Role

READER, OPERATOR, APPROVER, ADMIN = Role.READER, Role.OPERATOR, Role.APPROVER, Role.ADMIN
R = "/v1/registries/{registry}"
M = f"{R}/models/{{model}}"
V = f"{M}/versions/{{version}}"
BYTES, EVENTS, HTML, METRICS = "application/octet-stream", "text/event-stream", "text/html", "text/plain"
r = make_route

ROUTES: tuple[Route, ...] = (
    # The busiest first: aiohttp tries patterns in this order.
    r("GET", V, versions.get_version, READER, "A version, live, or with `from=index` as last seen.", etag=True),
    r("PATCH", V, versions.update_version, OPERATOR, "Change a version's description and tags.", etag=True),
    r("DELETE", V, versions.delete_version, ADMIN, "Delete a version.", status=204),
    r("GET", M, models.get_model, READER, "A model, live, or with `from=index` as last seen.", etag=True),
    r("PATCH", M, models.update_model, OPERATOR, "Change a model's description and tags.", etag=True),
    r("DELETE", M, models.delete_model, ADMIN, "Delete a model.", status=204),
    r("GET", f"{M}/versions", versions.list_versions, READER, "A model's versions, live."),
    r(
        "POST",
        f"{M}/versions",
        versions.create_version,
        OPERATOR,
        "Register a version whose bytes are where the registry can read them.",
        status=201,
        etag=True,
        keyed=True,
    ),
    r("PUT", f"{V}/stage", versions.set_stage, OPERATOR, "Give a version a stage."),
    r("PUT", f"{V}/approval", versions.set_approval, APPROVER, "Decide on a version.", etag=True),
    r("PUT", f"{M}/aliases/{{alias}}", models.set_alias, OPERATOR, "Point an alias at a version.", etag=True),
    r("DELETE", f"{M}/aliases/{{alias}}", models.delete_alias, OPERATOR, "Take an alias away.", status=204),
    r("GET", f"{V}/files", files.list_files, READER, "The files of a version."),
    r("GET", f"{V}/files/{{path}}", files.get_file, READER, "A file, or one range of it.", media=BYTES),
    r("GET", f"{V}/lineage", journal.get_lineage, READER, "What led to a version and what came of it."),
    r("GET", f"{V}/history", journal.list_version_history, READER, "What happened to a version, oldest first."),
    r("GET", f"{M}/history", journal.list_model_history, READER, "What happened to a model, oldest first."),
    r("GET", f"{R}/models", models.list_models, READER, "A registry's models, live."),
    r("POST", f"{R}/models", models.create_model, OPERATOR, "Create a model.", status=201, etag=True, keyed=True),
    r("GET", "/v1/registries", registries.list_registries, READER, "The configured registries."),
    r("GET", R, registries.get_registry, READER, "A registry, asked whether it answers."),
    r("POST", f"{R}/refresh", registries.refresh_registry, READER, "Scan a registry into the index.", status=202),
    r("GET", "/v1/doctor", doctor.diagnose, OPERATOR, "Address, credentials and permissions of each registry."),
    r("GET", f"{R}/refresh", registries.get_refresh, READER, "The scan under way, or what the last one saw."),
    r("GET", "/v1/capabilities", registries.list_capabilities, READER, "What each registry can do."),
    r("GET", "/v1/models", inventory.list_models, READER, "The inventory, an item a model."),
    r("GET", "/v1/versions", inventory.list_versions, READER, "The inventory, an item a version."),
    r("GET", "/v1/facets", inventory.list_facets, READER, "Counts over the inventory."),
    r(
        "POST",
        "/v1/copies",
        copies.create_copy,
        OPERATOR,
        "Copy a version with its bytes; with dry_run answer the plan.",
        status=202,
        answers={202: OperationView, 200: CopyPlan},
        keyed=True,
    ),
    r(
        "POST",
        "/v1/migrations",
        migrations.create_migration,
        OPERATOR,
        "Copy the versions of a registry to another one; with dry_run answer the plan.",
        status=202,
        answers={202: OperationView, 200: MigrationPlan},
        keyed=True,
    ),
    r("GET", "/v1/migrations/{id}/rows", migrations.list_rows, READER, "What became of each version of a migration."),
    r("POST", "/v1/checks", copies.create_check, READER, "Compare two versions or two models.", status=202, keyed=True),
    r("GET", "/v1/promotions", promotions.list_promotions, READER, "Promotions, newest first."),
    r("POST", "/v1/promotions", promotions.create_promotion, OPERATOR, "Give a version a stage.", keyed=True),
    r("GET", "/v1/promotions/{id}", promotions.get_promotion, READER, "A promotion."),
    r("POST", "/v1/promotions/{id}/cancel", promotions.cancel_promotion, OPERATOR, "Cancel a promotion."),
    r("GET", "/v1/operations", operations.list_operations, READER, "Operations, newest first."),
    r("GET", "/v1/operations/{id}", operations.get_operation, READER, "An operation."),
    r(
        "GET",
        "/v1/operations/{id}/events",
        operations.stream_events,
        READER,
        "An operation's progress as server-sent events, until it ends.",
        media=EVENTS,
    ),
    r("POST", "/v1/operations/{id}/cancel", operations.cancel_operation, OPERATOR, "Cancel an operation."),
    r("GET", "/v1/audit", journal.list_audit, ADMIN, "The journal, oldest first."),
    r("GET", "/v1/audit/verify", journal.verify_audit, ADMIN, "Whether the journal is whole."),
    r(
        "POST",
        "/v1/audit/verify",
        journal.verify_against,
        ADMIN,
        "Whether the journal is whole, by heads kept outside.",
    ),
    r(
        "GET",
        "/v1/audit/key",
        journal.get_audit_key,
        ADMIN,
        "The public half of the key that signs the journal's heads.",
    ),
    r("GET", "/healthz", system.get_health, None, "Whether the process lives."),
    r(
        "GET",
        "/readyz",
        system.get_readiness,
        None,
        "Whether requests can be served.",
        answers={200: Health, 503: Health},
    ),
    r("GET", "/metrics", system.get_metrics, READER, "Prometheus metrics.", media=METRICS),
    r("GET", "/openapi.json", system.get_openapi, None, "This document."),
    r("GET", "/docs", system.get_docs, None, "The API for people.", media=HTML),
)

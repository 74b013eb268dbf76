"""MLflow's own delivery sends its events to a gateway, which looks at the model there."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer
from mlflow import MlflowClient
from mlflow.entities.webhook import Webhook, WebhookAction, WebhookEntity, WebhookEvent
from mlflow.webhooks.delivery import _create_webhook_session, _send_webhook_request

from fedreg.api.app import create_app
from fedreg.bootstrap import open_gateway
from fedreg.domain.records import Origin
from fedreg.services import audit
from fedreg.services.refresh import refresh
from fedreg.settings import load_settings

from .server import MlflowServer

EVENT = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, WebhookAction.CREATED)


def deliver(url: str, secret: str, model: str) -> int:
    webhook = Webhook("w", "gateway", url, [EVENT], 0, 0, secret=secret)
    payload = {"name": model, "alias": "champion", "version": "1"}
    with _create_webhook_session() as session:
        return _send_webhook_request(webhook, payload, EVENT, session).status_code  # type: ignore[arg-type]


async def test_from_mlflow_to_the_journal(
    server: MlflowServer, client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    monkeypatch.setenv("MLFLOW_WEBHOOK_REQUEST_MAX_RETRIES", "0")
    model = f"pushed-{uuid.uuid4().hex}"
    await asyncio.to_thread(client.create_registered_model, model)
    await asyncio.to_thread(client.create_model_version, model, "s3://bucket/model")
    config = tmp_path / "fedreg.yaml"
    config.write_text(f"registries: {{prod: {{kind: mlflow, url: '{server.url}', webhook_secret: s3cret}}}}\n")
    settings = load_settings(config, {})
    async with open_gateway(settings) as gateway, TestServer(create_app(gateway, settings)) as served:
        assert (await refresh(gateway, "prod")).error is None
        await asyncio.to_thread(client.set_registered_model_alias, model, "champion", "1")
        url = str(served.make_url("/v1/events/prod"))
        assert await asyncio.to_thread(deliver, url, "wrong", model) == 401
        assert await asyncio.to_thread(deliver, url, "s3cret", model) == 202
        await gateway.looks.settle()
        [entry] = await audit.list_audit(gateway)
        assert (entry.change.action, entry.change.model, entry.change.after) == (
            "alias_set",
            model,
            {"alias": "champion", "version": "1"},
        )
        assert entry.change.origin is Origin.OBSERVED

"""What the gateway holds for a registry that can't: shown, carried on to one that can, and gone with its model."""

from __future__ import annotations

from fedreg.client.blocking import Client
from fedreg.domain.migrations import Carried, MigrationOptions
from fedreg.domain.refs import Ref
from fedreg.domain.reports import ModelView

from .copies import Copies
from .facts import DESCRIPTION, MODEL_DESCRIPTION, MODEL_TAGS
from .outcomes import is_same
from .vendor_mlflow import Mlflow
from .world import TWIN, World

LOST = {"metrics.noise", "approval_comment", "aliases._shadow"}


def test_what_the_hub_can_not_hold_comes_back(world: World, fed: Client, copies: Copies) -> None:
    out = copies.of(("mlflow", "huggingface"))
    assert out.outcome.lost == LOST and "model.description" in out.outcome.held
    hub, name = "copies/churn of mlflow", "churn at home"
    options = MigrationOptions(models=(hub,), names={hub: name}, carry=tuple(Carried), allow_lossy=("*",))
    report = fed.migrate("huggingface", "mlflow" + TWIN, options)
    [row] = fed.migration_rows(report.operation)
    assert report.complete, row.error
    assert row.losses == ()
    home = world.vendors["mlflow"].read(name, "1")
    expected = {field: value for field, value in out.source.fields.items() if field not in LOST}
    assert {field for field, value in expected.items() if not is_same(home.fields.get(field), value)} == set()
    assert home.sums() == out.source.sums()


def test_a_models_values_are_shown_and_go_with_it(world: World, fed: Client) -> None:
    server = world.vendors["mlflow"]
    assert isinstance(server, Mlflow)
    server.client.create_registered_model("held", dict(MODEL_TAGS), MODEL_DESCRIPTION)
    server.make_version("held", {"a.bin": b"a"}, {}, {}, {}, DESCRIPTION)
    ref = Ref("huggingface", "held")
    assert "model.description" in {loss.field for loss in fed.plan_copy("mlflow:held@version:1", ref).losses}
    fed.copy("mlflow:held@version:1", ref)
    [listed] = fed.models("huggingface", name="held")
    assert (listed.description, dict(listed.tags)) == (MODEL_DESCRIPTION, MODEL_TAGS)
    assert set(listed.held_by_gateway) == {"description", *(f"tags.{key}" for key in MODEL_TAGS)}
    fed.delete(ref)
    fed.create_model(ref)
    shown = fed.show(ref)
    assert isinstance(shown, ModelView)
    assert (shown.model.description, dict(shown.model.tags), shown.model.held_by_gateway) == (None, {}, ())

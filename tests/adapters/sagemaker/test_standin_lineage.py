"""The SageMaker stand-in: lineage, model cards, and deployments."""

from typing import Any

from .standin_server import make_group, make_version, refused, walk


def make_chain(sm: Any) -> list[str]:
    """data -> training -> model -> deployment"""
    data = sm.create_artifact(ArtifactName="data", Source={"SourceUri": "s3://d/1"}, ArtifactType="DataSet")
    training = sm.create_action(ActionName="train", Source={"SourceUri": "job/1"}, ActionType="Training")
    model = sm.create_artifact(Source={"SourceUri": "s3://m/1"}, ArtifactType="Model", Properties={"p": "1"})
    serving = sm.create_context(ContextName="serve", Source={"SourceUri": "ep/1"}, ContextType="Endpoint")
    arns = [data["ArtifactArn"], training["ActionArn"], model["ArtifactArn"], serving["ContextArn"]]
    edge_types = ("ContributedTo", "Produced", "AssociatedWith")
    for source, destination, kind in zip(arns, arns[1:], edge_types, strict=False):
        sm.add_association(SourceArn=source, DestinationArn=destination, AssociationType=kind)
    return arns


def test_lineage_entities(sm: Any) -> None:
    data, training, model, serving = make_chain(sm)
    assert sm.describe_artifact(ArtifactArn=data)["ArtifactName"] == "data"
    sm.update_artifact(ArtifactArn=model, Properties={"q": "2"}, PropertiesToRemove=["p"])
    assert sm.describe_artifact(ArtifactArn=model)["Properties"] == {"q": "2"}
    sm.update_action(ActionName="train", Status="Completed", Description="done")
    assert sm.describe_action(ActionName=training)["Status"] == "Completed"
    sm.update_context(ContextName="serve", Properties={f"k{n}": "v" for n in range(30)})
    assert refused(sm.update_context, ContextName="serve", Properties={"x": "v"})[0] == "ValidationException"
    assert sm.describe_context(ContextName="serve")["ContextArn"] == serving
    found = walk(sm.list_artifacts, "ArtifactSummaries", MaxResults=1)
    assert {entry["ArtifactArn"] for entry in found} == {data, model}
    by_source = sm.list_artifacts(SourceUri="s3://m/1")["ArtifactSummaries"]
    assert [entry["ArtifactArn"] for entry in by_source] == [model]
    assert len(sm.list_actions(ActionType="Training")["ActionSummaries"]) == 1
    assert sm.list_contexts(ContextType="Other")["ContextSummaries"] == []
    again = refused(sm.create_artifact, Source={"SourceUri": "s3://d/1"}, ArtifactType="DataSet")
    assert again[0] == "ValidationException"
    assert refused(sm.describe_action, ActionName="absent")[0] == "ResourceNotFound"
    assert refused(sm.delete_artifact, ArtifactArn=data)[0] == "ValidationException"
    sm.delete_association(SourceArn=data, DestinationArn=training)
    sm.delete_artifact(Source={"SourceUri": "s3://d/1"})
    assert refused(sm.describe_artifact, ArtifactArn=data)[0] == "ResourceNotFound"


def test_associations(sm: Any) -> None:
    data, training, model, _ = make_chain(sm)
    listed = sm.list_associations(DestinationArn=model)["AssociationSummaries"]
    assert [(e["SourceArn"], e["AssociationType"], e["SourceName"]) for e in listed] == [
        (training, "Produced", "train")
    ]
    assert len(walk(sm.list_associations, "AssociationSummaries", MaxResults=1, SortBy="SourceArn")) == 3
    assert refused(sm.add_association, SourceArn=data, DestinationArn=training)[0] == "ValidationException"
    assert refused(sm.add_association, SourceArn=data, DestinationArn=f"{model}0")[0] == "ResourceNotFound"
    assert refused(sm.delete_association, SourceArn=model, DestinationArn=data)[0] == "ResourceNotFound"
    wrong = refused(sm.add_association, SourceArn=data, DestinationArn=model, AssociationType="Likes")
    assert wrong[0] == "ValidationException"


def test_query_lineage(sm: Any) -> None:
    data, training, model, serving = make_chain(sm)

    def vertices(**given: Any) -> list[str]:
        return [vertex["Arn"] for vertex in walk(sm.query_lineage, "Vertices", **given)]

    assert vertices(StartArns=[data], Direction="Descendants", IncludeEdges=False) == [training, model, serving]
    assert vertices(StartArns=[model], Direction="Ascendants", IncludeEdges=False, MaxDepth=1) == [training]
    assert set(vertices(StartArns=[model], MaxResults=1)) == {data, training, model, serving}
    artifacts = {"LineageTypes": ["Artifact"]}
    assert vertices(StartArns=[serving], IncludeEdges=False, Filters=artifacts) == [model, data]
    edges = walk(sm.query_lineage, "Edges", StartArns=[data], MaxResults=2)
    assert [(edge["SourceArn"], edge["DestinationArn"]) for edge in edges] == [
        (data, training),
        (training, model),
        (model, serving),
    ]
    for given in ({"MaxDepth": 11}, {"MaxResults": 51}, {"MaxDepth": 0}, {"StartArns": [data, model]}):
        assert refused(sm.query_lineage, **{"StartArns": [data], **given})[0] == "ValidationException"
    sm.query_lineage(StartArns=[data], MaxDepth=10, MaxResults=50)
    assert refused(sm.query_lineage, StartArns=[f"{data}0"])[0] == "ResourceNotFound"


def test_card_versions(sm: Any) -> None:
    card = {"ModelCardName": "card"}
    arn = sm.create_model_card(Content='{"a": 1}', ModelCardStatus="Draft", **card)["ModelCardArn"]
    assert refused(sm.create_model_card, Content="{}", ModelCardStatus="Draft", **card)[0] == "ConflictException"
    assert refused(sm.update_model_card, Content="{}", ModelCardStatus="Draft", **card)[0] == "ValidationException"
    assert refused(sm.update_model_card, Content="nonsense", **card)[0] == "ValidationException"
    sm.update_model_card(Content='{"a": 2}', **card)
    sm.update_model_card(ModelCardStatus="Approved", **card)
    latest = sm.describe_model_card(ModelCardName=arn)
    assert (latest["ModelCardVersion"], latest["Content"], latest["ModelCardStatus"]) == (3, '{"a": 2}', "Approved")
    assert sm.describe_model_card(ModelCardVersion=1, **card)["Content"] == '{"a": 1}'
    assert sm.describe_model_card(IncludedData="MetadataOnly", **card)["Content"] == ""
    listed = walk(sm.list_model_card_versions, "ModelCardVersionSummaryList", MaxResults=2, **card)
    assert [entry["ModelCardVersion"] for entry in listed] == [1, 2, 3]
    approved = sm.list_model_cards(ModelCardStatus="Approved")["ModelCardSummaries"]
    assert [entry["ModelCardArn"] for entry in approved] == [arn]
    sm.add_tags(ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    sm.delete_model_card(**card)
    assert refused(sm.describe_model_card, **card)[0] == "ResourceNotFound"


def test_a_package_is_traced_to_its_endpoint(sm: Any) -> None:
    make_group(sm)
    package = make_version(sm)
    model = {"ModelName": "m", "PrimaryContainer": {"ModelPackageName": package}}
    assert "not approved" in refused(sm.create_model, **model)[1]
    sm.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    sm.create_model(**model)
    variant = {"VariantName": "v", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    sm.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sm.create_endpoint(EndpointName="e", EndpointConfigName="c")
    (endpoint,) = sm.list_endpoints(StatusEquals="InService")["Endpoints"]
    config = sm.describe_endpoint(EndpointName=endpoint["EndpointName"])["EndpointConfigName"]
    served = sm.describe_endpoint_config(EndpointConfigName=config)["ProductionVariants"][0]["ModelName"]
    assert sm.describe_model(ModelName=served)["PrimaryContainer"]["ModelPackageName"] == package
    assert len(sm.list_models()["Models"]) == len(sm.list_endpoint_configs()["EndpointConfigs"]) == 1
    sm.delete_endpoint(EndpointName="e")
    assert "Could not find" in refused(sm.describe_endpoint, EndpointName="e")[1]

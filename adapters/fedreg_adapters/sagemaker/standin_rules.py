"""Rules on model packages and cards that the service documents but its shapes do not express."""

import json

from .standin_errors import invalid
from .standin_validation import JSON

MAX_PROPERTIES = 50


def check_metadata_size(properties: JSON) -> None:
    """At most 50 CustomerMetadataProperties, counted after the merge."""
    if len(properties) > MAX_PROPERTIES:
        raise invalid(
            f"CustomerMetadataProperties can not exceed {MAX_PROPERTIES} entries: this would make {len(properties)}."
        )


def check_card_content(content: str | None) -> None:
    """Card content is a JSON object."""
    if content is None:
        return
    try:
        is_object = isinstance(json.loads(content), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise invalid("Model card content is not a valid JSON object.")


def check_inference_specification(specification: JSON) -> None:
    """One source of model data per container; a prefix ends with a slash and is not compressed."""
    for container in specification["Containers"]:
        source = container.get("ModelDataSource", {}).get("S3DataSource")
        if source and "ModelDataUrl" in container:
            raise invalid("ModelDataUrl and ModelDataSource can not be specified together: give one of them.")
        if source and source["S3DataType"] == "S3Prefix":
            if not source["S3Uri"].endswith("/"):
                raise invalid(f"S3Uri {source['S3Uri']} must end with a forward slash when S3DataType is S3Prefix.")
            if source["CompressionType"] == "Gzip":
                raise invalid("CompressionType Gzip is supported only when S3DataType is S3Object.")

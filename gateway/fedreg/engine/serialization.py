"""How workflow arguments, results and errors are kept: JSON text, never pickle.

A value is kept as `{"v": value}`, an error as `{"e": fields}`, so neither can pass for the other.
"""

from __future__ import annotations

from typing import Any

import msgspec
from dbos import Serializer

from fedreg.domain.errors import FedregError, Outcome

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


class JsonSerializer(Serializer):
    """DBOS's serializer: msgspec JSON, with errors as the fields of `FedregError.to_dict`."""

    def name(self) -> str:
        return "fedreg_json"

    def serialize(self, data: Any) -> str:
        if isinstance(data, Exception):
            return _encoder.encode({"e": to_error(data).to_dict()}).decode()
        return _encoder.encode({"v": data}).decode()

    def deserialize(cls, serialized_data: str) -> Any:  # noqa: N805 - the base class spells it so
        kept = _decoder.decode(serialized_data)
        return FedregError.from_dict(kept["e"]) if "e" in kept else kept["v"]


def to_json(value: Any, source: str) -> Any:
    """What a replay would return for `value`: plain JSON values. `source` names the giver in the error."""
    try:
        return _decoder.decode(_encoder.encode(value))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
        raise FedregError(f"{source} gave {type(value).__name__}, which has no JSON form: {error}") from error


def to_error(error: Exception, source: str | None = None) -> FedregError:
    """A domain error as it is; any other as a FedregError naming the type, its effect unknown."""
    if isinstance(error, FedregError):
        return error
    kind = type(error).__name__
    return FedregError(f"{kind}: {error}", operation=source, outcome=Outcome.UNKNOWN, details={"exception": kind})

"""Errors of the SageMaker stand-in, worded as the service words them."""

MODELLED = frozenset({"ConflictException", "ResourceLimitExceeded", "ResourceNotFound"})


class ServiceError(Exception):
    """A refusal the client sees: the error code, the message and the HTTP status (400 unless said)."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status

    def body(self) -> dict[str, str]:
        """The JSON-1.1 body; modelled errors spell the member `Message`, common ones `message`."""
        return {"__type": self.code, "Message" if self.code in MODELLED else "message": self.message}


def invalid(message: str) -> ServiceError:
    """ValidationException: also how the service reports missing and duplicate groups and packages."""
    return ServiceError("ValidationException", message)


def conflict(message: str) -> ServiceError:
    """ConflictException."""
    return ServiceError("ConflictException", message)


def not_found(message: str) -> ServiceError:
    """ResourceNotFound, which model cards and lineage use."""
    return ServiceError("ResourceNotFound", message)

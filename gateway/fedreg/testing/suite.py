"""The whole conformance suite, for `from fedreg.testing.suite import *` in an adapter's test module."""

from __future__ import annotations

from fedreg.testing.conformance.aliases import TestAliases, TestDeleteAlias
from fedreg.testing.conformance.approval import TestApproval
from fedreg.testing.conformance.beyond import TestDeployments, TestEvents, TestLineage
from fedreg.testing.conformance.declaration import TestDeclaration
from fedreg.testing.conformance.faults import TestReadFaults
from fedreg.testing.conformance.files import TestFiles
from fedreg.testing.conformance.integrity import TestIntegrity
from fedreg.testing.conformance.limits import TestLimits
from fedreg.testing.conformance.models import TestCreateModel, TestDeleteModel, TestModels, TestUpdateModel
from fedreg.testing.conformance.names import TestNames
from fedreg.testing.conformance.scan import TestIncrementalScan, TestScan
from fedreg.testing.conformance.stages import TestStages
from fedreg.testing.conformance.tags import TestModelTags, TestVersionTags
from fedreg.testing.conformance.unsupported import TestUnsupported, TestUnsupportedFields
from fedreg.testing.conformance.uploads import TestCopyNative, TestCreateVersion, TestUploads
from fedreg.testing.conformance.versions import TestDeleteVersion, TestFindVersion, TestUpdateVersion, TestVersions
from fedreg.testing.conformance.write_faults import TestChangeFaults, TestCreateFaults

__all__ = [
    "TestAliases",
    "TestApproval",
    "TestChangeFaults",
    "TestCopyNative",
    "TestCreateFaults",
    "TestCreateModel",
    "TestCreateVersion",
    "TestDeclaration",
    "TestDeleteAlias",
    "TestDeleteModel",
    "TestDeleteVersion",
    "TestDeployments",
    "TestEvents",
    "TestFiles",
    "TestFindVersion",
    "TestIncrementalScan",
    "TestIntegrity",
    "TestLimits",
    "TestLineage",
    "TestModelTags",
    "TestModels",
    "TestNames",
    "TestReadFaults",
    "TestScan",
    "TestStages",
    "TestUnsupported",
    "TestUnsupportedFields",
    "TestUpdateModel",
    "TestUpdateVersion",
    "TestUploads",
    "TestVersionTags",
    "TestVersions",
]

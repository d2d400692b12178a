"""HF7xx: what has to outlive a stack, and what must not pile up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from holdfast.deploy.core.rules.resolve import is_literal, is_true, number_of
from holdfast.deploy.core.rules.violation import Found, Subject, rule

STATEFUL: Final = (
    "AWS::RDS::DBInstance",
    "AWS::RDS::DBCluster",
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::EFS::FileSystem",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
    "AWS::Logs::LogGroup",
    "AWS::ECR::Repository",
    "AWS::KMS::Key",
)
"""What is lost with everything in it. CloudFormation's default is to delete, for clusters of RDS to take a snapshot."""


@rule(
    "HF701",
    "state without a word on its deletion",
    why="A deleted or replaced stack takes every record along; nobody decided that.",
    remedy="say DeletionPolicy and UpdateReplacePolicy: Retain or Snapshot, or Delete where that is meant",
    source="AWS CloudFormation, DeletionPolicy and UpdateReplacePolicy attributes",
)
def _goes_along(subject: Subject) -> Iterator[Found]:
    for resource in subject.template.of(*STATEFUL):
        missing = [key for key in ("DeletionPolicy", "UpdateReplacePolicy") if key not in resource.body]
        if missing:
            yield resource.id, (), f"says no {' and no '.join(missing)}"


@rule(
    "HF702",
    "database that is not encrypted",
    why="Its snapshots and its disks can be read by whoever gets hold of them; it cannot be switched on later.",
    remedy="set StorageEncrypted to true",
    source="Amazon RDS, encrypting resources",
)
def _clear_disk(subject: Subject) -> Iterator[Found]:
    for database in subject.template.of("AWS::RDS::DBInstance", "AWS::RDS::DBCluster"):
        inherits = database.at("DBClusterIdentifier") or database.at("SourceDBInstanceIdentifier")
        encrypted = database.at("StorageEncrypted")
        if not inherits and not is_true(encrypted) and is_literal(encrypted):
            yield database.id, ("Properties", "StorageEncrypted"), "its storage is not encrypted"


@rule(
    "HF703",
    "database without backups",
    why="What was deleted at noon is gone: there is no point in time to go back to.",
    remedy="set BackupRetentionPeriod to 7 days or more",
    source="Amazon RDS, backup retention period",
)
def _no_backups(subject: Subject) -> Iterator[Found]:
    for database in subject.template.of("AWS::RDS::DBInstance", "AWS::RDS::DBCluster"):
        if number_of(database.at("BackupRetentionPeriod")) == 0:
            yield database.id, ("Properties", "BackupRetentionPeriod"), "keeps no backups"


@rule(
    "HF704",
    "log that is kept for ever",
    why="It is paid for by the month, and what is in it about people stays.",
    remedy="set RetentionInDays",
    source="AWS::Logs::LogGroup",
)
def _log_for_ever(subject: Subject) -> Iterator[Found]:
    for group in subject.template.of("AWS::Logs::LogGroup"):
        if group.at("RetentionInDays") is None:
            yield group.id, ("Properties",), "says no RetentionInDays, so it keeps everything"

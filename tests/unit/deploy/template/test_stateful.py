from __future__ import annotations

import json

import pytest

from holdfast.deploy.errors import Invalid
from holdfast.deploy.shell.template import secrets
from holdfast.deploy.shell.template.database import add_database
from holdfast.deploy.shell.template.logs import RETENTION_DAYS, log_group, retention
from tests.unit.deploy.template.making import NETWORK, a_stack, resources, written


def test_a_database_is_private_encrypted_and_not_deleted_by_mistake() -> None:
    stack = a_stack()
    add_database(stack, NETWORK)
    found = resources(stack)["Database"]
    properties = found["Properties"]
    assert properties["PubliclyAccessible"] is False
    assert properties["StorageEncrypted"] is True
    assert properties["DeletionProtection"] is True
    assert properties["BackupRetentionPeriod"] >= 7
    assert (found["DeletionPolicy"], found["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")
    assert resources(stack)["DatabaseParameters"]["Properties"]["Parameters"]["rds.force_ssl"] == "1"


def test_a_database_that_is_not_protected_leaves_nothing_that_costs() -> None:
    stack = a_stack(protect=False)
    add_database(stack, NETWORK)
    assert {each.get("DeletionPolicy", "Delete") for each in resources(stack).values()} == {"Delete"}
    assert resources(stack)["Database"]["Properties"]["DeleteAutomatedBackups"] is True


def test_the_address_of_the_database_has_no_password_and_the_template_has_none_at_all() -> None:
    stack = a_stack()
    database = add_database(stack, NETWORK)
    assert "password" not in json.dumps(database.environment["DATABASE_URL"].to_dict())
    password = resources(stack)["Database"]["Properties"]["MasterUserPassword"]
    assert password == {"Fn::Sub": "{{resolve:secretsmanager:${DatabaseSecret}:SecretString:password}}"}
    assert [secret.variable for secret in database.secrets] == ["PGPASSWORD"]


def test_nobody_reaches_the_database_until_let_in_and_then_only_that_group() -> None:
    stack = a_stack()
    database = add_database(stack, NETWORK)
    assert "SecurityGroupIngress" not in resources(stack)["DatabaseGroup"]["Properties"]
    database.admit(stack, "gateway", "sg-12345678")
    rule = resources(stack)["GatewayReachesDatabase"]["Properties"]
    assert (rule["SourceSecurityGroupId"], rule["FromPort"], rule["ToPort"]) == ("sg-12345678", 5432, 5432)


def test_a_secret_that_only_the_operator_has_is_one_parameter_however_many_name_it() -> None:
    stack = a_stack()
    one, two = (secrets.provided(stack, "OPENAI_API_KEY") for _ in range(2))
    assert one.variable == two.variable == "OPENAI_API_KEY"
    parameters = written(stack)["Parameters"]
    assert list(parameters) == ["OpenaiApiKeySecretArn"]
    assert "Default" not in parameters["OpenaiApiKeySecretArn"]


def test_a_generated_key_survives_its_stack() -> None:
    stack = a_stack()
    secrets.generated(stack, "HOLDFAST_ADMIN_KEY", about="Administrator's key")
    found = resources(stack)["HoldfastAdminKeySecret"]
    assert found["DeletionPolicy"] == "Retain"
    assert "SecretString" not in found["Properties"]


def test_a_name_that_no_variable_has_is_refused() -> None:
    with pytest.raises(Invalid, match="capitals"):
        secrets.provided(a_stack(), "key:json")


@pytest.mark.parametrize("days", RETENTION_DAYS)
def test_logs_are_kept_as_long_as_cloudwatch_can(days: int) -> None:
    assert retention(days) == days


@pytest.mark.parametrize(("days", "nearest"), [(0, 1), (31, 60), (10_000, 3653)])
def test_other_numbers_of_days_are_refused_with_the_nearest(days: int, nearest: int) -> None:
    with pytest.raises(Invalid, match=rf"write {nearest}$"):
        retention(days)


def test_a_log_group_ends_and_is_not_named() -> None:
    stack = a_stack(log_days=7)
    log_group(stack, "gateway")
    assert resources(stack)["GatewayLogs"]["Properties"] == {"RetentionInDays": 7}

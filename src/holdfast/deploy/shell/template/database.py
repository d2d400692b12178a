"""RDS for PostgreSQL: private, encrypted, backed up, reached only by the tasks that have business with it.

The password is generated into a secret and read from there by RDS and by the tasks. The address that tasks get has no
password in it: libpq takes that from ``PGPASSWORD``, so that an address in a log or an error gives nothing away, and a
new password needs new tasks but no new address. (RDS can manage the password itself, and would then change it every
week under tasks that hold the old one.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from troposphere import GetAtt, Parameter, Ref, Sub, ec2, rds, secretsmanager

from holdfast.deploy.shell.template.names import logical_id
from holdfast.deploy.shell.template.secrets import Secret, of_json
from holdfast.deploy.shell.template.stack import Network, Stack

PORT: Final = 5432
USER: Final = "holdfast"
DATABASE: Final = "holdfast"
MAJOR: Final = "17"
"""Version of PostgreSQL. The store needs 15 or newer."""
MINOR: Final = "17.11"
"""To begin with; RDS moves on by itself, and an update of the stack that does not name another one leaves it there.
The major version alone is taken, too, but may mean one that new instances cannot have any more."""
BACKUP_DAYS: Final = 7
"""Point-in-time recovery reaches back so far. Backups up to the size of the database are free."""
STORAGE_GB: Final = 20
"""The least that gp3 gives; it has 3,000 operations a second whatever its size."""
STORAGE_MOST_GB: Final = 100
"""It grows by itself up to this, and never shrinks."""
CLASSES: Final = ("db.t4g.micro", "db.t4g.small", "db.t4g.medium", "db.t4g.large", "db.m7g.large", "db.r7g.large")
CHARACTERS: Final = 40
"""Of the password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database, and how a task gets at it."""

    instance: Any
    """The ``AWS::RDS::DBInstance``: for alarms and for ``DependsOn``."""
    group: Any
    """Its security group."""
    environment: Mapping[str, Any]
    """``DATABASE_URL``: for ``store.url: ${DATABASE_URL}``."""
    secrets: tuple[Secret, ...]
    """``PGPASSWORD``."""

    def admit(self, stack: Stack, name: str, group: Any) -> None:
        """Let the tasks of one security group connect."""
        # Rules of their own, not inside the groups: two groups that name each other could not be made.
        stack.template.add_resource(
            ec2.SecurityGroupIngress(
                logical_id(name, "reaches", "database"),
                GroupId=GetAtt(self.group, "GroupId"),
                SourceSecurityGroupId=group,
                IpProtocol="tcp",
                FromPort=PORT,
                ToPort=PORT,
                Description=f"PostgreSQL from {name}",
            )
        )


def add_database(stack: Stack, network: Network) -> Database:
    """Make one, in the private subnets.

    It needs at least two of them in different zones, with or without a standby. With ``protect`` a deletion is refused
    until somebody turns deletion protection off, and then leaves a final snapshot. Retaining the instance itself would
    keep its subnets and the deletion of the stack would fail.
    """
    settings, template = stack.plan.settings.template, stack.template
    keep = "Retain" if settings.protect else "Delete"
    size = template.add_parameter(
        Parameter(
            "DatabaseClass",
            Type="String",
            Default=CLASSES[0],
            AllowedValues=list(CLASSES),
            Description="Class of the database instance. A change restarts it.",
        )
    )
    version = template.add_parameter(
        Parameter(
            "DatabaseVersion",
            Type="String",
            Default=MINOR,
            AllowedPattern=rf"^{MAJOR}\.[0-9]+$",
            ConstraintDescription=f"a version {MAJOR}.x that RDS offers",
            Description="Version of PostgreSQL. Leave it when RDS has moved on by itself.",
        )
    )
    tls = template.add_parameter(
        Parameter(
            "DatabaseTls",
            Type="String",
            Default="require",
            AllowedValues=["require", "verify-full"],
            Description="verify-full where PGSSLROOTCERT in the image names the certificate bundle of RDS.",
        )
    )
    password = template.add_resource(
        secretsmanager.Secret(
            "DatabaseSecret",
            Description=f"Password of {USER} in the database of {stack.name}",
            GenerateSecretString=secretsmanager.GenerateSecretString(
                SecretStringTemplate=f'{{"username":"{USER}"}}',
                GenerateStringKey="password",
                PasswordLength=CHARACTERS,
                ExcludePunctuation=True,
            ),
            DeletionPolicy=keep,
            UpdateReplacePolicy=keep,
        )
    )
    group = template.add_resource(
        ec2.SecurityGroup(
            "DatabaseGroup",
            GroupDescription="The database: nobody, until a service is let in",
            VpcId=network.vpc,
            # A database calls nobody. An empty list would mean everywhere, so the one rule leads nowhere.
            SecurityGroupEgress=[
                ec2.SecurityGroupRule(IpProtocol="-1", CidrIp="127.0.0.1/32", Description="Nothing goes out")
            ],
        )
    )
    subnets = template.add_resource(
        rds.DBSubnetGroup(
            "DatabaseSubnets",
            DBSubnetGroupDescription=f"Private subnets of {stack.name}",
            SubnetIds=list(network.private_subnets),
        )
    )
    parameters = template.add_resource(
        rds.DBParameterGroup(
            "DatabaseParameters",
            Description="TLS only; statements over a second in the log",
            Family=f"postgres{MAJOR}",
            Parameters={
                "rds.force_ssl": "1",
                "log_min_duration_statement": "1000",
                "idle_in_transaction_session_timeout": "60000",
            },
        )
    )
    instance = template.add_resource(
        rds.DBInstance(
            "Database",
            Engine="postgres",
            EngineVersion=Ref(version),
            DBInstanceClass=Ref(size),
            DBName=DATABASE,
            MasterUsername=USER,
            MasterUserPassword=Sub("{{resolve:secretsmanager:${DatabaseSecret}:SecretString:password}}"),
            AllocatedStorage=str(STORAGE_GB),
            MaxAllocatedStorage=STORAGE_MOST_GB,
            StorageType="gp3",
            StorageEncrypted=True,
            PubliclyAccessible=False,
            MultiAZ=settings.multi_az,
            VPCSecurityGroups=[GetAtt(group, "GroupId")],
            DBSubnetGroupName=Ref(subnets),
            DBParameterGroupName=Ref(parameters),
            BackupRetentionPeriod=BACKUP_DAYS,
            CopyTagsToSnapshot=True,
            DeleteAutomatedBackups=not settings.protect,
            DeletionProtection=settings.protect,
            AutoMinorVersionUpgrade=True,
            AllowMajorVersionUpgrade=False,
            EnablePerformanceInsights=False,
            DeletionPolicy="Snapshot" if settings.protect else "Delete",
            UpdateReplacePolicy="Snapshot" if settings.protect else "Delete",
        )
    )
    url = Sub(
        f"postgresql://{USER}@${{Host}}:{PORT}/{DATABASE}?sslmode=${{Tls}}",
        Host=GetAtt(instance, "Endpoint.Address"),
        Tls=Ref(tls),
    )
    stack.shared["database.secret"] = Ref(password)
    return Database(
        instance=instance,
        group=group,
        environment={"DATABASE_URL": url},
        secrets=(of_json("PGPASSWORD", Ref(password), "password"),),
    )

"""What the stacks have beside the workloads: the database, secrets, alarms, the DNS zone."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from holdfast.deploy.core.prices import MONTH_HOURS, Estimate, PriceTable
from holdfast.deploy.core.pricing.bill import Ledger
from holdfast.deploy.core.workload import DeploySettings

DATABASE_CLASS: Final = "db.t4g.micro"
"""Class of instance that the templates begin with."""
DATABASE_GB: Final = 20
"""Storage that they begin with: the least that gp3 gives."""


def beside(
    settings: DeploySettings,
    *,
    region: str,
    prices: PriceTable,
    at: date,
    database: bool,
    secrets: int = 0,
    alarms: int = 0,
) -> Estimate:
    """A month of it, whatever the traffic. A standby (``template.multi_az``) costs instance and storage again."""
    ledger = Ledger(region=region, prices=prices, at=at)
    copies = (2 if settings.template.multi_az else 1) if database else 0
    note = "with a standby in another zone" if copies == 2 else ""
    ledger.add(
        "database", f"RDS PostgreSQL, {DATABASE_CLASS}", MONTH_HOURS * copies, f"rds.{DATABASE_CLASS}.hour", note
    )
    ledger.add("database", f"RDS storage, {DATABASE_GB} GB", Decimal(DATABASE_GB * copies), "rds.gp3_gb_month")
    ledger.add("other", "Secrets Manager", Decimal(secrets), "secrets.secret_month")
    ledger.add("other", "CloudWatch alarms", Decimal(alarms), "alarms.alarm_month")
    zones = 1 if settings.template.hosted_zone else 0
    ledger.add("other", "Route 53, hosted zone", Decimal(zones), "route53.zone_month")
    ledger.assume("the database is the smallest that the templates make; it is a parameter of the stack")
    return ledger.estimate(f"beside the workloads, {region}")

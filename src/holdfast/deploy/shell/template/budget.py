"""A monthly budget of the account, with mail before the money is spent and not after."""

from __future__ import annotations

from typing import Any

from troposphere import budgets

from holdfast.deploy.shell.template.stack import Stack


def add_budget(stack: Stack) -> Any | None:
    """Tell at 80 % and at 100 % of what was spent, and when the forecast is above the budget.

    ``None`` without ``monthly_budget``. It counts the whole account: a budget of these stacks alone would need cost
    allocation tags, which are switched on by hand and count from then on. It warns; it stops nothing.
    """
    settings = stack.plan.settings.template
    if settings.monthly_budget is None:
        return None
    told = (("ACTUAL", 80.0), ("ACTUAL", 100.0), ("FORECASTED", 100.0)) if settings.alarm_email else ()
    notifications = [
        budgets.NotificationWithSubscribers(
            Notification=budgets.Notification(
                NotificationType=kind,
                ComparisonOperator="GREATER_THAN",
                Threshold=percent,
                ThresholdType="PERCENTAGE",
            ),
            Subscribers=[budgets.Subscriber(SubscriptionType="EMAIL", Address=settings.alarm_email)],
        )
        for kind, percent in told
    ]
    return stack.template.add_resource(
        budgets.Budget(
            "Budget",
            Budget=budgets.BudgetData(
                BudgetType="COST",
                TimeUnit="MONTHLY",
                BudgetLimit=budgets.Spend(Amount=settings.monthly_budget, Unit="USD"),
            ),
            **({"NotificationsWithSubscribers": notifications} if notifications else {}),
        )
    )

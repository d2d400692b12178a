from __future__ import annotations

from holdfast.deploy.shell.template import alarms
from holdfast.deploy.shell.template.budget import add_budget
from holdfast.deploy.shell.template.database import CLASSES, add_database
from tests.unit.deploy.template.making import NETWORK, a_stack, resources, written

MAIL = "pager@example.com"


def test_alarms_tell_the_topic_when_somebody_listens_and_only_show_otherwise() -> None:
    told, silent = a_stack(alarm_email=MAIL), a_stack()
    for stack in (told, silent):
        alarms.task_alarms(stack, "gateway", cluster="c", service="s", least=2)
    assert resources(told)["GatewayTasksAlarm"]["Properties"]["AlarmActions"] == [{"Ref": "Alarms"}]
    assert list(resources(silent)) == ["GatewayTasksAlarm"]


def test_only_this_account_s_alarms_may_publish() -> None:
    stack = a_stack(alarm_email=MAIL)
    alarms.alarm_topic(stack)
    alarms.alarm_topic(stack)
    (policy,) = resources(stack, "TopicPolicy").values()
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}


def test_tasks_that_report_nothing_are_tasks_that_do_not_run() -> None:
    stack = a_stack()
    alarms.task_alarms(stack, "gateway", cluster="c", service="s", least=2)
    alarm = resources(stack)["GatewayTasksAlarm"]["Properties"]
    assert (alarm["Statistic"], alarm["Threshold"], alarm["TreatMissingData"]) == ("SampleCount", 2.0, "breaching")


def test_a_service_that_may_sleep_is_not_missed() -> None:
    stack = a_stack()
    alarms.task_alarms(stack, "worker", cluster="c", service="s", least=0)
    assert not stack.template.resources


def test_errors_are_a_share_of_enough_requests() -> None:
    stack = a_stack()
    alarms.load_balancer_alarms(stack, "gateway", load_balancer="app/x/1", target_group="targetgroup/x/1")
    alarm = resources(stack)["GatewayErrorsAlarm"]["Properties"]
    (expression,) = [query["Expression"] for query in alarm["Metrics"] if "Expression" in query]
    assert ">= 20" in expression
    assert alarm["TreatMissingData"] == "notBreaching"
    assert "GatewayLatencyAlarm" not in resources(stack)


def test_an_express_service_is_watched_through_what_ecs_made_for_it() -> None:
    stack = a_stack()
    alarms.express_alarms(stack, "gateway", cluster="c", service="GatewayService", least=0)
    found = resources(stack)
    assert found["GatewayTasksAlarm"]["Properties"]["Threshold"] == 1.0
    assert "LoadBalancerArn" in str(found["GatewayErrorsAlarm"]["Properties"]["Metrics"])


def test_every_class_of_database_has_a_limit_of_connections() -> None:
    stack = a_stack()
    alarms.database_alarms(stack, add_database(stack, NETWORK))
    limits = written(stack)["Mappings"]["DatabaseConnections"]
    assert set(limits) == set(CLASSES)
    assert all(int(limit["Most"]) > 0 for limit in limits.values())


def test_a_budget_tells_at_80_and_100_percent_and_of_a_forecast_above_it() -> None:
    stack = a_stack(monthly_budget=100.0, alarm_email=MAIL)
    add_budget(stack)
    told = resources(stack)["Budget"]["Properties"]["NotificationsWithSubscribers"]
    assert [(each["Notification"]["NotificationType"], each["Notification"]["Threshold"]) for each in told] == [
        ("ACTUAL", 80.0),
        ("ACTUAL", 100.0),
        ("FORECASTED", 100.0),
    ]


def test_without_an_amount_there_is_no_budget() -> None:
    assert add_budget(a_stack(alarm_email=MAIL)) is None

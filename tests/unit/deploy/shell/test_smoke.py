"""Wiring, as far as moto makes it."""

from __future__ import annotations

import os

from holdfast.deploy.shell.smoke import smoke_test
from holdfast.drills.deploy_scene import REGION, scene


def test_a_sound_template_is_connected_and_what_moto_lacks_is_said() -> None:
    before = dict(os.environ)
    found = smoke_test(scene(), region=REGION)
    assert found.passed, found.problems
    assert {"Api", "Worker", "ApiTargets", "SecureListener", "NameNow", "TaskRole"} <= set(found.made)
    assert "Light (AWS::ECS::ExpressGatewayService)" in found.left_out
    assert dict(os.environ) == before


def test_a_reference_to_nothing_is_said() -> None:
    template = scene()
    del template["Resources"]["WorkerGroup"]
    problems = smoke_test(template, region=REGION).problems
    assert "Worker refers to WorkerGroup, which the template does not have" in problems

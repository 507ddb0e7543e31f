"""Cases of other billing engines."""

import conformance


def failures(results):
    return [(each.case["id"], each.outcome, each.reason) for each in results if each.outcome != "passed"]


def test_all_cases_pass(shared_data):
    assert failures(conformance.check_file(shared_data / "conformance/cases.json")) == []


def test_summary_counts_outcomes():
    case = {"model": "per_unit", "definition": {"unit": "2"}, "usage": {"quantity": 3}, "source": "", "id": "x"}
    results = [
        conformance.check(case | {"expected": {"amount": "6"}}),
        conformance.check(case | {"expected": {"amount": "7"}}),
        conformance.check(case | {"expected": {"colour": "red"}}),
        conformance.check(case | {"definition": {"unit": "-2"}, "expected": {"amount": "6"}}),
    ]
    assert [each.outcome for each in results] == ["passed", "failed", "unsupported", "failed"]
    assert conformance.summary(results) == "1 passed, 2 failed, 0 divergent, 1 unsupported"


def test_a_divergence_needs_a_reason_and_a_difference(monkeypatch):
    case = {"model": "per_unit", "definition": {"unit": "2"}, "usage": {"quantity": 3}, "source": "", "id": "x"}
    monkeypatch.setitem(conformance.DIVERGENT, "per_unit", "we say otherwise, because")
    assert conformance.check(case | {"expected": {"amount": "6"}}).outcome == "passed"
    result = conformance.check(case | {"expected": {"amount": "7"}})
    assert (result.outcome, result.reason) == ("divergent", "we say otherwise, because")


def test_at_most_five_models_diverge():
    assert len(conformance.DIVERGENT) <= 5
    assert all(conformance.DIVERGENT.values())


def test_the_command_says_what_failed_and_ends_with_the_counts(capsys, shared_data):
    assert conformance.main([str(shared_data / "conformance/cases.json")]) == 0
    assert capsys.readouterr().out == "170 passed, 0 failed, 0 divergent, 0 unsupported\n"


def test_the_command_explains_itself(capsys):
    assert conformance.main([]) == 2
    assert "conformance.py FILE" in capsys.readouterr().out

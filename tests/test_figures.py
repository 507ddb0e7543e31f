"""Real usage, from events over HTTP to the posted invoice: the figures to the unit and the cent."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

import traces
from harness import Product
from scenario.story import Customer, Meter, Plan, Price, Tier

LLM_METERS = (
    Meter("context", "Context Tokens", traces.LLM_TYPE, "token", "sum", "context_tokens"),
    Meter("generated", "Generated Tokens", traces.LLM_TYPE, "token", "sum", "generated_tokens"),
)
LLM_PLAN = Plan(
    "chat",
    "Chat",
    (
        Price("context", "per_unit", "0.50", per="1000000"),
        Price("generated", "graduated", per="1000000", tiers=(Tier("1000000", "1.50"), Tier("0", "1.20"))),
    ),
)
ACCESS_METERS = (
    Meter("requests", "Requests", traces.ACCESS_TYPE, "request", "count"),
    Meter("bytes", "Bytes", traces.ACCESS_TYPE, "byte", "sum", "bytes"),
)


@pytest.fixture(scope="class")
def product(request, environment, server, shell):
    """The running server, ready for events as old as the traces, with a source of the class's own."""
    shell("env['ir.config_parameter'].set_param('usage.max_age_days', 36500); env.cr.commit()")
    return Product(environment, server, request.cls.SOURCE)


@pytest.mark.usefixtures("shared_data")
class TestLlmTrace:
    """19,366 requests of a chat service, one customer, two prices."""

    SOURCE = "chat"

    @pytest.fixture(scope="class")
    @classmethod
    def sent(cls, product):
        """The trace, sent once; what became of it, by outcome."""
        stage, staff = product.stage, product.staff
        stage.create_meters(LLM_METERS)
        stage.create_plans((LLM_PLAN,), LLM_METERS)
        customers = (Customer("Chat Customer", "chat@example.com", "chat", (traces.LLM_SUBJECT,)),)
        stage.create_customers(customers)
        events = list(traces.llm_events())
        totals = product.send(events)
        product.wait_counted()
        stage.subscribe(customers, traces.utc(events[0]).replace(day=1))
        [wizard] = staff["paula"].create(
            "usage.statement.prepare", [{"date": "2023-11-30", "subscription_ids": [[6, 0, stage.subscription_ids]]}]
        )
        staff["paula"].call("usage.statement.prepare", "action_prepare", [wizard])
        return totals

    @pytest.fixture(scope="class")
    @classmethod
    def statement(cls, product, sent):
        """The id of November's statement, rated."""
        domain = [["subscription_id", "in", product.stage.subscription_ids], ["state", "=", "rated"]]
        [found] = product.staff["paula"].search("usage.statement", domain)
        return found

    @pytest.fixture(scope="class")
    @classmethod
    def charges(cls, product, statement):
        """The exact columns of the two charges, by meter."""
        rows = product.query(
            "SELECT m.code, quantity::text, amount_unrounded::text, amount::text, result::text FROM usage_charge c "
            f"JOIN usage_meter m ON m.id = c.meter_id WHERE statement_id = {statement}"
        )
        return {row.split("|")[0]: row.split("|", 4)[1:] for row in rows.splitlines()}

    def test_every_event_is_accepted(self, sent):
        assert (sent["sent"], sent["accepted"]) == (19_366, 19_366)

    def test_quantities(self, product, sent):
        assert product.quantity("context") == (22_361_870, 19_366)
        assert product.quantity("generated") == (4_088_665, 19_366)

    @pytest.mark.parametrize(
        ("meter", "quantity", "unrounded", "amount"),
        [
            ("context", "22361870", "11.180935", "11.18"),
            ("generated", "4088665", "5.206398", "5.21"),
        ],
    )
    def test_charges_to_the_last_digit(self, charges, meter, quantity, unrounded, amount):
        found = [Decimal(text) for text in charges[meter][:3]]
        assert found == [Decimal(quantity), Decimal(unrounded), Decimal(amount)]

    def test_the_graduated_charge_explains_its_tiers(self, charges):
        steps = json.loads(charges["generated"][3])["explanation"]
        tiers = [step for step in steps if step["step"] == "tier"]
        assert [Decimal(tier["quantity"]) for tier in tiers] == [1_000_000, 3_088_665]
        assert [Decimal(tier["amount"]) for tier in tiers] == [Decimal("1.5"), Decimal("3.706398")]

    def test_rating_again_changes_nothing(self, product, statement, charges):
        fingerprints = f"SELECT id, fingerprint, result FROM usage_charge WHERE statement_id = {statement} ORDER BY id"
        before = product.query(fingerprints)
        product.staff["paula"].call("usage.statement", "action_rate", [statement])
        assert product.query(fingerprints) == before

    def test_the_invoice_is_posted_and_reconciled(self, product, statement):
        paula, amir = product.staff["paula"], product.staff["amir"]
        paula.call("usage.statement", "action_submit", [statement])
        for method in ("action_approve", "action_invoice", "action_post"):
            amir.call("usage.statement", method, [statement])
        [done] = amir.read("usage.statement", [["id", "=", statement]], ["state", "amount_untaxed", "move_id"])
        assert (done["state"], done["amount_untaxed"]) == ("posted", 16.39)
        [move] = amir.read("account.move", [["id", "=", done["move_id"][0]]], ["state", "amount_untaxed"])
        assert (move["state"], move["amount_untaxed"]) == ("posted", 16.39)
        rows = amir.read(
            "usage.reconciliation",
            [["statement_id", "=", statement]],
            ["state", "quantity_events", "quantity_aggregates", "quantity_charged", "amount_posted"],
            order="amount_posted",
        )
        assert [(row["state"], row["amount_posted"]) for row in rows] == [("matched", 5.21), ("matched", 11.18)]
        for row, quantity in zip(rows, (4_088_665, 22_361_870), strict=True):
            assert row["quantity_events"] == row["quantity_aggregates"] == row["quantity_charged"] == quantity

    def test_the_ledger_has_the_two_amounts(self, product, statement):
        rows = product.query(
            "SELECT l.amount_currency::text FROM account_move_line l JOIN usage_charge c ON c.id = l.usage_charge_id "
            f"WHERE c.statement_id = {statement} AND l.parent_state = 'posted' ORDER BY 1"
        )
        assert sorted(map(Decimal, rows.split())) == [Decimal("-11.18"), Decimal("-5.21")]


@pytest.mark.usefixtures("shared_data")
class TestAccessLog:
    """10,000 lines of a web server, most of whose clients are nobody we know."""

    SOURCE = "web"

    @pytest.fixture(scope="class")
    @classmethod
    def sent(cls, product):
        """The log, sent once; what became of it, by outcome."""
        product.stage.create_meters(ACCESS_METERS)
        clients = traces.busiest()
        product.stage.create_customers(
            tuple(Customer(f"Client {client}", "ops@example.com", "", (client,)) for client in clients)
        )
        return product.send(traces.access_events())

    @pytest.fixture(scope="class")
    @classmethod
    def mapped(cls, product, sent):
        """All other accounts, assigned to one customer in one go."""
        unmapped = f"FROM usage_account WHERE partner_id IS NULL AND source_id = {product.stage.source_id}"
        held = product.query(f"SELECT external_id {unmapped}").split()
        assert len(held) == 1_653
        product.map_accounts(held, "Everybody Else")
        product.wait_assigned()

    @pytest.fixture(scope="class")
    @classmethod
    def resent(cls, product, mapped):
        """The whole log once more; what became of it, by outcome."""
        return product.send(traces.access_events())

    def test_known_clients_count_and_unknown_ones_wait(self, product, sent):
        assert (sent["sent"], sent["accepted"], sent["quarantined"]) == (10_000, 4_710, 5_290)
        assert product.quantity("requests", mapped=True) == (4_710, 4_710)
        assert product.quantity("bytes", mapped=True) == (587_674_488, 4_710)
        assert product.quantity("requests", mapped=False) == (5_290, 5_290)
        assert product.quantity("bytes", mapped=False) == (2_159_608_252, 5_290)

    def test_each_unknown_client_is_one_exception(self, product, sent):
        waiting = product.exceptions(reason="account_unmapped", state="open")
        assert len(waiting) == 1_653

    def test_mapping_releases_them(self, product, mapped):
        assert product.quantity("requests", mapped=True) == (10_000, 10_000)
        assert product.quantity("bytes", mapped=True) == (2_747_282_740, 10_000)
        assert product.quantity("requests", mapped=False) == (0, 0)
        assert product.exceptions(reason="account_unmapped", state="open") == []

    def test_the_whole_log_again_changes_nothing(self, product, resent):
        assert (resent["sent"], resent["duplicate"]) == (10_000, 10_000)
        assert product.quantity("requests") == (10_000, 10_000)
        assert product.quantity("bytes") == (2_747_282_740, 10_000)

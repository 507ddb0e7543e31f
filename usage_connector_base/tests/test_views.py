from lxml import etree

from odoo.tests import Form, tagged
from odoo.tools.safe_eval import safe_eval

from .common import ADDON, UsageCommon

LISTS_ALONE = ("usage.account.suggestion",)  # decided row by row, with nothing more to be seen in a form


@tagged("post_install", "-at_install")
class TestScreens(UsageCommon):
    """Every screen opens, with every filter and grouping, for those who see it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ingest(
            [
                cls.event("a"),
                cls.event("a", tokens=2),
                cls.event("b", subject="new"),
                cls.event("c", type="new"),
                cls.event("d", tokens="x"),
            ]
        )
        cls.correct(cls.void("v", "c"))
        cls.fold()
        cls._told(cls.company)
        cls._imported(cls.source)
        cls.env["usage.exception"].search([("event_ref", "=", "d")]).action_replay()
        cls.env["usage.anonymisation"].create({"name": "Asked to be forgotten"})
        cls.env["usage.retention"]._log("batches", "2026-01-31", 7)
        cls.env["usage.account.mapping"]._start([(cls._account("acme inc"), cls.customer)], False, False)
        cls._account(cls.customer.name)  # called like a customer, which is suggested
        cls.env["usage.account.suggestion"]._suggest()
        cls.actions = cls.env["ir.actions.act_window"].browse(
            cls.env["ir.model.data"]
            .search([("module", "=", ADDON), ("model", "=", "ir.actions.act_window")])
            .mapped("res_id")
        )

    def views(self, action, person):
        """Architecture of each view of an action, by type."""
        kinds = [(False, kind) for kind in action.view_mode.split(",")]
        model = self.env[action.res_model].with_user(person)
        views = model.get_views([*kinds, (False, "search")])["views"]
        return {kind: etree.fromstring(view["arch"]) for kind, view in views.items()}

    def screens(self):
        """Every action that a person of usage opens from a menu or a button."""
        for action in self.actions.filtered(lambda a: a.res_model.startswith("usage.") and a.target != "new"):
            for person in (self.viewer, self.operator, self.admin):
                if self.env[action.res_model].with_user(person).has_access("read"):
                    yield action, person

    def test_open(self):
        self.assertGreaterEqual(len(self.actions), 8)
        for action, person in self.screens():
            with self.subTest(action=action.name, person=person.login):
                views = self.views(action, person)
                kinds = {"list"} if action.res_model in LISTS_ALONE else {"list", "form"}
                self.assertLessEqual(kinds | {"search"}, set(views))
                records = self.env[action.res_model].with_user(person)
                for kind in kinds:
                    names = {node.get("name") for node in views[kind].iter("field")} & set(records._fields)
                    self.assertTrue(names)
                    found = records.web_search_read([], {name: {} for name in names}, limit=5)
                    self.assertTrue(found["records"], "the fixture has one of each")

    def test_filters(self):
        for action, person in self.screens():
            search = self.views(action, person)["search"]
            domains = [node.get("domain") for node in search.iter("filter") if node.get("domain")]
            for domain in domains:
                with self.subTest(action=action.name, person=person.login, domain=domain):
                    domain = safe_eval(domain, {"uid": person.id})
                    self.assertGreaterEqual(self.env[action.res_model].with_user(person).search_count(domain), 0)

    def test_searches(self):
        for action, person in self.screens():
            for node in self.views(action, person)["search"].iter("field"):
                with self.subTest(action=action.name, field=node.get("name")):
                    domain = self._search_domain(node)
                    self.assertGreaterEqual(self.env[action.res_model].with_user(person).search_count(domain), 0)

    def _search_domain(self, node):
        if node.get("filter_domain"):
            return safe_eval(node.get("filter_domain"), {"self": "acme"})
        return [(node.get("name"), node.get("operator", "ilike"), "acme")]

    def test_groupings(self):
        for action, person in self.screens():
            for node in self.views(action, person)["search"].iter("filter"):
                group = safe_eval(node.get("context") or "{}").get("group_by")
                if group:
                    with self.subTest(action=action.name, group=group):
                        groups = (
                            self.env[action.res_model].with_user(person).formatted_read_group([], [group], ["__count"])
                        )
                        self.assertTrue(groups)

    def test_pivots_and_graphs(self):
        """With their default groupings and measures, as the web client asks for them."""
        seen = 0
        for action, person in self.screens():
            views = self.views(action, person)
            for kind in {"pivot", "graph"} & set(views):
                groups, measures = self._groups_and_measures(views[kind])
                with self.subTest(action=action.name, kind=kind, groups=groups, measures=measures):
                    records = self.env[action.res_model].with_user(person)
                    result = records.formatted_read_grouping_sets([], [groups, []], [f"{m}:sum" for m in measures])
                    self.assertTrue(result[0])
                seen += 1
        self.assertGreaterEqual(seen, 6)

    def _groups_and_measures(self, view):
        nodes = list(view.iter("field"))
        measures = [node.get("name") for node in nodes if node.get("type") == "measure"]
        groups = [
            f"{node.get('name')}:{node.get('interval')}" if node.get("interval") else node.get("name")
            for node in nodes
            if node.get("type") != "measure"
        ]
        return groups, measures

    def test_default_filters_exist(self):
        for action, person in self.screens():
            names = {node.get("name") for node in self.views(action, person)["search"].iter("filter", "field")}
            for key in safe_eval(action.context or "{}"):
                if key.startswith("search_default_"):
                    self.assertIn(key.removeprefix("search_default_"), names, action.name)

    def test_empty_states_say_what_to_do(self):
        for action, _person in self.screens():
            self.assertIn("o_view_nocontent", action.help or "", action.name)

    def test_buttons_call_what_exists(self):
        for action, _person in self.screens():
            for kind, view in self.views(action, self.admin).items():
                for node in view.iter("button"):
                    if node.get("type") == "object":
                        records = self._records_of(node, self.env[action.res_model])
                        self.assertTrue(callable(getattr(records, node.get("name"))), (kind, node.get("name")))

    def _records_of(self, node, records):
        """The model that a node of a view is about: in a list inside of a form, that of the list's field."""
        for field in reversed(list(node.iterancestors("field"))):
            records = records[field.get("name")]
        return records

    def test_viewer_sees_no_button_that_changes(self):
        """What a person may not do is not offered to them."""
        changing = {
            "action_approve",
            "action_suspend",
            "action_generate_key",
            "action_revoke_keys",
            "action_revoke",
            "action_rotate_key",
            "action_map",
            "action_map_account",
            "action_keep_stored",
            "action_take_received",
            "action_replay",
            "action_ignore",
            "action_reopen",
            "action_assign_to_me",
            "action_correct",
            "action_replay_alike",
            "action_read_file",
            "action_start",
            "action_back",
            "action_stop",
            "action_continue",
        }
        for action in {action for action, person in self.screens() if person == self.viewer}:
            for kind, view in self.views(action, self.viewer).items():
                names = {node.get("name") for node in view.iter("button")}
                self.assertFalse(names & changing, (action.name, kind))

    def test_dialogs(self):
        for name in ("usage.account.map", "usage.key.wizard"):
            view = self.env[name].with_user(self.admin).get_view(view_type="form")
            buttons = [node.get("name") for node in etree.fromstring(view["arch"]).iter("button")]
            self.assertIn("action_map" if "map" in name else "action_generate", buttons)

    def test_customer_form(self):
        views = self.env["res.partner"].with_user(self.viewer).get_view(view_type="form")
        self.assertIn("action_view_usage", views["arch"])
        nobody = self._person("nobody", "base.group_user")
        self.assertNotIn(
            "action_view_usage", self.env["res.partner"].with_user(nobody).get_view(view_type="form")["arch"]
        )


@tagged("post_install", "-at_install")
class TestForms(UsageCommon):
    """What a person enters, in the forms as they are."""

    def form(self, model, person, record=None):
        records = record.with_user(person) if record else self.env[model].with_user(person)
        return Form(records)

    def test_source(self):
        with self.form("usage.source", self.admin) as form:
            form.name, form.code, form.environment = "Acme", "acme", "staging"
        source = form.record
        self.assertEqual((source.state, source.owner_id, source.company_id), ("draft", self.admin, self.company))
        with self.form("usage.source", self.admin, source) as form:
            form.name = "Acme Cloud"
        self.assertEqual(source.name, "Acme Cloud")

    def test_source_shows_what_nobody_enters(self):
        form = self.form("usage.source", self.admin, self.source)
        for name in ("state", "user_id", "prepared_by_id", "approved_by_id", "approved_date"):
            with self.subTest(name), self.assertRaises(AssertionError):
                setattr(form, name, False)

    def test_meter(self):
        with self.form("usage.meter", self.admin) as form:
            form.name, form.code, form.event_type, form.unit_name = "Bytes", "bytes", "http.request", "byte"
            form.aggregation = "sum"
            with self.assertRaises(AssertionError):
                form.save()
            form.value_path = "response.bytes"
        self.assertEqual(form.record._value_names(), ["response", "bytes"])

    def test_counting_meter_asks_for_no_value(self):
        with self.form("usage.meter", self.admin) as form:
            form.name, form.code, form.event_type, form.unit_name = "Requests", "requests", "http.request", "request"
            with self.assertRaises(AssertionError):
                form.value_path = "hidden"
        self.assertEqual(form.record.aggregation, "count")

    def test_account(self):
        with self.form("usage.account", self.operator) as form:
            form.external_id, form.source_id, form.partner_id = "tenant-1", self.source, self.customer
        self.assertEqual((form.record.environment, form.record.company_id), ("production", self.company))

    def test_account_with_usage_keeps_its_identity(self):
        self.ingest([self.event("a")])
        form = self.form("usage.account", self.operator, self.account)
        for name, value in (("external_id", "other"), ("source_id", self._source("other-cloud"))):
            with self.subTest(name), self.assertRaises(AssertionError):
                setattr(form, name, value)

    def test_exception(self):
        self.ingest([self.event("a", tokens="x")])
        with self.form("usage.exception", self.operator, self.exceptions()) as form:
            form.owner_id = self.operator
            with self.assertRaises(AssertionError):
                form.payload = "{}"
        self.assertEqual(form.record.owner_id, self.operator)

    def test_facts_are_shown_only(self):
        self.ingest([self.event("a")])
        self.fold()
        for model, name in (("usage.event", "time"), ("usage.aggregate", "quantity"), ("usage.batch", "event_count")):
            record = self.env[model].search([("source_id", "=", self.source.id)], limit=1)
            form = self.form(model, self.admin, record)
            with self.subTest(model), self.assertRaises(AssertionError):
                setattr(form, name, False)


@tagged("post_install", "-at_install")
class TestMenus(UsageCommon):
    def visible(self, person):
        """Names of this addon's menus that a person sees."""
        data = self.env["ir.model.data"].search([("module", "=", ADDON), ("model", "=", "ir.ui.menu")])
        seen = self.env["ir.ui.menu"].with_user(person)._visible_menu_ids()
        return {row.name for row in data if row.res_id in seen}

    def test_viewer(self):
        self.assertLessEqual(
            {
                "menu_usage_root",
                "menu_usage_summary",
                "menu_usage_aggregate",
                "menu_usage_account",
                "menu_usage_exception",
                "menu_usage_event",
                "menu_usage_batch",
            },
            self.visible(self.viewer),
        )

    def test_others_see_nothing(self):
        self.assertEqual(self.visible(self._person("nobody", "base.group_user")), set())

    def test_settings(self):
        self.assertNotIn("menu_usage_settings", self.visible(self.viewer))
        system = self._person("system", "base.group_system", "group_usage_admin")
        self.assertIn("menu_usage_settings", self.visible(system))

    def test_app_has_an_icon(self):
        self.assertTrue(self.env.ref(f"{ADDON}.menu_usage_root").web_icon_data)

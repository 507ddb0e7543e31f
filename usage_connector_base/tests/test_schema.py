import ast

from odoo import fields
from odoo.tests import BaseCase, TransactionCase, tagged
from odoo.tools import SQL

from odoo.addons.usage_connector_base.hooks import uninstall_hook

from .common import UsageCommon

MODELS = (
    "usage.source",
    "usage.meter",
    "usage.account",
    "usage.account.assignment",
    "usage.account.alias",
    "usage.account.suggestion",
    "usage.batch",
    "usage.correction",
    "usage.exception",
    "usage.aggregate",
    "usage.drift",
    "usage.drift.check",
)


@tagged("post_install", "-at_install")
class TestSchema(TransactionCase):
    """A constraint that cannot be added is only logged by Odoo: here it fails."""

    def constraints(self, table):
        """Definitions of the constraints of a table, by name."""
        query = SQL("SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass", table)
        return dict(self.env.execute_query(query))

    def indexes(self, table):
        """Definitions of the indexes of a table, by name."""
        return dict(
            self.env.execute_query(SQL("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s", table))
        )

    def test_unique_constraints(self):
        for table, name, columns in (
            ("usage_source", "usage_source_code_uniq", "UNIQUE (company_id, code)"),
            ("usage_meter", "usage_meter_code_uniq", "UNIQUE (company_id, code)"),
            ("usage_account", "usage_account_external_id_uniq", "UNIQUE (source_id, external_id)"),
            ("usage_event_key", "usage_event_key_pkey", "PRIMARY KEY (key)"),
        ):
            self.assertEqual(self.constraints(table).get(name), columns)

    def test_unique_indexes(self):
        exceptions = self.indexes("usage_exception")["usage_exception_open_uniq"]
        self.assertIn("UNIQUE INDEX", exceptions)
        self.assertIn("(source_id, reason, digest)", exceptions)
        self.assertIn("'open'", exceptions)
        hours = self.indexes("usage_aggregate")["usage_aggregate_hour_uniq"]
        self.assertIn("UNIQUE INDEX", hours)
        self.assertIn("(account_id, meter_id, hour, md5(", hours)
        corrections = self.indexes("usage_correction")["usage_correction_event_uniq"]
        self.assertIn("UNIQUE INDEX", corrections)
        self.assertIn("(event_id)", corrections)

    def test_index_of_what_waits(self):
        self.assertIn("folded_at IS NULL", self.indexes("usage_batch")["usage_batch_unfolded"])

    def test_everything_that_is_declared_exists(self):
        for model in MODELS:
            records = self.env[model]
            existing = self.constraints(records._table) | self.indexes(records._table)
            for table_object in records._table_objects.values():
                self.assertIn(table_object.full_name(records), existing)

    def test_events_are_partitioned_by_receipt(self):
        self.env.cr.execute("SELECT pg_get_partkeydef('usage_event'::regclass)")
        self.assertEqual(self.env.cr.fetchall(), [("RANGE (received_at)",)])

    def test_indexes_of_events(self):
        indexes = self.indexes("usage_event")
        for columns in ("(id)", "(batch_id)", "(account_id, date_trunc('hour'::text, \"time\"))"):
            self.assertTrue(any(columns in definition for definition in indexes.values()), columns)

    def test_columns_of_events(self):
        """Facts are stored in the types that keep them: JSONB, unlimited texts, 64-bit ids."""
        self.env.cr.execute(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_name = 'usage_event'"
        )
        columns = {name: (kind, nullable) for name, kind, nullable in self.env.cr.fetchall()}
        self.assertEqual(columns["id"], ("bigint", "NO"))
        self.assertEqual(columns["data"], ("jsonb", "NO"))
        self.assertEqual(columns["event_id"], ("text", "NO"))
        self.assertEqual(columns["time"], ("timestamp without time zone", "NO"))
        stored = {
            name
            for name, field in self.env["usage.event"]._fields.items()
            if field.store
            and field.column_type
            and not field.compute
            and not field.related
            and name not in ("id", "display_name")
        }
        self.assertLessEqual(stored, set(columns))

    def test_columns_that_name_events(self):
        self.env.cr.execute(
            "SELECT column_name, data_type FROM information_schema.columns "
            "WHERE table_name = 'usage_correction' AND data_type = 'bigint'"
        )
        names = {name for name, _kind in self.env.cr.fetchall()}
        self.assertEqual(names, {"event_id", "replacement_id", "root_id"})

    def test_uninstalling_leaves_no_table(self):
        uninstall_hook(self.env)
        self.env.cr.execute(
            "SELECT relname FROM pg_class WHERE relname ~ '^usage_event(_key|_[0-9]+_[0-9]+)?(_id_seq)?$' "
            "AND relkind IN ('r', 'p', 'S')"
        )
        self.assertEqual(self.env.cr.fetchall(), [])

    def test_uninstalling_leaves_no_other_table_of_ours(self):
        """Nor those that no model has: what sources may send, and the key of digests."""
        uninstall_hook(self.env)
        names = ["usage_source_bucket", "usage_anonymisation_key"]
        self.env.cr.execute("SELECT relname FROM pg_class WHERE relname = ANY(%s)", [names])
        self.assertEqual(self.env.cr.fetchall(), [])


@tagged("post_install", "-at_install")
class TestOnceForAll(UsageCommon):
    """The database itself holds what must hold."""

    def test_key_counts_once(self):
        self.ingest([self.event("a"), self.event("b")])
        self.env.cr.execute(
            SQL(
                "SELECT count(*), count(DISTINCT k.key) FROM usage_event_key k JOIN usage_event e ON e.id = k.event_id "
                "WHERE e.source_id = %s",
                self.source.id,
            )
        )
        self.assertEqual(self.env.cr.fetchall(), [(2, 2)])

    def test_counts_add_up(self):
        """Every event that a request says it stored is there, and no other."""
        for n in range(3):
            self.ingest([self.event(f"{n}"), self.event("again"), self.event(f"bad {n}", tokens="x")])
        self.env.cr.execute(
            SQL(
                """
                SELECT b.accepted_count + b.quarantined_count, (SELECT count(*) FROM usage_event WHERE batch_id = b.id)
                FROM usage_batch b WHERE source_id = %s ORDER BY id
                """,
                self.source.id,
            )
        )
        self.assertEqual(self.env.cr.fetchall(), [(2, 2), (1, 1), (1, 1)])


@tagged("post_install", "-at_install")
class TestDescriptions(TransactionCase):
    def test_every_date_state_and_setting_is_explained(self):
        kinds = (fields.Date, fields.Datetime, fields.Selection, fields.Monetary)
        inherited = self.env["mail.thread"]._fields.keys() | self.env["mail.activity.mixin"]._fields.keys()
        for model in (*MODELS, "usage.event"):
            for name, field in self.env[model]._fields.items():
                if name in inherited or name in ("create_date", "write_date") or field.related:
                    continue
                if isinstance(field, kinds) and field._modules == ("usage_connector_base",):
                    self.assertTrue(field.help or name == "reason", f"{model}.{name} has no help")
        for name, field in self.env["res.config.settings"]._fields.items():
            if name.startswith("usage_") and field._modules == ("usage_connector_base",):
                self.assertTrue(field.help, name)


@tagged("post_install", "-at_install")
class TestIngestionKnowsNoOdoo(BaseCase):
    """The way from bytes to facts is plain Python, to be tested and read alone."""

    def test_imports(self):
        for name in ("envelope", "facts"):
            path = f"{__file__.rpartition('/tests/')[0]}/ingestion/{name}.py"
            with open(path, encoding="utf-8") as source:
                tree = ast.parse(source.read())
            imported = [
                (node.module if isinstance(node, ast.ImportFrom) else alias.name) or ""
                for node in ast.walk(tree)
                if isinstance(node, (ast.Import, ast.ImportFrom))
                for alias in node.names
            ]
            self.assertTrue(imported)
            self.assertFalse([module for module in imported if module.startswith("odoo")])

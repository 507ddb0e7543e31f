import doctest

from odoo.tests import BaseCase, tagged

from ..models import usage_signal_kind_usage_drop


@tagged("post_install", "-at_install")
class TestDoctests(BaseCase):
    def test_examples_in_docstrings_hold(self):
        result = doctest.testmod(usage_signal_kind_usage_drop)
        self.assertGreater(result.attempted, 0)
        self.assertEqual(result.failed, 0)

from ipaddress import ip_address

from odoo.tests import BaseCase, tagged

from ..delivery.addresses import AddressRefused, check_address, check_url, resolve
from .common_delivery import names

PRIVATE = (
    "127.0.0.1",
    "127.8.8.8",
    "::1",
    "10.0.0.1",
    "10.255.255.255",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",  # carrier-grade NAT
    "198.18.0.1",  # benchmarks
    "192.0.2.1",  # documentation
    "240.0.0.1",  # reserved
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",  # site-local
    "::ffff:127.0.0.1",  # IPv4 in IPv6, in all the ways there are
    "::ffff:10.1.2.3",
    "::ffff:7f00:1",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2001:db8::1",
)
FORBIDDEN = (
    "0.0.0.0",
    "::",
    "169.254.169.254",
    "169.254.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "fe80::1",
    "fd00:ec2::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "224.0.0.1",
    "239.1.1.1",
    "ff02::1",
)
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "2606:4700:4700::1111", "64:ff9b::8.8.8.8")


@tagged("post_install", "-at_install")
class TestAddresses(BaseCase):
    def assertRefused(self, code, function, *args):
        with self.assertRaises(AddressRefused) as caught:
            function(*args)
        self.assertEqual(caught.exception.code, code)

    def test_public_addresses_are_fine(self):
        for address in PUBLIC:
            with self.subTest(address):
                check_address(ip_address(address), False)
                check_address(ip_address(address), True)

    def test_private_addresses_are_refused(self):
        for address in PRIVATE:
            with self.subTest(address):
                self.assertRefused("private", check_address, ip_address(address), False)

    def test_private_addresses_are_fine_where_allowed(self):
        for address in PRIVATE:
            with self.subTest(address):
                check_address(ip_address(address), True)

    def test_some_addresses_are_always_refused(self):
        for address in FORBIDDEN:
            for allow_private in (False, True):
                with self.subTest(address, allow_private=allow_private):
                    self.assertRefused("forbidden", check_address, ip_address(address), allow_private)

    # -- URLs -------------------------------------------------------------------------------

    def test_good_urls(self):
        for url in (
            "https://hooks.example.com",
            "https://hooks.example.com:8443/a/b?token=1",
            "https://1.1.1.1/",
            "https://[2606:4700:4700::1111]:8443/",
            "https://bücher.example/",
        ):
            with self.subTest(url):
                check_url(url, False)

    def test_private_hosts_in_urls(self):
        hosts = [f"[{address}]" if ":" in address else address for address in PRIVATE]
        for host in [*hosts, "localhost", "LOCALHOST", "localhost.", "db.localhost", "printer.local", "vault.internal"]:
            with self.subTest(host):
                self.assertRefused("private", check_url, f"https://{host}/hook", False)
                check_url(f"http://{host}/hook", True)

    def test_forbidden_hosts_in_urls(self):
        for address in FORBIDDEN:
            host = f"[{address}]" if ":" in address else address
            with self.subTest(host):
                self.assertRefused("forbidden", check_url, f"https://{host}/latest/meta-data", True)

    def test_schemes(self):
        for url in (
            "http://hooks.example.com",
            "ftp://hooks.example.com",
            "file:///etc/passwd",
            "hooks.example.com",
            "",
        ):
            with self.subTest(url):
                self.assertRefused("scheme", check_url, url, False)
        check_url("http://hooks.example.com", True)
        self.assertRefused("scheme", check_url, "gopher://hooks.example.com", True)

    def test_hosts(self):
        for url in (
            "https://",
            "https:///path",
            "https://:443/",
            "https://a b.example/",
            "https://public.example\\@127.0.0.1/",
            "https://[::1",
            "https://example.com:99999/",
            "https://example.com:port/",
        ):
            with self.subTest(url):
                self.assertRefused("host", check_url, url, True)

    def test_credentials(self):
        for url in ("https://user:password@example.com/", "https://user@example.com/", "https://@example.com/"):
            with self.subTest(url):
                self.assertRefused("credentials", check_url, url, False)

    # -- names ------------------------------------------------------------------------------

    def test_name_of_public_addresses(self):
        with names(hooks_example=["93.184.216.34", "2606:4700:4700::1111", "93.184.216.34"]):
            self.assertEqual(
                resolve("hooks.example", 443, False), ["93.184.216.34", "2606:4700:4700::1111"], "in order, once each"
            )

    def test_names_of_private_addresses(self):
        for address in ("127.0.0.1", "10.0.0.7", "192.168.0.1", "::1", "fd00::1"):
            with self.subTest(address), names(hooks_example=[address]):
                self.assertRefused("private", resolve, "hooks.example", 443, False)
                self.assertEqual(resolve("hooks.example", 443, True), [address])

    def test_name_of_metadata_service(self):
        with names(hooks_example=["169.254.169.254"]):
            self.assertRefused("forbidden", resolve, "hooks.example", 443, True)

    def test_one_private_address_among_public_ones(self):
        with names(hooks_example=["93.184.216.34", "127.0.0.1"]):
            self.assertRefused("private", resolve, "hooks.example", 443, False)

    def test_numbers_in_disguise(self):
        """What the C library takes for an address although no URL parser does."""
        for host in ("127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1"):
            with self.subTest(host):
                check_url(f"https://{host}/", False)  # looks like a name
                self.assertRefused("private", resolve, host, 443, False)

    def test_unknown_name(self):
        with names(), self.assertRaises(OSError):
            resolve("nowhere.example", 443, False)

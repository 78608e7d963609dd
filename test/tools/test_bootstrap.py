"""scripts/bootstrap against a made-up machine: fake dpkg-query, apt-get, id and sudo note what they are asked."""

import os
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bootstrap"


def listed(*sets):
    out = subprocess.run([SCRIPT, "--list"], check=True, capture_output=True, text=True).stdout
    rows = [line.split(None, 2) for line in out.splitlines()]
    return [package for set_name, package, _ in rows if not sets or set_name in sets]


class Machine:
    """A folder of fake commands; `calls` holds one line for each apt-get and sudo."""

    def __init__(self, folder, installed, user=0, sudo=True, apt_status=0):
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.log = folder / "calls"
        rows = "".join(f"ii |{name}|\\n" for name in installed)
        # pkgconf stands for pkg-config, as on Debian 12; a removed package is known but not installed.
        rows += "ii |pkgconf|pkg-config (= 1.8.1-1)\\nrc |libroaring-dev|\\n"
        self.command("dpkg-query", f"printf '{rows}'")
        self.command("apt-get", f'echo "apt-get $*" >>{self.log}; exit {apt_status}')
        self.command("id", f"echo {user}")
        if sudo:
            self.command("sudo", f'echo "sudo $1" >>{self.log}; exec "$@"')
        for name in ("bash", "env", "sed"):
            (self.bin / name).symlink_to(f"/bin/{name}")

    def command(self, name, body):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def run(self, *options):
        return subprocess.run(
            [SCRIPT, *options],
            env={"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/")},
            capture_output=True,
            text=True,
            timeout=60,
        )

    def calls(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


BUILD = [name for name in listed("build") if name != "pkg-config"]


def test_all_there_touches_nothing_and_is_quick(tmp_path):
    machine = Machine(tmp_path, BUILD, user=1000)
    start = time.monotonic()
    result = machine.run()
    assert result.returncode == 0, result.stderr
    assert "every package is there" in result.stdout
    assert machine.calls() == []
    # make run calls it at every start; 0.3 s is the promise, the rest is for a loaded test machine.
    assert time.monotonic() - start < 3


def test_root_installs_what_is_missing_without_sudo(tmp_path):
    machine = Machine(tmp_path, [p for p in BUILD if p not in ("libyaml-dev", "libevent-dev")])
    result = machine.run()
    assert result.returncode == 0, result.stderr
    assert "missing: libyaml-dev (configuration files)" in result.stdout
    update, install = machine.calls()
    assert update.endswith(" update")
    assert install.endswith("install -y --no-install-recommends libevent-dev libyaml-dev")


def test_user_goes_through_sudo_and_is_told(tmp_path):
    machine = Machine(tmp_path, BUILD[1:], user=1000)
    result = machine.run()
    assert result.returncode == 0, result.stderr
    assert "sudo may ask for your password" in result.stdout
    assert [call.split()[0] for call in machine.calls()] == ["sudo", "apt-get"] * 2


def test_user_without_sudo_gets_the_command_for_root(tmp_path):
    machine = Machine(tmp_path, BUILD[1:], user=1000, sudo=False)
    result = machine.run()
    assert result.returncode == 1
    assert f"as root: apt-get install --no-install-recommends {BUILD[0]}" in result.stderr
    assert machine.calls() == []


def test_removed_package_counts_as_missing(tmp_path):
    machine = Machine(tmp_path, [p for p in BUILD if p != "libroaring-dev"])
    result = machine.run("--check")
    assert result.returncode == 1
    assert "missing: libroaring-dev" in result.stdout


def test_check_installs_nothing(tmp_path):
    machine = Machine(tmp_path, [])
    result = machine.run("--check")
    assert result.returncode == 1
    assert result.stdout.count("missing: ") == len(BUILD)
    assert machine.calls() == []


@pytest.mark.parametrize("options", [["--test"], ["--dev"], ["--test", "--dev"], ["--dev", "--test"]])
def test_wider_sets_include_the_narrower(tmp_path, options):
    machine = Machine(tmp_path, BUILD)
    missing = machine.run("--check", *options).stdout
    assert "missing: libcmocka-dev" in missing
    assert ("missing: gcovr" in missing) == ("--dev" in options)


def test_failed_installation_is_a_failure(tmp_path):
    machine = Machine(tmp_path, BUILD[1:], apt_status=100)
    result = machine.run()
    assert result.returncode == 1
    assert "apt-get update failed" in result.stderr


def test_system_without_apt_is_told_what_to_install(tmp_path):
    machine = Machine(tmp_path, BUILD)
    (machine.bin / "apt-get").unlink()
    result = machine.run()
    assert result.returncode == 1
    assert "scripts/bootstrap --list" in result.stderr


def test_unknown_option_is_refused(tmp_path):
    result = Machine(tmp_path, BUILD).run("--everything")
    assert result.returncode == 1
    assert "unknown option: --everything" in result.stderr


def test_every_package_of_the_build_is_in_the_inventory():
    inventory = (SCRIPT.parents[1] / "THIRD_PARTY.md").read_text(encoding="utf-8")
    absent = [package for package in listed() if package not in inventory]
    assert absent == []

#!/usr/bin/python3
"""The packages: built, looked into, and held against what they promise. Installing them, upgrading
and removing is tested on a real systemd: ../vm/jobs/package.
"""

import filecmp
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(REPOSITORY, "tests", "lib")]
import deb  # noqa: E402
import tap as tap_module  # noqa: E402

EXPOSURE_MAX = 1.7
UNIT = "usr/lib/systemd/system/nodecryptor.service"
# Debian's own files in the package
DEBIAN_ONLY = {"/usr/share/doc/nodecryptor/changelog", "/usr/share/doc/nodecryptor/copyright"}
SHELLS = ("bash", "zsh", "fish")


class Done:
    """A command that has ended."""

    def __init__(self, *command, **options):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              **options)
        self.status, self.output = done.returncode, done.stdout


def normal(path):
    """A path as it is installed everywhere: merged /usr, man pages and documents unpacked."""
    path = re.sub(r"^/lib/", "/usr/lib/", path)
    return path.removesuffix(".gz")


def wanted_contents():
    with open(f"{HERE}/contents", encoding="utf-8") as file:
        return set(file.read().split())


def files_below(root):
    return {"/" + os.path.relpath(os.path.join(place, name), root)
            for place, _, files in os.walk(root) for name in files}


def merge_usr(root):
    """As on an installed system: /lib is in /usr."""
    if os.path.isdir(f"{root}/lib"):
        shutil.copytree(f"{root}/lib", f"{root}/usr/lib", dirs_exist_ok=True)
        shutil.rmtree(f"{root}/lib")


class Case:
    def __init__(self, tap, work):
        self.tap, self.work = tap, work
        self.package = deb.build(os.environ.get("NODECRYPTOR_PACKAGES") or work)
        self.root, self.control = f"{work}/root", f"{work}/control"
        subprocess.run(["dpkg-deb", "-x", self.package, self.root], check=True)
        subprocess.run(["dpkg-deb", "-e", self.package, self.control], check=True)
        merge_usr(self.root)

    def holds(self, done, name):
        """A command that succeeded, else its output."""
        if not self.tap.ok(done.status == 0, name):
            self.tap.note(done.output[-4000:])
        return done

    def read(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()


def looks(case):
    """Contents, conffiles, modes, maintainer scripts."""
    tap = case.tap
    found = {normal(path) for path in files_below(case.root)} - DEBIAN_ONLY
    tap.equal(sorted(found), sorted(wanted_contents()), "the package has the files that it should")
    with open(f"{case.control}/conffiles", encoding="utf-8") as file:
        tap.equal(sorted(file.read().split()),
                  sorted(path for path in found if path.startswith("/etc/")),
                  "what is in /etc is a conffile, and nothing else")
    modes = Done("dpkg-deb", "-c", case.package).output.splitlines()
    odd = [line for line in modes if not re.match(r"(-rw-r--r--|-rwxr-xr-x|drwxr-xr-x) root/root ",
                                                  line)]
    tap.equal(odd, [], "everything is root's, readable by all and writable by nobody else")
    for script in ("postinst", "prerm", "postrm"):
        case.holds(Done("sh", "-n", f"{case.control}/{script}"), f"{script} is a shell script")
    changes = case.package[:-len("amd64.deb")] + "amd64.changes"
    if not os.path.exists(changes):
        changes = case.package
    done = Done("lintian", "--fail-on", "error,warning", "--allow-root", changes)
    case.holds(done, "lintian has neither errors nor warnings")
    tap.ok(not re.search(r"^[EW]:", done.output, re.M), "and says none")


def reproducible(case):
    """In another folder, time zone, language, with the tests compiled and run."""
    again = deb.build(case.work, "somewhere/else/again", options="",
                      environment={"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "HOME": case.work})
    case.tap.ok(filecmp.cmp(case.package, again, shallow=False),
                "built twice, the package has the same bytes")


def place_units(case):
    """The package's units with what systemd itself ships, and a kubelet."""
    units = f"{case.root}/usr/lib/systemd/system"
    for name, text in (
            ("kubelet.service", "[Service]\nExecStart=/usr/bin/nodecryptorctl\n"),
            ("true.service", "[Service]\nExecStart=/bin/true\n")):
        with open(f"{units}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    examples = f"{case.root}/usr/share/doc/nodecryptor/examples"
    for unit, example in (("kubelet", "kubelet-wait"), ("nodecryptor", "exec-plugin")):
        folder = f"{case.root}/etc/systemd/system/{unit}.service.d"
        os.makedirs(folder)
        shutil.copy(f"{examples}/{example}.conf", folder)
    return units


def hardened(case):
    tap = case.tap
    done = Done("systemd-analyze", "--no-pager", "security", "--offline=true",
                f"{case.root}/{UNIT}")
    found = re.search(r"exposure level for nodecryptor.service: ([\d.]+)", done.output)
    tap.ok(found and float(found[1]) <= EXPOSURE_MAX,
           f"exposure by systemd-analyze: {found and found[1]}, at most {EXPOSURE_MAX}")
    unit, sysusers = case.read(UNIT), case.read("usr/lib/sysusers.d/nodecryptor.conf")
    user = re.search(r"^User=(\S+)$", unit, re.M)[1]
    tap.ok(re.search(rf"^u {user} ", sysusers, re.M), f"its user {user} is in sysusers.d")
    hidden = " ".join(re.findall(r"^InaccessiblePaths=(.*)$", unit, re.M)).split()
    tap.equal([path for path in hidden if not path.startswith("-/")], [],
              "a path that is to be hidden may be absent")
    needed = ("/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/pki/kubelet-client-current.pem",
              "/var/lib/kubelet/kubeconfig", "/etc/kubernetes/pki/ca.crt",
              "/var/lib/rancher/k3s/agent/kubelet.kubeconfig",
              "/var/lib/rancher/k3s/agent/client-kubelet.key",
              "/var/lib/rancher/rke2/agent/kubelet.kubeconfig", "/var/lib/k0s/kubelet.conf",
              "/var/lib/k0s/pki/ca.crt", "/etc/kubernetes/ssl/kubecfg-kube-node.yaml",
              "/var/snap/microk8s/current/credentials/kubelet.config")
    tap.equal([path for path in needed for one in hidden
               if (path + "/").startswith(one[1:] + "/")], [],
              "nothing is hidden that the daemon needs")
    before = unit.split("[Service]", 1)[0]
    tap.ok(all(f"{name}.service" in before for name in
               ("kubelet", "k3s", "k3s-agent", "rke2-server", "rke2-agent")) and
           not re.search(r"^(Requires|BindsTo|After=.*(network-online|dbus))", before, re.M),
           "it is ordered before every kubelet, and needs nothing")
    place_units(case)
    for name in ("nodecryptor", "kubelet"):
        done = Done("systemd-analyze", "verify", f"--root={case.root}", "--man=no",
                    "--recursive-errors=no", f"{name}.service")
        tap.equal((done.status, done.output), (0, ""),
                  f"{name}.service and its drop-in: systemd-analyze verify has nothing to say")


def system_files(case):
    """What other programs read."""
    tap, root = case.tap, case.root
    for name in ("passwd", "group"):
        open(f"{root}/etc/{name}", "w", encoding="utf-8").close()
    case.holds(Done("systemd-sysusers", f"--root={root}", "nodecryptor.conf"), "systemd-sysusers")
    tap.ok("nodecryptor:" in case.read("etc/passwd"), "makes the user")
    case.holds(Done("journalctl", f"--root={root}", "--update-catalog"),
               "journalctl takes the catalog")
    listed = Done("journalctl", f"--root={root}", "--list-catalog").output
    entries = re.findall(r"^-- ([0-9a-f]{32})$", case.read(
        "usr/lib/systemd/catalog/nodecryptor.catalog"), re.M)
    tap.ok(entries and all(entry in listed for entry in entries),
           f"and has its {len(entries)} entries")
    tables = dict(re.findall(r"^(\d+)\s+(\S+)$", case.read(
        "etc/iproute2/rt_tables.d/nodecryptor.conf"), re.M))
    with open(f"{REPOSITORY}/src/model/settings.h", encoding="utf-8") as file:
        base = int(re.search(r"DEFAULT_TABLE_BASE\s+(\d+)u", file.read())[1])
    with open(f"{REPOSITORY}/src/policy/layout.h", encoding="utf-8") as file:
        names = re.findall(r"^\s+LAYOUT_TABLE_([A-Z]+),", file.read(), re.M)
    with open(f"{REPOSITORY}/src/policy/layout.h", encoding="utf-8") as file:
        number = int(re.search(r"^\s+LAYOUT_TABLES = (\d+),", file.read(), re.M)[1])
    wanted = [f"nodecryptor-{name.lower()}" for name in names[:-1]]
    wanted += [f"nodecryptor-{names[-1].lower()}-{index}"
               for index in range(1, number - len(wanted) + 1)]
    tap.equal(tables, {str(base + index): name for index, name in enumerate(wanted)},
              "each routing table has its name")


def verbs_of(help_text):
    """{verb: {its options}} as --help has them."""
    found, verb = {}, None
    for line in help_text.splitlines():
        if match := re.match(r"  ([a-z]+)\b", line):
            verb = found.setdefault(match[1], set())
        if verb is not None:
            if not line.strip() or line.startswith("  --"):
                verb = None
                continue
            verb.update(re.findall(r"(--[a-z][a-z-]+)", line))
    return found


def bash_completes(case, *words):
    script = (f"source {case.root}/usr/share/bash-completion/completions/nodecryptorctl\n"
              f"COMP_WORDS=({' '.join(words)} '')\nCOMP_CWORD={len(words)}\n_nodecryptorctl\n"
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = Done("bash", "-c", script)
    return set(done.output.split())


def completions(case):
    tap = case.tap
    verbs = verbs_of(Done(f"{case.root}/usr/bin/nodecryptorctl", "--help").output)
    tap.ok({"plan", "explain", "wait", "flush"} <= set(verbs),
           f"--help tells of {len(verbs)} verbs")
    tap.equal(bash_completes(case, "nodecryptorctl"), set(verbs) | {"--help", "--version"},
              "bash completes the verbs")
    for verb, options in sorted(verbs.items()):
        tap.equal(bash_completes(case, "nodecryptorctl", verb), options,
                  f"bash completes the options of {verb}")
    tap.equal(bash_completes(case, "nodecryptorctl", "explain", "--protocol"),
              {"tcp", "udp", "icmp"}, "and values")
    zsh = case.read("usr/share/zsh/site-functions/_nodecryptorctl")
    fish = case.read("usr/share/fish/vendor_completions.d/nodecryptorctl.fish")
    for verb, options in sorted(verbs.items()):
        part = re.search(rf"^\s+{verb}\)\n(.*?);;", zsh, re.M | re.S)
        tap.equal(set(re.findall(r"(--[a-z][a-z-]+)[=\[]", part[1] if part else "")), options,
                  f"zsh has the options of {verb}")
        lines = [line for line in fish.splitlines()
                 if re.search(rf"seen_subcommand_from[^']*\b{verb}\b[^']*'", line)]
        tap.equal({"--" + name for line in lines for name in re.findall(r" -l ([a-z-]+)", line)},
                  options, f"fish has the options of {verb}")


def rpm(case):
    """The spec, with Fedora's macros as far as it uses them."""
    tap, top = case.tap, f"{case.work}/rpm"
    spec = f"{REPOSITORY}/conf/nodecryptor.spec"
    version = re.search(r"^Version:\s*(\S+)", open(spec, encoding="utf-8").read(), re.M)[1]
    tap.equal(Done("dpkg-deb", "-f", case.package, "Version").output.strip(), version,
              "package, spec and program are of one version")
    tap.ok(version in Done(f"{case.root}/usr/sbin/nodecryptor", "--version").output, "all three")
    deb.copy(f"{top}/SOURCES/nodecryptor-{version}")
    subprocess.run(["tar", "-C", f"{top}/SOURCES", "-czf",
                    f"{top}/SOURCES/nodecryptor-{version}.tar.gz", f"nodecryptor-{version}"],
                   check=True)
    case.holds(Done("rpmbuild", "-bb", "--nodeps", "--nocheck", f"--define=_topdir {top}",
                    "--define=debug_package %{nil}", f"--load={HERE}/rpm.macros", spec),
               "rpmbuild -bb")
    built = [os.path.join(place, name) for place, _, files in os.walk(f"{top}/RPMS")
             for name in files]
    if not tap.equal(len(built), 1, "makes one package"):
        return
    listed = Done("rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\n]", built[0]).output
    files = {normal(line.split()[1]) for line in listed.splitlines() if line.startswith("-")}
    versioned = re.compile(r"^/usr/share/(doc|licenses)/nodecryptor-[0-9.]+/")
    files = {versioned.sub("/usr/share/doc/nodecryptor/", path) for path in files}
    tap.equal(sorted(files - {"/usr/share/doc/nodecryptor/LICENSE"}), sorted(wanted_contents()),
              "with the same files")
    done = Done("rpmlint", "-c", f"{HERE}/rpmlint.toml", spec)
    tap.ok(" 0 errors" in done.output, "rpmlint has no errors")
    tap.note(done.output.strip().splitlines()[-1] if done.output.strip() else "")


def run(tap, work):
    case = Case(tap, work)
    for part in (looks, hardened, system_files, completions, rpm, reproducible):
        tap.note(f"-- {part.__name__}")
        try:
            part(case)
        except Exception as problem:    # the other parts are worth having
            tap.ok(False, f"{part.__name__} runs to its end: {type(problem).__name__}: {problem}")


def main():
    missing = [name for name in ("dpkg-buildpackage", "dh", "lintian", "rpmbuild", "rpmlint")
               if not shutil.which(name)]
    if missing:
        print(f"1..0 # SKIP {', '.join(missing)}: not installed", flush=True)
        return 0
    tap = tap_module.Tap()
    with tempfile.TemporaryDirectory(prefix="nodecryptor-package.") as work:
        run(tap, work)
    return tap.done()


if __name__ == "__main__":
    sys.exit(main())

"""The Debian package, built from this repository.

    deb.build(work)                      # the path of the .deb; built once in a folder
    deb.build(work, name="again", options="", environment={"TZ": "Asia/Tokyo"})
    deb.reversion(path, folder, "0.0.9", edit)   # an earlier one, made of it
"""

import glob
import os
import shutil
import subprocess

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARALLEL = 2


def sources():
    """Every file of the repository, without what is built or ignored."""
    if os.path.exists(os.path.join(REPOSITORY, ".git")):
        listed = subprocess.run(["git", "-c", f"safe.directory={REPOSITORY}", "-C", REPOSITORY,
                                 "ls-files", "-z", "-co", "--exclude-standard"],
                                capture_output=True, check=True).stdout.decode().split("\0")
        return [path for path in listed
                if path and os.path.lexists(os.path.join(REPOSITORY, path))]
    found = []
    for place, folders, files in os.walk(REPOSITORY):
        folders[:] = [name for name in folders
                      if not os.path.exists(os.path.join(place, name, "build.ninja"))]
        found += [os.path.relpath(os.path.join(place, name), REPOSITORY) for name in files]
    return found


def copy(folder):
    """The repository as it would be unpacked from a release."""
    for path in sources():
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy2(os.path.join(REPOSITORY, path), target, follow_symlinks=False)


def build(work, name="build", options="nocheck", environment=()):
    """dpkg-buildpackage in work/name/nodecryptor; an error holds the end of its output."""
    place = os.path.join(work, name)
    if not (found := glob.glob(f"{place}/nodecryptor_*.deb")):
        source = os.path.join(place, "nodecryptor")
        os.makedirs(source)
        copy(source)
        variables = {key: value for key, value in os.environ.items()
                     if not key.startswith(("DEB_", "CC", "CFLAGS", "LDFLAGS", "MESON"))}
        variables |= {"DEB_BUILD_OPTIONS": f"{options} parallel={PARALLEL}", **dict(environment)}
        done = subprocess.run(["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=source,
                              env=variables, stdin=subprocess.DEVNULL, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise RuntimeError(f"dpkg-buildpackage: {done.returncode}\n{done.stdout[-4000:]}")
        shutil.rmtree(source)
        found = glob.glob(f"{place}/nodecryptor_*.deb")
    return found[0]


def reversion(path, folder, version, edit=lambda root: None):
    """The same package as of another version; `edit` may change the unpacked files."""
    root = os.path.join(folder, f"root-{version}")
    subprocess.run(["dpkg-deb", "-R", path, root], check=True)
    control = os.path.join(root, "DEBIAN", "control")
    with open(control, encoding="utf-8") as file:
        lines = [f"Version: {version}\n" if line.startswith("Version:") else line for line in file]
    with open(control, "w", encoding="utf-8") as file:
        file.writelines(lines)
    edit(root)
    made = os.path.join(folder, f"nodecryptor_{version}.deb")
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", root, made], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    return made

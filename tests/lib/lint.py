"""The lint suite: each tool, and clang-tidy for each file, is one test."""

import concurrent.futures
import glob
import os
import py_compile
import subprocess
import tempfile


def _call(command, repository):
    done = subprocess.run(command, cwd=repository, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace",
                          check=False)
    return done.returncode == 0, done.stdout


def _files(repository, *patterns):
    found = [path for pattern in patterns
             for path in glob.glob(os.path.join(repository, pattern), recursive=True)]
    return sorted(os.path.relpath(path, repository) for path in found)


def _tidy(repository, build, results):
    """One test a C file that the build compiles; clang-tidy says what it finds on stdout."""
    sources = _files(repository, "src/**/*.c", "tests/unit/*.c", "tests/lib/*.c",
                     "tests/netns/*.c", "tests/bench/*.c")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda path: _call(["clang-tidy", "--quiet", "-p", build, path],
                                           repository), sources)
        for path, (holds, text) in zip(sources, done):
            results.own("lint", f"clang-tidy {path}", holds, text)


def _python(repository, results):
    """They compile without a warning."""
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        for path in _files(repository, "tests/**/*.py", "tests/vm/jobs/*/run",
                           "tests/vm/jobs/*/preboot", "tests/vm/jobs/*/cable"):
            try:
                py_compile.compile(os.path.join(repository, path), doraise=True,
                                   cfile=os.path.join(folder, "compiled"))
            except py_compile.PyCompileError as problem:
                problems.append(str(problem))
    results.own("lint", "python files compile", not problems, "\n".join(problems))


def _shell(repository, results):
    for path in _files(repository, "tests/demo", "tests/run", "tests/bench/run", "tests/lib/*.sh",
                       ".ci/run", "tests/vm/build", "tests/vm/run", "tests/vm/guest/init",
                       "debian/tests/service", "debian/*.prerm", "debian/*.postrm",
                       "conf/completions/*.bash"):
        results.own("lint", f"bash -n {path}", *_call(["bash", "-n", path], repository))


def run(repository, build, results):
    """`build` makes the build with clang and gives its folder."""
    sources = _files(repository, "src/**/*.[ch]", "tests/**/*.[ch]")
    results.own("lint", "clang-format", *_call(
        ["clang-format", "--dry-run", "-Werror", *sources], repository))
    folder = build()
    if folder:
        database = os.path.join(folder, "compile_commands.json")
        results.own("lint", "cppcheck", *_call(
            ["cppcheck", "--quiet", "--error-exitcode=1", "--inline-suppr", "-j2",
             "--enable=warning,portability,performance", "--template=gcc",
             "--suppressions-list=tests/lib/cppcheck.suppressions", f"--project={database}"],
            repository))
        _tidy(repository, folder, results)
    _python(repository, results)
    _shell(repository, results)

"""What `cmake --install` leaves is whole: the installed worker checks the installed flows."""
import os
import re
import shutil
import subprocess

import pytest

from harness import ROOT


def install(build, prefix, to):
    done = subprocess.run(["cmake", "--install", build, "--prefix", prefix], env={**os.environ, "DESTDIR": to},
                          capture_output=True, text=True)
    assert done.returncode == 0, done


def test_what_the_quick_start_builds_can_be_installed(tmp_path, release):
    targets = re.search(r"ninja -C \$BUILD ((?:.*\\\n)*.*?) 2>&1", (ROOT / "deploy/quickstart").read_text())[1]
    shutil.rmtree(release / "command-line")  # of the folder's own build, which makes everything
    subprocess.run(["ninja", "-C", release, *targets.replace("\\\n", " ").split()], check=True, capture_output=True)
    install(release, "/usr/local", tmp_path)
    assert {p.name for p in (tmp_path / "usr/local/share/man/man1").iterdir()} == {"offpath-gateway.1", "offpath-worker.1"}
    assert {p.name for p in (tmp_path / "usr/local/share/zsh/site-functions").iterdir()} == {"_offpath-gateway", "_offpath-worker"}
    assert not (tmp_path / "usr/local/share/zsh/vendor-completions").exists()


def test_the_installed_worker_checks_the_installed_flows(tmp_path, release):
    install(release, "/usr", tmp_path)
    installed = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    flows = {f"usr/share/offpath/flows/{p.name}" for p in (ROOT / "deploy/flows").glob("*.yaml")
             if not p.name.endswith(".test.yaml")}
    shell = {name.format(program) for program in ("offpath-gateway", "offpath-worker") for name in (
        "usr/bin/{}", "usr/share/man/man1/{}.1", "usr/share/bash-completion/completions/{}", "usr/share/zsh/vendor-completions/_{}")}
    assert installed == flows | shell | {
        "usr/share/offpath/upstreams.yaml", "usr/share/doc/offpath/LICENSE", "usr/share/doc/offpath/README.md"}
    done = subprocess.run([tmp_path / "usr/bin/offpath-worker", "check", tmp_path / "usr/share/offpath/flows", "--offline",
                           "--deny-warnings"], env={"PATH": os.environ["PATH"]}, cwd="/", capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done
    shutil.rmtree(tmp_path / "usr")


@pytest.mark.parametrize("program", ["offpath-gateway", "offpath-worker"])
def test_bash_offers_each_verb_and_the_flags_that_its_help_shows(tmp_path, release, program):
    def said(*words):
        return subprocess.run([release / program, *words], capture_output=True, text=True, check=True).stdout

    def offered(*words):
        done = subprocess.run(["bash", "-c", f'source "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _{program.replace("-", "_")}; '
                               'printf "%s\\n" "${COMPREPLY[@]}"', "_", script, program, *words], capture_output=True, text=True)
        assert done.stderr == "", done
        return done.stdout.split()
    script = tmp_path / "completion"
    script.write_text(said("--print", "bash"))
    verbs = re.findall(r"^  ([a-z]+)  ", said("--help").split("examples:")[0], re.M)
    assert len(verbs) > 5 and offered("") == [*verbs, "--help", "--version", "--print"]
    for verb in verbs:
        shown = re.findall(r"^  (--[a-z0-9-]+)", said(verb, "--help"), re.M)
        assert offered(verb, "--") == [*shown, "--help"], verb
    assert offered(verbs[2], "--no-such") == []
    assert offered("migrate", "st") == (["status"] if program == "offpath-worker" else [])
    of = {"run": {"--log": "text json", "--log-level": "debug info warn error", "--kafka": "", "--admin": "", "--jwt-issuer": ""}}
    if program == "offpath-gateway":
        of |= {"jobs": {"--state": "queued running succeeded partial failed cancelled expired", "--limit": ""},
               "send": {"--color": "auto always never", "--key": ""}}
        assert offered("jobs", "list", "--state", "s") == ["succeeded"] and "list" in offered("jobs", "")
        assert "list" not in offered("jobs", "list", "") and "--state" in offered("jobs", "list", "")
        assert "--state" not in offered("jobs", "show", "") and "--json" in offered("jobs", "show", "")
    else:
        assert offered("eval", "--request", f"@{script}") == [f"@{script}"] and offered("eval", "--request", str(script)) == [f"@{script}"]
    for verb, flags in of.items():
        for flag, words in flags.items():
            assert offered(verb, flag, "") == words.split(), flag
    assert offered("--print", "") == ["man", "bash", "zsh"] and offered("run", "--config", str(script)) == [str(script)]

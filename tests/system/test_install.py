"""What `cmake --install` leaves is whole: the installed worker checks the installed flows."""
import os
import shutil
import subprocess

from harness import ROOT


def test_the_installed_worker_checks_the_installed_flows(tmp_path, release):
    done = subprocess.run(["cmake", "--install", release, "--prefix", "/usr"], env={**os.environ, "DESTDIR": tmp_path},
                          capture_output=True, text=True)
    assert done.returncode == 0, done
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
    for program, line, last in ("offpath-gateway", "send --dr", "--dry-run\n"), ("offpath-worker", "migrate st", "status\n"):
        words = subprocess.run(
            ["bash", "-c", f'source "$1"; COMP_WORDS=({program} {line}) COMP_CWORD=2; _{program.replace("-", "_")}; echo "${{COMPREPLY[*]}}"',
             "_", tmp_path / "usr/share/bash-completion/completions" / program], capture_output=True, text=True)
        assert (words.stdout, words.stderr) == (last, ""), words
    shutil.rmtree(tmp_path / "usr")

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
    assert installed == flows | {
                         "usr/bin/offpath-gateway", "usr/bin/offpath-worker", "usr/share/man/man1/offpath-gateway.1",
                         "usr/share/bash-completion/completions/offpath-gateway",
                         "usr/share/zsh/vendor-completions/_offpath-gateway", "usr/share/offpath/upstreams.yaml", "usr/share/doc/offpath/LICENSE", "usr/share/doc/offpath/README.md"}
    done = subprocess.run([tmp_path / "usr/bin/offpath-worker", "check", tmp_path / "usr/share/offpath/flows", "--offline",
                           "--deny-warnings"], env={"PATH": os.environ["PATH"]}, cwd="/", capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done
    words = subprocess.run(
        ["bash", "-c", 'source "$1"; COMP_WORDS=(offpath-gateway send --dr) COMP_CWORD=2; _offpath_gateway; echo "${COMPREPLY[*]}"',
         "_", tmp_path / "usr/share/bash-completion/completions/offpath-gateway"], capture_output=True, text=True)
    assert (words.stdout, words.stderr) == ("--dry-run\n", ""), words
    shutil.rmtree(tmp_path / "usr")

"""The blocks of the documents: what stands indented, outside of fences, and is there to be typed or looked at."""
import re

from harness import ROOT

PAGES = {str(p.relative_to(ROOT)): p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/how-to").glob("*.md")))}
FENCE = re.compile(r"^```(.*)\n(?:.*\n)*?```$", re.M)


def blocks_of(page):
    """Each as text, without its indent."""
    text = FENCE.sub("", PAGES[page].read_text())
    return ["".join(line[4:] + "\n" for line in block.splitlines()) for block in re.findall(r"(?:^    .*\n)+", text, re.M)]


def block_of(page, begin):
    """The only one of a page that begins so."""
    found = [b for b in blocks_of(page) if b.startswith(begin)]
    assert len(found) == 1, (page, begin, len(found))
    return found[0]


def fences_of(page):
    """What each fence says that it holds, and its text."""
    return [(m[1], m[0]) for m in FENCE.finditer(PAGES[page].read_text())]

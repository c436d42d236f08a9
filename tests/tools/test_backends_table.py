"""docs/backends.md's table: it says what their files say, and no size of something else."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bench.contract.errors import BadInput
from fixtures.engines.docker.docker import ImageFacts
from fixtures.engines.venv import Requirements, Venv
from fixtures.specs.manifest import load_manifest, load_spec
from fixtures.specs.spec import BackendSpec
from tools.backend_sizes import SIZES, Local, Size, content_of, measured, read_sizes, write_sizes
from tools.backends_table import BACKENDS, BEGIN, END, PAGE, servers, table, with_table

REMEDY = "run python -m tools.backends_table, and read what it changed"

MANIFEST = """
summary = "One | two"
runtime = "stone"
tuning = "Nothing, on purpose."
sets = ["few"]
{parts}
[[endpoint]]
name = "rest"
protocol = "v1-json"
port = 8000
"""
BOTH = '[container]\nbuild = true\n[process]\nrequirements = "requirements.txt"\ncommand = ["{python}"]'
PUBLIC = '[container]\nimage = "repo/thing:1.2"'


def make(root: Path, name: str, parts: str) -> BackendSpec:
    folder = root / "backends" / name
    folder.mkdir(parents=True)
    (folder / "backend.toml").write_text(MANIFEST.replace("{parts}", parts))
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "requirements.txt").write_text("# pins\nzebra==1.0\nant[fast]==2.0 ; python_version > '3'\n")
    (folder / "requirements-no-deps.txt").write_text("bee==3.0\n")
    return load_spec(folder / "backend.toml")


def here(venv_bytes: int | None = None, image_bytes: int | None = None, ant: str = "2.0") -> Local:
    """A machine that has an environment or an image of that size, or neither."""

    def venv(requirements: Requirements) -> Venv | None:
        return None if venv_bytes is None else Venv(Path("venv"), {"ant": ant}, venv_bytes)

    def image(spec: BackendSpec) -> ImageFacts | None:
        return None if image_bytes is None else ImageFacts("id", None, image_bytes)

    return Local(venv, image)


def row(spec: BackendSpec, sizes: Mapping[str, Size]) -> list[str]:
    line = next(line for line in table([spec], sizes).splitlines() if spec.name in line)
    return [cell.strip() for cell in line.replace(r"\|", "/").strip("|").split("|")]


def test_readme_says_what_the_files_say() -> None:
    """The table between the marks is the one that the backends' files make now."""
    readme = PAGE.read_text(encoding="utf-8")
    assert readme == with_table(readme, table(servers(BACKENDS), read_sizes(SIZES))), REMEDY


def test_no_size_is_of_something_else() -> None:
    """Every size in the tree belongs to a backend and was measured of what it installs now."""
    current = {spec.name: content_of(spec) for spec in servers(BACKENDS)}
    kept = {name: size.content for name, size in read_sizes(SIZES).items()}
    assert kept == {name: current.get(name) for name in kept}, REMEDY


def test_a_row_holds_what_a_reader_asks_for(tmp_path: Path) -> None:
    """Summary, runtime, endpoints with their protocols, pins, engines with sizes, tuning; nothing breaks the table."""
    spec = make(tmp_path, "stones", BOTH)
    assert row(spec, {"stones": Size(content_of(spec), venv_mb=1234, image_mb=56)}) == [
        "**`stones`**<br>One / two",
        "stone:<br>`rest` v1-json",
        "ant 2.0, bee 3.0, zebra 1.0",
        "Docker: built image, 56 MB<br>process: venv, 1,234 MB",
        "Nothing, on purpose.",
    ]
    assert "- Set `few`: `stones`" in table([spec], {})


def test_variants_stand_in_their_backends_row(tmp_path: Path) -> None:
    """With what differs; the set of their name has both."""
    variant = '[[variant]]\nname = "fast"\ndiffers = "Two | at once"\nenv = { A = "1" }\n'
    spec = make(tmp_path, "stones", BOTH)
    (spec.folder / "backend.toml").write_text(MANIFEST.replace("{parts}", BOTH) + variant)
    text = table(load_manifest(spec.folder / "backend.toml"), {})
    assert len([line for line in text.splitlines() if line.startswith("|")]) == 3
    assert r"Nothing, on purpose.<br>**`stones-fast`**: Two \| at once |" in text
    assert "- Set `fast`: `stones`, `stones-fast`" in text


def test_a_public_image_is_its_own_version(tmp_path: Path) -> None:
    """Where nothing is installed by us, the tag is what is known; without [process] no other engine is promised."""
    cells = row(make(tmp_path, "public", PUBLIC), {})
    assert cells[2:4] == ["`repo/thing:1.2`", "Docker: public image, size not measured"]


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-no-deps.txt", "Dockerfile"])
def test_a_stale_size_is_not_shown(tmp_path: Path, file: str) -> None:
    """Once another thing is installed, the old size is no size of it."""
    spec = make(tmp_path, "stones", BOTH)
    old = Size(content_of(spec), venv_mb=1234, image_mb=56)
    (spec.folder / file).write_text("other==9\n")
    assert row(spec, {"stones": old})[3] == "Docker: built image, size not measured<br>process: venv, size not measured"
    assert measured(spec, old, here()) is None
    assert measured(spec, old, here(venv_bytes=7_400_000)) == Size(content_of(spec), venv_mb=7)


def test_what_is_not_here_is_kept(tmp_path: Path) -> None:
    """A machine without an engine loses no image's size, and measures anew what it has."""
    spec = make(tmp_path, "stones", BOTH)
    known = Size(content_of(spec), venv_mb=1, image_mb=2)
    assert measured(spec, known, here()) == known
    assert measured(spec, known, here(venv_bytes=9_000_000)) == Size(content_of(spec), venv_mb=9, image_mb=2)
    assert measured(spec, known, here(image_bytes=9_000_000)) == Size(content_of(spec), venv_mb=1, image_mb=9)


def test_another_build_than_the_pinned_is_no_measure(tmp_path: Path) -> None:
    """A machine whose own index has smaller builds says nothing of what others will have; a pinned build counts."""
    spec = make(tmp_path, "stones", BOTH)
    assert measured(spec, None, here(venv_bytes=9_000_000, ant="2.0+cpu")) is None
    (spec.folder / "requirements.txt").write_text("ant==2.0+cpu\n")
    assert measured(spec, None, here(venv_bytes=9_000_000, ant="2.0+cpu")) == Size(content_of(spec), venv_mb=9)


def test_an_engine_that_it_does_not_run_on_has_no_size(tmp_path: Path) -> None:
    """A public image has no virtual environment, whatever an equal set of requirements has."""
    spec = make(tmp_path, "public", PUBLIC)
    assert measured(spec, None, here(venv_bytes=9_000_000)) is None


def test_sizes_are_read_as_written(tmp_path: Path) -> None:
    """A line a backend, in order; none is fine too; anything else is refused with the remedy."""
    sizes = {"b": Size("2", venv_mb=2), "a": Size("1", image_mb=3)}
    write_sizes(tmp_path / "sizes.json", sizes)
    assert read_sizes(tmp_path / "sizes.json") == sizes
    assert [line.strip()[:3] for line in (tmp_path / "sizes.json").read_text().splitlines()[1:-1]] == ['"a"', '"b"']
    write_sizes(tmp_path / "sizes.json", {})
    assert read_sizes(tmp_path / "sizes.json") == {}
    for text in ("[]", "{", '{"a": {"size": 1}}'):
        (tmp_path / "sizes.json").write_text(text)
        with pytest.raises(BadInput, match=r"sizes\.json: expected the sizes of backends"):
            read_sizes(tmp_path / "sizes.json")


def test_only_what_is_between_the_marks_changes() -> None:
    """The rest of the page is nobody's but its writers'."""
    assert with_table(f"before\n{BEGIN}\nold\n{END}\nafter\n", "new\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("readme", ["no marks", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_marks_that_are_lost_are_missed(readme: str) -> None:
    """Better no table than one in the wrong place."""
    with pytest.raises(BadInput, match="backends: begin"):
        with_table(readme, "new\n")

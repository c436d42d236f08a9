"""The machine's own meters: energy of its packages, and nothing where there is none."""

from pathlib import Path

import pytest

from bench.machine.host import EnergyClock


def domain(root: Path, name: str, label: str, energy_uj: int, range_uj: int = 1_000_000) -> Path:
    """A folder as the kernel has it under /sys/class/powercap."""
    folder = root / name
    folder.mkdir()
    (folder / "name").write_text(f"{label}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder / "energy_uj"


def test_packages_are_summed_and_their_parts_are_not(tmp_path: Path) -> None:
    """A core's domain lies within its package's, and psys around all of them: they would count twice."""
    packages = [domain(tmp_path, f"intel-rapl:{n}", f"package-{n}", 500_000) for n in (0, 1)]
    others = [domain(tmp_path, "intel-rapl:0:0", "core", 0), domain(tmp_path, "intel-rapl:2", "psys", 0)]
    clock = EnergyClock(tmp_path)
    assert clock.now() == 0.0
    packages[0].write_text("750000\n")
    packages[1].write_text("600000\n")
    for other in others:
        other.write_text("900000\n")
    assert clock.now() == pytest.approx(0.35)
    clock.close()
    assert clock.now() is None


def test_a_meter_that_turns_over_goes_on(tmp_path: Path) -> None:
    """At its own range, as often as that happens."""
    energy = domain(tmp_path, "intel-rapl:0", "package-0", 900_000)
    clock = EnergyClock(tmp_path)
    for raw, joules in ((100_000, 0.2), (950_000, 1.05), (50_000, 1.15)):
        energy.write_text(f"{raw}\n")
        assert clock.now() == pytest.approx(joules)
    clock.close()


@pytest.mark.parametrize("missing", ["energy_uj", "max_energy_range_uj", "name"])
def test_what_cannot_be_read_is_not_measured(tmp_path: Path, missing: str) -> None:
    """Most machines let only root read them; a virtual machine has none."""
    assert EnergyClock(tmp_path / "nowhere").now() is None
    domain(tmp_path, "intel-rapl:0", "package-0", 0)
    (tmp_path / "intel-rapl:0" / missing).unlink()
    clock = EnergyClock(tmp_path)
    assert clock.now() is None
    clock.close()

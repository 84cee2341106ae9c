"""The data sets that can be chosen by name, each declared once; importing this needs neither numpy nor Pillow.

Other packages declare theirs in the group ``zoo_opt_seg.data_sets`` of their entry points, and sets of volumes in
``zoo_opt_seg.volumes``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo_opt.support.registry import Entry, Registry


@dataclass(frozen=True, kw_only=True)
class DataEntry(Entry):
    """A data set that can be chosen by name.

    Parameters
    ----------
    name, factory, about, needs, extra
        See `Entry`. The factory is called as ``factory(root, size=, seed=, **options)`` and returns `Splits`, or
        `VolumeSplits` for a set of volumes; see `drawn` and `records`.
    options : mapping
        What this name sets of the factory's options.
    drawn : bool
        Whether nothing is read from disk: the factory takes no ``root``.
    records : bool
        Whether the factory, called without ``size``, returns a list of `Record` by split, and its module says in
        ``EMPTY`` what is done about empty masks.
    folder : str
        Its folder under the folder of data sets, if not one of its own name.
    alias : str
        Another name on the command line.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    drawn: bool = False
    records: bool = False
    folder: str = ""
    alias: str = ""

    @property
    def form(self) -> str:
        """As it is chosen on the command line."""
        return self.name if self.drawn else f"{self.name}:PATH"

    def check_folder(self, root: object) -> None:
        """Raise a ValueError unless there is a folder for what is read from disk, and none for what is drawn."""
        if self.drawn and root is not None:
            raise ValueError(f"root must be None for {self.name!r}, which is drawn, got {root!r}")
        if not self.drawn and root is None:
            raise ValueError(f"root must be the folder of {self.name!r}, which is read from disk, got None")


def _drawn(name: str, about: str) -> DataEntry:
    factory = "zoo_opt_seg.data.synthetic:domain"
    return DataEntry(name=name, factory=factory, about=f"drawn: {about}", options={"name": name}, drawn=True)


def _files(name: str, loader: str, about: str, alias: str = "", **options: Any) -> DataEntry:
    factory, folder = f"zoo_opt_seg.data.loaders.{loader}:files", loader.rpartition(".")[2]
    return DataEntry(name=name, factory=factory, about=about, options=options, records=True, folder=folder, alias=alias)


DATA_SETS = Registry(
    "data set",
    "zoo_opt_seg.data_sets",
    DataEntry,
    _drawn("skin", "skin lesions under hair"),
    _drawn("disc", "optic discs, crossed by vessels"),
    _drawn("tool", "shafts of surgical instruments"),
    _drawn("polyp", "polyps on mucosa"),
    _drawn("source", "scenes of several objects, that the embedded SAM was trained on"),
    _drawn("referring", "scenes whose objects can be told apart in words, that the embedded CLIPSeg was trained on"),
    _files("kvasir", "polyps.kvasir", "Kvasir-SEG: polyps, 1000 images, 600/100/300 as BAPS", alias="kvasir-seg"),
    _files("kvasir-poudel", "polyps.kvasir", "Kvasir-SEG, 800/100/100 as Poudel et al.", split="poudel"),
    _files("clinicdb", "polyps.clinicdb", "CVC-ClinicDB: polyps, 612 frames, 490/61/61 as Poudel et al."),
    _files("bkai", "polyps.bkai", "BKAI-IGH NeoPolyp: polyps, 1000 images, 800/100/100 as Poudel et al."),
    _files("isic2016", "isic2016", "ISIC 2016 task 1: skin lesions, 810/90/379 as Poudel et al."),
    _files("dfuc2022", "dfuc2022", "DFUC 2022: foot ulcers, 2000 images, 1600/200/200 as Poudel et al."),
    _files("busi", "busi", "BUSI: breast ultrasound, 780 images, 624/78/78 as Poudel et al."),
    _files("camus", "camus", "CAMUS: structures of the heart in ultrasound, 400/50/50 patients, 12 samples of each"),
    _files("chexlocalize", "chexlocalize", "CheXlocalize: findings in chest X-rays, 60/20/20 % of the patients"),
    _files("isic2018", "isic2018", "ISIC 2018 task 1: skin lesions, 2594/100/100 as BAPS"),
    _files("refuge", "refuge", "REFUGE: optic disc and cup, 800/800/800 as BAPS"),
    _files("refuge-disc", "refuge", "REFUGE: optic disc, 400/400/400", label="disc"),
    _files("refuge-cup", "refuge", "REFUGE: optic cup, 400/400/400", label="cup"),
    _files("endovis2017", "endovis2017", "EndoVis 2017: one surgical instrument per sample, official test sequences"),
    _files("endovis2017-all", "endovis2017", "EndoVis 2017: all instruments of a frame together", objects="all"),
    _files("polypgen", "polyps.polypgen", "PolypGen: polyps of six centres, 50/20/30 % by patient or sequence"),
    _files("dsb2018", "dsb2018", "Data Science Bowl 2018: one nucleus per sample, 50/20/30 % by image"),
    _files("dsb2018-union", "dsb2018", "Data Science Bowl 2018: all nuclei of an image together", nuclei=False),
    _files("chase_db1", "chase_db1", "CHASE_DB1: retinal vessels, 16/4/8 images by child"),
    _files("folder", "folder", "a plain folder with images and masks, 50/20/30 %"),
)
"""Labelled images by name."""

VOLUMES = Registry(
    "set of volumes",
    "zoo_opt_seg.volumes",
    DataEntry,
    DataEntry(
        name="ct",
        factory="zoo_opt_seg.data.synthetic.ct:splits",
        about="drawn abdominal CT: eight organs, 12/4/8 cases",
        drawn=True,
    ),
    DataEntry(
        name="synapse",
        factory="zoo_opt_seg.data.loaders.synapse:splits",
        about="Synapse multi-organ CT in TransUNet's form: 18 and 12 cases",
    ),
)
"""Sets of volumes by name."""

"""The black boxes that can be chosen by name, each declared once; importing this needs no torch.

Other packages declare theirs in the group ``zoo_opt_seg.black_boxes`` of their entry points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from zoo_opt.support.declaring import need_declared, need_trust
from zoo_opt.support.registry import Entry, Registry

PRECISIONS = ("float32", "float16", "bfloat16")  # of image encoders


@dataclass(frozen=True, kw_only=True)
class BlackBoxEntry(Entry):
    """A black box that can be chosen by name.

    Parameters
    ----------
    name, factory, about, needs, extra
        See `Entry`. The factory returns the black box, anything that `as_black_box` takes.
    size : int
        Side in pixels of the images that it is given, unless another is asked for.
    prompted_by : {"points", "boxes", "text", ""}
        What its prompts must hold; "" is not known before it is made.
    words : mapping of str to str
        What follows the name on the command line, ``name:WORD:WORD``, each with its meaning; the factory takes them in
        this order.
    optional : bool
        Whether the words may be left out.
    device : bool
        Whether the factory takes ``device``.
    dtype : bool
        Whether the factory takes ``dtype``, the precision of its image encoder.
    weights : str
        The factory's argument that names a file or folder of the folder of weights, in tables.
    embedded : tuple of str
        Files of `zoo_opt_seg.embedded` that its answers depend on.
    runs : str
        The factory's argument that says what is run, which a file may do only if it is trusted; "" for none.
    remote : bool
        Whether it is a service: the factory takes ``terms``, a `zoo_opt_seg.remote.terms.Terms`, and as keywords the
        options that the command line has by ``--model-option NAME=VALUE``.
    """

    size: int = 224
    prompted_by: str = ""
    words: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    device: bool = False
    dtype: bool = False
    weights: str = ""
    embedded: tuple[str, ...] = ()
    runs: str = ""
    remote: bool = False

    @property
    def form(self) -> str:
        """As it is chosen on the command line."""
        return ":".join([self.name, *self.words])

    def make(
        self,
        words: str = "",
        device: str = "cpu",
        dtype: str = "float32",
        terms: Any = None,
        options: Mapping[str, Any] | None = None,
    ) -> Any:
        """Make the black box from what the command line says.

        Parameters
        ----------
        words : str
            What follows the name and a colon.
        device : str
        dtype : str
            Of the image encoder, where the factory takes one.
        terms : zoo_opt_seg.remote.terms.Terms, optional
            By which a service is asked; for nothing else.
        options : mapping of str to Any, optional
            Of a service, as ``--model-option`` gives them; for nothing else.

        Raises
        ------
        ValueError
            If a word is missing, or one is there and none is taken, or it takes no precision but float32, or no terms
            or options.
        """
        given = words.split(":", max(len(self.words) - 1, 0)) if words else []
        if len(given) > len(self.words):
            raise ValueError(f"{self.form} takes nothing after its name, got {words!r}")
        if lacking := [meaning for meaning in list(self.words.values())[len(given) :] if not self.optional]:
            raise ValueError(f"{self.form} needs a {lacking[0]}, got {':'.join([self.name, *given])!r}")
        if dtype != "float32" and not self.dtype:
            raise ValueError(f"{self.form} computes in a precision of its own, got {dtype!r}")
        if not self.remote and (terms is not None or options):
            raise ValueError(f"{self.form} is no service, which alone has terms and options")
        more = {"device": device} if self.device else {}
        more |= {"dtype": dtype} if self.dtype else {}
        more |= {"terms": terms, **(options or {})} if self.remote else {}
        return self.load()(*given, **more)


def _own(name: str, factory: str, about: str, size: int, **more: Any) -> BlackBoxEntry:
    place, needs = f"zoo_opt_seg.blackbox.{factory}", ("torch", "segment_anything")
    more = {"needs": needs, "extra": "seg", "prompted_by": "points", "device": True, "dtype": True, **more}
    return BlackBoxEntry(name=name, factory=place, about=about, size=size, **more)


_clipseg = partial(_own, needs=("torch", "transformers"), prompted_by="text")
TINY = _own("tiny", "tiny:TinySam", "the tiny SAM that comes with this package", 96, embedded=("encoder", "sam"))
SMALL = _own(
    "small",
    "tiny:SmallSam",
    "the SAM that comes with this package and has seen real pictures; it plays a vendor's model",
    96,
    embedded=("encoder", "small"),
)
TINY_CLIPSEG = _clipseg(
    "tiny-clipseg",
    "tiny:TinyClipSeg",
    "the small CLIPSeg that comes with this package; it is asked by text",
    96,
    embedded=("clipseg", "encoder"),
)
SAM = _own(
    "sam",
    "sam:SamBlackBox",
    "Segment Anything: vit_b, vit_l, vit_h or vit_t (MobileSAM), and a checkpoint file",
    512,
    words={"TYPE": "model type", "CHECKPOINT": "checkpoint file"},
    weights="checkpoint",
)
MEDSAM = _own(
    "medsam",
    "sam:medsam",
    "MedSAM, trained on medical images for boxes: its checkpoint file",
    512,
    words={"CHECKPOINT": "checkpoint file"},
    prompted_by="boxes",
    weights="checkpoint",
)
SAM_HQ = _own(
    "sam-hq",
    "hub.sam:sam_hq",
    "SAM-HQ: vit_b, vit_l or vit_h, and a checkpoint file",
    512,
    words={"TYPE": "model type", "CHECKPOINT": "checkpoint file"},
    needs=("torch", "transformers"),
    weights="checkpoint",
)
HUB_SAM = _own(
    "hf-sam",
    "hub.sam:HubSamBlackBox",
    "SAM, SAM-HQ or SAM 2 in a folder of transformers, or by a name in its cache",
    512,
    words={"FOLDER": "folder"},
    needs=("torch", "transformers"),
    weights="name_or_path",
)
CLIPSEG = _clipseg(
    "clipseg",
    "clipseg:clipseg_in",
    "CLIPSeg in a folder of transformers; without one, rd64-refined from its cache",
    352,
    words={"FOLDER": "folder"},
    optional=True,
    weights="folder",
)
PROCESS = BlackBoxEntry(
    name="process",
    factory="zoo_opt_seg.blackbox.process:process_of",
    about="a program that answers on its standard output (zoo_opt_seg.blackbox.serve)",
    words={"COMMAND": "command"},
    runs="command",
)


def _service(name: str, factory: str, about: str, word: str, meaning: str) -> BlackBoxEntry:
    return BlackBoxEntry(
        name=name,
        factory=f"zoo_opt_seg.remote.{factory}",
        about=about,
        needs=("httpcore2",),
        extra="remote",
        size=512,
        words={word: meaning},
        remote=True,
    )


OIP = _service(
    "oip",
    "oip.adapter:oip",
    "a model that is served by the Open Inference Protocol: Triton, KServe, MLServer, zoo-opt-seg serve",
    "URL/MODEL",
    "address of the server and name of the model",
)
JSON = _service(
    "json", "mapping.factories:of_file", "a service that a mapping of yours describes", "FILE.toml", "file of a mapping"
)
SERVICE = _service(
    "service",
    "mapping.factories:of_preset",
    "a service that a mapping of ours describes: `zoo-opt-seg list` has them",
    "NAME@URL",
    "name of a mapping",
)
ROBOFLOW = _service(
    "roboflow",
    "mapping.factories:roboflow",
    "Roboflow's inference server: sam, sam2, sam2-rle, sam3, sam3-text",
    "MODEL@URL",
    "model, and the server's address",
)
HUGGING_FACE = _service(
    "hf",
    "mapping.factories:hugging_face",
    "an endpoint of Hugging Face: image-segmentation by text; points@URL: a handler of yours",
    "URL",
    "address of the endpoint",
)
BLACK_BOXES = Registry(
    "black box",
    "zoo_opt_seg.black_boxes",
    BlackBoxEntry,
    *(TINY, SMALL, SAM, MEDSAM, SAM_HQ, HUB_SAM, TINY_CLIPSEG, CLIPSEG, PROCESS),
    *(OIP, JSON, SERVICE, ROBOFLOW, HUGGING_FACE),
)
"""The black boxes by name."""


def check_black_box_in_file(use: str, trust: bool) -> None:
    """Raise a ValueError unless a file may name this black box: see `zoo_opt.support.declaring`."""
    if use in BLACK_BOXES:
        entry = BLACK_BOXES.find(use)
        if entry.runs:
            need_trust(f"the {entry.runs} of the black box {use!r}", trust)
        if entry.remote:
            need_trust(f"the service of the black box {use!r}", trust, "is sent images and credentials by the file")
    elif ":" in use:
        need_declared(use, "black box", trust)


def black_box_entry(use: str, complaint: str) -> BlackBoxEntry:
    """Return the entry of a registered name, or of ``"module:factory"``, a function of the user's own.

    Parameters
    ----------
    use : str
    complaint : str
        How the message begins where there is none.

    Raises
    ------
    ValueError
        If there is no such black box.
    """
    if use not in BLACK_BOXES and ":" in use:
        return BlackBoxEntry(name=use, factory=use)
    return BLACK_BOXES.find(use, complaint, " or module:factory")

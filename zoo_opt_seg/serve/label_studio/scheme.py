"""What a project's labelling configuration says: the names that an answer must bear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.etree import ElementTree

_LONGEST = 1_000_000  # characters of a configuration; chosen
EXAMPLE = (
    '<View><Image name="image" value="$image"/>'
    '<BrushLabels name="brush" toName="image"><Label value="object"/></BrushLabels>'
    '<KeyPointLabels name="point" toName="image" smart="true"><Label value="object"/></KeyPointLabels>'
    '<RectangleLabels name="box" toName="image" smart="true"><Label value="object"/></RectangleLabels></View>'
)
"""A configuration that can be answered."""


@dataclass(frozen=True)
class Scheme:
    """The names of a labelling configuration.

    Parameters
    ----------
    image : str
        Name of the image's tag.
    data : str
        Key of the image's address in a task's data.
    brush : str
        Name of the tag whose masks are the answers.
    labels : tuple of str
        Of the brush.
    """

    image: str
    data: str
    brush: str
    labels: tuple[str, ...]

    def label(self, asked: str) -> str:
        """Return the brush's label for a click that has this one: the same, or the first that there is."""
        return asked if asked in self.labels else self.labels[0]

    def address(self, data: Mapping[str, object]) -> str:
        """Return the address of the image in a task's data."""
        address = data.get(self.data)
        if not isinstance(address, str) or not address:
            raise ValueError(f"the task's data must hold the image's address as {self.data!r}, got {sorted(data)}")
        return address


def read_scheme(xml: object) -> Scheme:
    """Return what a labelling configuration says.

    Parameters
    ----------
    xml : str
        Of the project, as Label Studio sends it.

    Raises
    ------
    ValueError
        If it is no XML, or has no image with a brush and something to prompt by.
    """
    if not isinstance(xml, str) or len(xml) > _LONGEST or "<!" in xml.replace("<!--", ""):
        raise ValueError(f"the labelling configuration must be XML without declarations, got {xml!r:.80}")
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ValueError(f"the labelling configuration must be XML: {error}") from None
    images = {tag.get("name"): tag.get("value", "") for tag in root.iter("Image") if tag.get("name")}
    for tag in root.iter("BrushLabels"):
        labels = tuple(label.get("value", "") for label in tag.iter("Label") if label.get("value"))
        name, image = tag.get("name"), tag.get("toName", "")
        if name and labels and images.get(image, "").startswith("$"):
            return Scheme(image, images[image][1:], name, labels)
    raise ValueError(f"the labelling configuration must have an Image and BrushLabels with a Label, as {EXAMPLE}")

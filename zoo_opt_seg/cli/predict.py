"""``zoo-opt-seg predict``: masks of one image, or of a folder of them."""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo_opt.cli.exits import DONE, FAILED, UsageError
from zoo_opt.support.secrets import hidden, hidden_command
from zoo_opt_seg.cli import inputs, services
from zoo_opt_seg.cli.questions import Question, read_questions

if TYPE_CHECKING:
    from zoo_opt_seg.data.readers.windows import Window
    from zoo_opt_seg.prompts import Array
    from zoo_opt_seg.serve.segmenting import Segmenter, Shown

PATIENCE = 8  # images in a row that the black box fails on, after which it counts as down
RECORD = "predictions.jsonl"


def do_predict(arguments: argparse.Namespace) -> int:
    """Segment one image, or a folder of them."""
    from zoo_opt_seg.adaptation.retrying import Retrying
    from zoo_opt_seg.blackbox.serving import Served
    from zoo_opt_seg.serve.segmenting import Segmenter

    if len(arguments.text) > 1:
        raise UsageError(f"--text must be given once for an image, got {len(arguments.text)}")
    questions = _of_folder(arguments) if arguments.images else [_of_image(arguments)]
    root = Path(arguments.images or "")
    with services.black_box(arguments, arguments.out) as model:
        for question in questions:
            _check_kind(question, model.prompted_by, hidden_command(arguments.model))
        prompt, size = inputs.prompt_and_size(arguments, model)
        prepared, window = inputs.prepared(arguments, arguments.prompt), inputs.window(arguments.window)
        asked = Served(model, arguments.wait) if arguments.images else Retrying(model, wait=arguments.wait)
        files = _ImageFiles(Segmenter(asked, prompt, size, **prepared), window)
        return (
            _folder(arguments, files, questions, root) if arguments.images else _image(arguments, files, questions[0])
        )


def _check_kind(question: Question, by: str | None, model: str) -> None:
    """Raise a UsageError where a black box that says what it is prompted by is not asked so."""
    if by in ("points", "boxes") and question.text:
        raise UsageError(f"{question.said}text is for a black box that is asked by text, got it for {model}")
    if by == "text" and not question.text:
        raise UsageError(f"{question.said}text must say what to find, for {model} is asked by text")
    if by == "boxes" and question.box is None:
        raise UsageError(f"{question.said}box must be given, for {model} is asked by boxes")


class _ImageFiles:
    """What finds the object of a question in an image file.

    Parameters
    ----------
    segmenter : Segmenter
    window : Window, optional
        Of `zoo_opt_seg.data.load_data`.
    """

    def __init__(self, segmenter: Segmenter, window: Window | None) -> None:
        self.segmenter, self.window = segmenter, window

    def read(self, question: Question, path: Path) -> Shown:
        """Return the image as the black box is asked about it.

        Raises
        ------
        DataError
            If it cannot be read, or a point lies in what is cut off.
        """
        from zoo_opt_seg.data.errors import DataError
        from zoo_opt_seg.data.files import sample_image
        from zoo_opt_seg.serve.segmenting import check_inside

        to = self.segmenter
        assert to.size is not None
        square, fit = sample_image(path, to.size, self.window, fit=to.fit, crop=to.crop)
        try:
            check_inside(question.prompts, fit.shown)
        except ValueError as error:
            raise DataError(f"{path}: {error}") from error
        return to.fitted(square, question.prompts, fit)

    def key(self, question: Question, shown: Shown) -> str:
        """Return what tells the answer from any other, but for a black box without a name that is edited."""
        from zoo_opt_seg.data.fitting import Fit
        from zoo_opt_seg.digests import data_digest
        from zoo_opt_seg.refine import RefinedPrompt

        fit, prompt = shown.fit, self.segmenter.prompt
        assert fit is not None
        parts: list[Any] = [shown.image[None], question.prompts.key(0).hex(), self.segmenter.model.label]
        parts += [] if fit == Fit(fit.size, fit.image) else [repr(fit)]
        if prompt is not None:
            form = prompt.prompt
            parts += [prompt.x, form.name, json.dumps(form.config(), sort_keys=True), *form.arrays().values()]
        if isinstance(prompt, RefinedPrompt):
            parts.append(prompt.refiner.digest)
        return data_digest(*parts)


# -------------------------------------------------------------------------------------------------------- one image


def _of_image(arguments: argparse.Namespace) -> Question:
    """Return what is asked about ``--image``."""
    from zoo_opt_seg.data.files import image_size

    if arguments.ask:
        raise UsageError("--ask goes with --images, a folder")
    points, text = inputs.points(arguments.point), "".join(arguments.text)
    question = Question(arguments.image, points=points, box=inputs.box(arguments.box), text=text)
    if not (question.points or question.box or text):
        raise UsageError('--point x,y, --box x0,y0,x1,y1, in pixels of the image, or --text "..." must be given')
    with inputs.blamed("--image"):
        shape = image_size(Path(arguments.image))
    try:
        question.check(*shape)
    except ValueError as error:
        raise UsageError(str(error)) from error
    return question


def _image(arguments: argparse.Namespace, files: _ImageFiles, question: Question) -> int:
    from zoo_opt_seg.serve.pictures import picture_of

    with inputs.blamed("--image"):
        shown = files.read(question, Path(question.image))
    values = files.segmenter.answer(shown)
    with inputs.blamed(f"--out {arguments.out}:"):
        picture_of(values, arguments.probabilities).save(arguments.out)
    print(json.dumps({"mask": arguments.out, "object": _share(values)}))
    return DONE


def _share(values: Array) -> float:
    return round(float((values > 0.5).mean()), 4)


# --------------------------------------------------------------------------------------------------------- a folder


def _of_folder(arguments: argparse.Namespace) -> list[Question]:
    """Return what is asked about the images of ``--images``: by ``--ask``, or by ``--text`` about all of them."""
    from zoo_opt_seg.data.loaders.folder import ALL
    from zoo_opt_seg.data.loaders.layout import images_in

    root, text = Path(arguments.images), "".join(arguments.text)
    if arguments.point or arguments.box:
        raise UsageError("--point and --box are for --image; with --images, give a file of them: --ask FILE")
    if bool(arguments.ask) == bool(text):
        raise UsageError("--images needs either --ask FILE, what is asked about each image, or --text, for all of them")
    if not root.is_dir():
        raise UsageError(f"--images must be a folder, got {arguments.images}")
    with inputs.blamed("--images" if text else "--ask"):
        if text:
            questions = [Question(path.name, text=text) for path in images_in(root, ALL).values()]
        else:
            questions = read_questions(Path(arguments.ask))
        for question in questions:
            question.check_file(root)
    if not questions:
        raise UsageError(f"--images must hold images, got none in {arguments.images}")
    return questions


def _folder(arguments: argparse.Namespace, files: _ImageFiles, questions: list[Question], root: Path) -> int:
    """Segment the images of a folder, each mask and a line about it written at once; return the exit status."""
    from zoo_opt.support.progress import bar
    from zoo_opt_seg.adaptation.folder import Lines

    out = Path(arguments.out)
    with inputs.blamed(f"--out {arguments.out}:"):
        out.mkdir(parents=True, exist_ok=True)
    journal = Lines(out / RECORD)
    failed: list[str] = []
    try:
        known = {line["mask"]: line["asked"] for line in journal.known}
        predictions = _Predictions(files, root, out, journal, known, arguments.probabilities)
        with bar("predicting", "images", len(questions), not arguments.quiet) as update:
            for number, question in enumerate(questions, 1):
                if error := predictions.add(question):
                    failed.append(f"{question.image}{question.name and f' ({question.name})'}: {hidden(error)}")
                update(number)
    finally:
        journal.close()
        for line in failed:
            print(f"zoo-opt-seg: no mask of {line}", file=sys.stderr)
    counts = {"predicted": len(questions) - len(failed), "of_them_before": predictions.before, "failed": len(failed)}
    print(json.dumps({"masks": arguments.out, **counts}))
    return FAILED if failed else DONE


class _Predictions:
    """The masks of a folder, made one by one.

    Attributes
    ----------
    before : int
        How many were there already, by the same question to the same black box.
    """

    def __init__(
        self, files: _ImageFiles, root: Path, out: Path, journal: Any, known: dict[str, str], probabilities: bool
    ) -> None:
        from zoo_opt_seg.adaptation.retrying import Patience

        self.files, self.root, self.out, self.journal, self.known = files, root, out, journal, known
        self.probabilities, self.before, self._patience = probabilities, 0, Patience(PATIENCE)

    def add(self, question: Question) -> str:
        """Make a mask, unless it is there; return why there is none, or "".

        Raises
        ------
        BlackBoxDown
            If the black box is out of service for too long, or failed too often in a row.
        Refused
            If it refuses.
        """
        from zoo_opt.storage.atomic import write_atomically
        from zoo_opt_seg.data.errors import DataError
        from zoo_opt_seg.data.files import image_size
        from zoo_opt_seg.serve.pictures import picture_of

        path, target = self.root / question.image, self.out / question.mask
        try:
            question.check(*image_size(path))
            shown = self.files.read(question, path)
        except DataError as error:
            return str(error)
        key = f"{self.files.key(question, shown)}{'p' * self.probabilities}"
        if self.known.get(str(question.mask)) == key and target.is_file():
            self.before += 1
            return ""
        values = self._patience(lambda: self.files.segmenter.answer(shown))
        if isinstance(values, Exception):
            return f"{type(values).__name__}: {values}"
        target.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        picture_of(values, self.probabilities).save(buffer, "PNG")
        with buffer.getbuffer() as payload:
            write_atomically(target, payload)
        about = {"image": question.image, **({"name": question.name} if question.name else {})}
        self.journal.add({**about, "mask": str(question.mask), "object": _share(values), "asked": key})
        return ""

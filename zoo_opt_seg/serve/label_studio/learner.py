"""A black box to annotate with: it answers clicks, and learns in the background from what is submitted."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from zoo_opt.core.errors import CheckpointError, integer
from zoo_opt.storage.lock import Lock
from zoo_opt.support.secrets import hidden
from zoo_opt_seg.blackbox.cache import Cached
from zoo_opt_seg.blackbox.protocol import SegmentationModel, as_black_box
from zoo_opt_seg.blackbox.wrappers import Budgeted
from zoo_opt_seg.data.fitting import Fit, check_fit
from zoo_opt_seg.prompts import Array, Prompts
from zoo_opt_seg.refine import FollowingClicks, Refined, RefinedPrompt, Refiner, question
from zoo_opt_seg.serve.label_studio.kept import Present, read_present, read_refiner, read_versions, write_present
from zoo_opt_seg.serve.label_studio.learning import LEAST
from zoo_opt_seg.serve.label_studio.project import Project, Shaded
from zoo_opt_seg.serve.label_studio.records import Records
from zoo_opt_seg.serve.segmenting import Adapted, Segmenter, check_inside
from zoo_opt_seg.serve.versions import Versions

_LOCKS = 16  # of questions: the same one is not asked twice at once


class Learner:
    """Answers about the images of one project, and learns from its annotations. Threads may share it.

    A question that was asked before is answered from the project's folder, so that training pays for nothing: what it
    learns from are the answers that people's own clicks were given.

    Parameters
    ----------
    model : callable
        A black box, or anything that `as_black_box` takes.
    folder : path-like
        The project's. What is in it goes on.
    project : int
        Of Label Studio.
    size : int
        Side of the squares that the black box is asked about, in pixels.
    prompt : TrainedPrompt or RefinedPrompt, optional
        What an adaptation came to: its visual prompt is always used, its refiner until there is a version.
    fit : {"stretch", "pad"}
        How an image becomes a square.
    every : int
        New labelled images after which the next version is learnt.
    most_questions : int, optional
        To the black box, in all; those of earlier runs count.
    asked : int
        Clicks that the black box is asked by; its answer follows those after them, see
        `zoo_opt_seg.refine.FollowingClicks`.

    Attributes
    ----------
    served : Versions
        What answers, for other ways to ask too.
    trouble : str
        Why the last version could not be learnt; "" if it could.

    Raises
    ------
    CheckpointError
        If the folder is another project's, is in use, or cannot be read.
    """

    def __init__(
        self,
        model: SegmentationModel,
        folder: Path,
        *,
        project: int = 0,
        size: int,
        prompt: Adapted | None = None,
        fit: str = "stretch",
        every: int = 5,
        most_questions: int | None = None,
        asked: int = 1,
    ) -> None:
        self.folder, self.size, self.fit = Path(folder), integer("size", size, 8), check_fit(fit)
        self.every, self.asked, self.trouble = integer("every", every, 1), integer("asked", asked, 1), ""
        trained = prompt.trained if isinstance(prompt, RefinedPrompt) else prompt
        self._start = prompt.refiner if isinstance(prompt, RefinedPrompt) else None
        box = as_black_box(model)
        shown = box if trained is None else Shaded(box, trained)
        Project(shown.label, shown.name, self.size, self.fit, project).claim(self.folder)
        self._lock = Lock(
            self.folder / "lock", lambda holder: CheckpointError(f"{self.folder} is in use by another server{holder}")
        )
        try:
            self.records = Records(self.folder)
            views = 1 if trained is None else trained.prompt.views
            if most_questions is not None:
                left = integer("most_questions", most_questions, 0) - self.paid
                box = Budgeted(box, max(0, left) * views)
            shaded = box if trained is None else Shaded(box, trained)
            self._box = Cached(shaded, self.records.answers)
            self._locks = [threading.Lock() for _ in range(_LOCKS)]
            self._present = read_present(self.folder)
            self.served = Versions(self._made(0), "0")
            for number in read_versions(self.folder):
                self._put(number)
            self.served.use(str(self._present.number))
        except BaseException:
            self._lock.release()
            raise
        self._changed, self._wanted, self._closed = threading.Condition(), False, threading.Event()
        self._child: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._go_on, name="zoo-opt-seg learner", daemon=True)
        self._thread.start()

    # -------------------------------------------------------------------------------------------------------- answers

    @property
    def paid(self) -> int:
        """Questions that the black box has answered, in all runs."""
        return self.records.paid

    @property
    def present(self) -> Present:
        """Which version answers."""
        return self._present

    @property
    def name(self) -> str:
        """Of the version that answers, for Label Studio."""
        return f"version {self._present.number}"

    def answer(self, task: int, image: Image.Image, prompts: Prompts) -> Array:
        """Return the probability of the object in each pixel, float32 (H, W), and keep the question.

        Parameters
        ----------
        task : int
            Of Label Studio.
        image : Image
            RGB.
        prompts : Prompts
            One row, in pixels of the image.

        Raises
        ------
        ValueError
            If a point lies outside of the image.
        NotServed, Refused, BlackBoxError
            If the black box does not answer, `Refused` where it would be a call too many.
        """
        fit = Fit(self.size, image.size, self.fit)
        check_inside(prompts, fit.shown)
        segmenter = self.served.current.segmenter
        shown = segmenter.fitted(fit.picture(image), prompts, fit)
        asked = replace(shown, prompts=question(shown.prompts, self.asked))
        picture = self.records.add_picture(shown.image)
        with self._locks[zlib.crc32(picture.encode() + asked.prompts.key(0)) % _LOCKS]:
            mask = segmenter.answer(shown)
        self.records.add_question(task, asked, picture)
        return mask

    def labelled(self, task: int, annotation: int, results: list[dict[str, Any]]) -> None:
        """Take what was submitted, see `Records.add_label`; the next version is learnt when there is enough."""
        if self.records.add_label(task, annotation, results):
            with self._changed:
                self._changed.notify_all()

    def unlabelled(self, annotation: int) -> None:
        """Forget an annotation that was deleted."""
        self.records.drop_label(annotation)

    # ------------------------------------------------------------------------------------------------------- versions

    def versions(self) -> dict[int, Mapping[str, Any]]:
        """Return what is said of each version, the black box as it is first."""
        return {0: {}, **read_versions(self.folder)}

    def use(self, number: int, hold: bool = True) -> None:
        """Have a version answer; with ``hold`` newer ones do not take its place until another call lets it go.

        Raises
        ------
        ValueError
            If there is no such version.
        """
        if number not in self.versions():
            raise ValueError(f"version must be one of 0 to {max(self.versions())}, got {number}")
        with self._changed:
            present = Present(number, hold)
            write_present(self.folder, present)
            self.served.use(str(number))
            self._present = present

    def let_go(self) -> None:
        """Have the newest version answer, now and from now on."""
        self.use(max(self.versions()), hold=False)

    def learn(self) -> None:
        """Have the next version learnt now, where there is anything to learn from."""
        with self._changed:
            self._wanted = True
            self._changed.notify_all()

    @property
    def learning(self) -> bool:
        """Whether a version is being learnt."""
        return self._child is not None

    @property
    def missing(self) -> int:
        """Labelled images that are missing for the next version."""
        last = max((about.get("images", 0) for about in read_versions(self.folder).values()), default=0)
        return max(0, max(last + self.every, LEAST) - len(self.records.usable))

    def close(self) -> None:
        """End: what is being learnt is given up; it is learnt again by the next server."""
        with self._changed:
            self._closed.set()
            if self._child is not None:
                self._child.kill()
            self._changed.notify_all()
        self._thread.join()
        self.records.close()
        self._lock.release()

    def _made(self, number: int) -> Segmenter:
        refiner: Refiner | None = read_refiner(self.folder, number) if number else self._start
        box = self._box if refiner is None else Refined(self._box, refiner)
        return Segmenter(FollowingClicks(box, self.asked), None, self.size, self.fit)

    def _put(self, number: int) -> None:
        """Have a version of the folder there to be asked for."""
        self.served.put(self._made(number), str(number), self.versions()[number], use=False)

    def _go_on(self) -> None:
        failed = -1  # labelled images with which learning failed: it is tried again with more
        while True:
            with self._changed:
                while not (self._closed.is_set() or self._wanted or self._due(failed)):
                    self._changed.wait()
                if self._closed.is_set():
                    return
                self._wanted = False
            count = len(self.records.usable)
            try:
                self.trouble = self._learn()
            except Exception as error:  # no memory for a process, a full disk: people are answered all the same
                self.trouble, self._child = hidden(f"learning failed: {error}")[:300], None
            failed = count if self.trouble else -1

    def _due(self, failed: int) -> bool:
        """Return whether there is enough for a version, and more than what it failed with."""
        return not self.missing and len(self.records.usable) > failed

    def _learn(self) -> str:
        """Have the next version learnt by a process of its own, and take it; return what went wrong."""
        number = max(self.versions()) + 1
        command = [sys.executable, "-m", "zoo_opt_seg.serve.label_studio.learning", str(self.folder), str(number)]
        pipe = subprocess.PIPE
        with self._changed:
            if self._closed.is_set():
                return ""
            self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        with self._child as child:
            assert child.stdout is not None and child.stderr is not None
            out, lines = child.stdout.read(), child.stderr.read().strip().splitlines()  # a few: neither fills its pipe
        self._child = None
        if self._closed.is_set():
            return ""
        if child.returncode:
            said = lines[-1] if lines else "it said nothing"
            return hidden(f"learning failed with status {child.returncode}: {said}")[:300]
        if json.loads(out) is None:
            return f"there is too little to learn from: {LEAST} images must have clicks and a brush mask about them"
        self._put(number)
        if not self._present.held:
            self.use(number, hold=False)
        return ""

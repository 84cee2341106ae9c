"""A comparator of another package: Platt's scaling of a black box's logits, trained with the gradient."""

from functools import partial

import torch

from zoo_opt_seg.blackbox.protocol import BlackBox
from zoo_opt_seg.whitebox import Comparator, Recipe, Trained, TrainingSettings, WeightsTraining

RECIPE = Recipe(epochs=5, batch=8, lr=0.1, stop_after=None)  # a row's settings change it


class Scaled(BlackBox):
    """sigmoid(a logit + b) of another model's logits (Platt 1999)."""

    def __init__(self, model):
        self.model, self.prompted_by, self.device = model, model.prompted_by, model.device
        self.name = f"scaled-{model.name}"
        self.ab = torch.tensor([1.0, 0.0], requires_grad=True)

    def logits(self, images, prompts):  # what is trained, on tensors
        with torch.no_grad():
            logits = self.model.logits(images, prompts)
        a, b = self.ab
        return a * logits + b

    def __call__(self, images, prompts):  # what is measured, on arrays
        p = torch.from_numpy(self.model(images, prompts)).clamp(1e-6, 1 - 1e-6)
        a, b = self.ab.detach()
        return torch.sigmoid(a * torch.logit(p) + b).numpy()


def train(request):
    """What a row asks for, trained and ready to be measured."""
    box, training = Scaled(request.model), TrainingSettings(**request.training)
    task = training.task(partial(WeightsTraining, box, request.splits, "scale and shift", lambda: {"ab": box.ab}))
    return Trained(box, training.run(task))


COMPARATOR = Comparator(
    name="platt",
    about="scale and shift of the logits",
    factory="outside.comparator:train",
    recipe="outside.comparator:RECIPE",
    part="logits",  # which its black box must have
    model="a model with a gradient",
    needs=("torch",),
)

"""Correcting a black box's answers by a small network of one's own, trained on a few hundred of them."""

from zoo_opt_seg.refine.answers import Answers, Silent, ask
from zoo_opt_seg.refine.clicks import FollowingClicks, corrections, followed, question
from zoo_opt_seg.refine.prompted import RefinedPrompt
from zoo_opt_seg.refine.refiner import Refined, Refiner, load_refiner
from zoo_opt_seg.refine.training import RECIPE, train_refiner

__all__ = [
    "RECIPE",
    "Answers",
    "FollowingClicks",
    "Refined",
    "RefinedPrompt",
    "Refiner",
    "Silent",
    "ask",
    "corrections",
    "followed",
    "load_refiner",
    "question",
    "train_refiner",
]

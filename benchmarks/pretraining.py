"""What the scripts share that train the embedded models: the loop, which resumes, its rate, and the options."""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo_opt_seg.embedded.weights import load_weights

LR, CLIP = 1e-3, 1.0
FALL = 1500
HELD_OUT_SEED = 1_000_001


def cosine(step: int, steps: int, warm_up: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    warm_up = min(warm_up, steps // 10 + 1)
    if step < warm_up:
        return LR * (step + 1) / warm_up
    return LR * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up)))


def late_fall(step: int, steps: int, warm_up: int) -> float:
    """Linear warm-up, then constant, then linear to zero in the last FALL steps.

    Until those, a step is the same whatever their number.
    """
    warm, fall = min(1.0, (step + 1) / warm_up), min(1.0, (steps - step) / min(FALL, steps))
    return LR * min(warm, fall)


def muon(matrices: list[nn.Parameter], others: list[nn.Parameter]) -> list[torch.optim.Optimizer]:
    """Muon (torch >= 2.9) for the matrices of transformers, AdamW for the rest; the rates are comparable."""
    orthogonal = torch.optim.Muon(matrices, lr=LR, weight_decay=0.03, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    return [orthogonal, torch.optim.AdamW(others, lr=LR, betas=(0.9, 0.98), weight_decay=0.0, fused=True)]


def adamw(model: nn.Module) -> list[torch.optim.Optimizer]:
    """AdamW for all, the weights of layers decayed: where a CPU has no bf16, Muon's step takes ten times a step."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 0.03}, {"params": others, "weight_decay": 0.0}]
    return [torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.98), fused=True)]


def mixed_waves(side: int, width: int, seed: int) -> Tensor:
    """A start for the position embedding of a square of patches, (side, side, width): random mixtures of waves."""
    place = (torch.arange(side) + 0.5)[:, None] / side
    phase = math.pi * place * torch.tensor([0.5, 1, 2, 3, 4, 5])
    waves = torch.cat([phase.sin(), phase.cos()], dim=1)
    both = torch.cat([waves[None].expand(side, -1, -1), waves[:, None].expand(-1, side, -1)], dim=2)
    return both @ (0.06 * torch.randn(both.shape[2], width, generator=torch.Generator().manual_seed(seed)))


def go_on(
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    out: Path,
    run: tuple[int, int, int],
    stop_at: int | None,
    every: int,
    warm_up: int,
    draw: Callable[[], Any],
    loss_of: Callable[[Any, int], Tensor],
    measured: Callable[[], dict[str, float]],
    save: Callable[[], None],
    rate: Callable[[int, int, int], float] = cosine,
) -> None:
    """Train from where ``out`` stands to the last step, or to ``stop_at``, as if killed after that step.

    ``run`` is (steps, scenes, seed), which a checkpoint must agree with. ``loss_of(draw(), step)`` is minimised. Every
    ``every`` steps, and at the end, what is ``measured`` goes into the log, and ``save`` is called. ``rate`` is that of
    a step, of so many, the first of which warm up.
    """
    steps, scenes, seed = run
    out.mkdir(parents=True, exist_ok=True)
    first, spent, began, checkpoint = 0, 0.0, time.process_time(), out / "checkpoint.pt"
    if checkpoint.is_file():
        state = torch.load(checkpoint, weights_only=True)
        if (state["steps"], state["scenes"], state["seed"]) != run:
            raise SystemExit(f"{checkpoint} belongs to a run with other --steps, --scenes or --seed")
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        first, spent = state["step"], state["cpu_seconds"]
    drawn = draw() if first < steps else None
    running = 0.0
    for step in range(first, steps if stop_at is None else min(stop_at, steps)):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate(step, steps, warm_up)
        loss = loss_of(drawn, step)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for optimizer in optimizers:
            optimizer.step()
        running = loss.item() if step == first else 0.98 * running + 0.02 * loss.item()
        done = step + 1
        if done % every == 0 or done in (steps, stop_at):
            figures = {name: round(value, 4) for name, value in measured().items()}
            cpu = spent + time.process_time() - began
            line = json.dumps({"step": done, "loss": round(running, 4), **figures, "cpu_minutes": round(cpu / 60, 2)})
            print(line, flush=True)
            with (out / "log.jsonl").open("a") as log:
                log.write(line + "\n")
            states = [optimizer.state_dict() for optimizer in optimizers]
            state = {"model": model.state_dict(), "optimizers": states, "step": done, "cpu_seconds": cpu}
            torch.save(
                {**state, "steps": steps, "scenes": scenes, "seed": seed}, part := checkpoint.with_suffix(".part")
            )
            os.replace(part, checkpoint)
            save()


def trained(args: argparse.Namespace, train: Callable[..., Any], file: str) -> Any:
    """What a script's ``train`` makes of its options, with the weights as they are stored, whose size is printed."""
    model = train(args.out, args.steps, args.scenes, args.seed, args.stop_at, args.every)
    weights = args.out / file
    load_weights(model, weights)
    print(f"{weights}: {weights.stat().st_size / 1e6:.2f} MB")
    return model


def options(
    description: str | None, out: str, *, steps: int, scenes: int, every: int, pictures: Path | None = None
) -> argparse.Namespace:
    """The command line of a script, with these defaults; sets torch to one thread."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--scenes", type=int, default=scenes, help="drawn once, used again in other guises")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=every, help="steps between two saves")
    parser.add_argument("--stop-at", type=int, help="stop after this step; a later call goes on")
    parser.add_argument("--ship", action="store_true", help="put the weights into the package")
    if pictures is not None:
        parser.add_argument("--pictures", type=Path, default=pictures, help="folder of medical and photos")
    torch.set_num_threads(1)
    return parser.parse_args()

"""Fine-tune the adapter of a language model by loss values, with transformers' own trainer.

A small GPT-2, made and taught on the spot to count in ones, is to count in twos. Its LoRA adapter is trained without a
gradient: `ZOTrainer` is `transformers.Trainer` whose steps are made from losses, in place, so that it takes the memory
of inference, and every bit of a run can be had again. B of LoRA starts at zero: `scale` says how large its numbers are.

Needs the extras `torch` and `seg`, for transformers and peft. More: docs/torch.md.
"""

import tempfile
import warnings
from typing import Any

import peft
import torch
from transformers import GPT2Config, GPT2LMHeadModel, TrainingArguments
from transformers.utils import logging

import zoo_opt as zo


def counting(n: int, by: int) -> list[dict[str, torch.Tensor]]:
    """Return n rows of 16 numbers that count on by ``by``, modulo 32."""
    starts = torch.randint(32, (n, 1), generator=torch.Generator().manual_seed(by))
    return [{"input_ids": row, "labels": row} for row in (starts + by * torch.arange(16)) % 32]


def taught() -> GPT2LMHeadModel:
    """Return a model of 28,000 parameters that counts in ones."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 32, "n_positions": 16, "n_embd": 32, "n_layer": 2, "n_head": 2}
    others: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "pad_token_id": 0}
    model = GPT2LMHeadModel(GPT2Config(**sizes, **others, bos_token_id=0, eos_token_id=0))
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    rows = torch.stack([row["input_ids"] for row in counting(64, by=1)])
    for _ in range(150):
        optimizer.zero_grad()
        model(input_ids=rows, labels=rows).loss.backward()
        optimizer.step()
    return model


def main() -> None:
    """Teach it to count in twos."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # what transformers and peft say of each other
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    lora = peft.LoraConfig(r=4, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True)
    model = peft.get_peft_model(taught(), lora)
    with tempfile.TemporaryDirectory() as folder:
        quiet: dict[str, Any] = {"disable_tqdm": True, "logging_strategy": "no", "save_strategy": "no", "report_to": []}
        args = TrainingArguments(folder, use_cpu=True, per_device_train_batch_size=32, max_steps=200, **quiet)
        method = zo.FZOO.untuned(scale=0.1)
        train, test = counting(256, by=2), counting(32, by=2)
        trainer = zo.torch.ZOTrainer(model, args, train_dataset=train, eval_dataset=test, method=method)
        print(f"loss before {trainer.evaluate()['eval_loss']:.3f}")
        trainer.train()
        print(f"after {trainer.zeroth_order.trainer.cost.forwards} forwards {trainer.evaluate()['eval_loss']:.3f}")
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    print(f"{trained} numbers trained, gradients: {sum(p.grad is not None for p in model.parameters())}")


if __name__ == "__main__":
    main()

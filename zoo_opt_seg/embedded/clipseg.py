"""A CLIPSeg for images of 96 pixels, built from the classes of ``transformers``, and its tokenizer.

It is trained by ``benchmarks/pretrain_clipseg.py`` on source scenes with texts and stored as float16 in
``clipseg.safetensors``. The texts are divided into tokens by open_clip's byte-pair encoding; of its 49,408 tokens those
that occur in the training texts have an embedding (``clipseg_tokens.json`` lists them), and all others share one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo_opt_seg.embedded.size import TINY_SIZE
from zoo_opt_seg.embedded.weights import stored

if TYPE_CHECKING:
    from transformers import CLIPSegForImageSegmentation

WEIGHTS = Path(__file__).with_name("clipseg.safetensors")
TOKENS = Path(__file__).with_name("clipseg_tokens.json")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the pixels, as in the released CLIPSeg's processor."""

LENGTH = 32  # tokens of a text, those of its start and end included
UNKNOWN, PADDING, FIRST = 0, 1, 2  # rows of the embedding: all other tokens, none, the first of those kept
START, END, BPE = 49406, 49407, 49408  # open_clip's numbers of the two marks, and how many numbers it has


def build_tiny_clipseg(tokens: int | None = None) -> CLIPSegForImageSegmentation:
    """The tiny CLIPSeg with random weights, drawn from torch's global generator; in training mode.

    Parameters
    ----------
    tokens : int, optional
        Number of tokens with an embedding of their own; those of the shipped list without.

    Returns
    -------
    transformers.CLIPSegForImageSegmentation
        Images of 96 x 96, patches of 8; both encoders have 6 layers, of width 96 and 64; skip connections from the
        layers 2, 4 and 6; logits of 48 x 48; 1.0 M parameters.

    Notes
    -----
    As in the released model, the decoder is the refined one (``use_complex_transposed_convolution``), with
    ``reduce_dim`` 64; patches of 8 make it enlarge by 4, to half the image's side.
    """
    from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

    count = FIRST + (len(kept_tokens()) if tokens is None else tokens)
    both: dict[str, Any] = {"num_hidden_layers": 6, "num_attention_heads": 4}
    # The text is pooled at the first token with the number of the end.
    tokens_config = {"pad_token_id": PADDING, "bos_token_id": count - 2, "eos_token_id": count - 1}
    tokens_config |= {"vocab_size": count, "max_position_embeddings": LENGTH}
    text = {"hidden_size": 64, "intermediate_size": 128, **both, **tokens_config}
    vision = {"hidden_size": 96, "intermediate_size": 288, **both, "image_size": TINY_SIZE, "patch_size": 8}
    decoder: dict[str, Any] = {"reduce_dim": 64, "decoder_num_attention_heads": 4, "decoder_intermediate_size": 128}
    decoder |= {"projection_dim": 64, "extract_layers": [1, 3, 5], "use_complex_transposed_convolution": True}
    config = CLIPSegConfig(text_config=text, vision_config=vision, **decoder)
    return CLIPSegForImageSegmentation(config).train()


def tiny_clipseg() -> CLIPSegForImageSegmentation:
    """The trained tiny CLIPSeg, in evaluation mode and float32.

    Returns
    -------
    transformers.CLIPSegForImageSegmentation
        A new module, whose parameters the caller may freeze or train. It was trained to be asked by text; asking it by
        an image (``conditional_pixel_values``) was not trained.

    Raises
    ------
    FileNotFoundError, ValueError
        If the weights are missing or of another model.
    """
    return stored(build_tiny_clipseg, WEIGHTS)


@lru_cache(maxsize=1)
def kept_tokens() -> tuple[int, ...]:
    """open_clip's numbers of the tokens with an embedding of their own, ascending; the last two are start and end."""
    if not TOKENS.is_file():
        raise FileNotFoundError(f"the embedded vocabulary {TOKENS} is missing")
    return tuple(json.loads(TOKENS.read_text())["tokens"])


def tokens_of(texts: Iterable[str]) -> tuple[int, ...]:
    """open_clip's numbers of the tokens that occur in texts, ascending, with those of start and end."""
    from open_clip import tokenize

    numbers = {START, END}
    for text in texts:
        row = tokenize([text], context_length=LENGTH)[0].tolist()
        numbers.update(row[: row.index(END)])
    return tuple(sorted(numbers))


class TinyTokenizer:
    """Texts to token numbers of the tiny CLIPSeg.

    Parameters
    ----------
    kept : sequence of int
        open_clip's numbers of the tokens with an embedding of their own, ascending, start and end among them.
    """

    def __init__(self, kept: Sequence[int]) -> None:
        self.rows = torch.full((BPE,), UNKNOWN)
        self.rows[list(kept)] = torch.arange(FIRST, FIRST + len(kept))

    def __call__(self, texts: str | Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token numbers and which of them are tokens.

        Parameters
        ----------
        texts : str or sequence of str, length n
            In any case; what is longer than 30 tokens is cut. A token that the model was not trained with has the
            number 0, whose embedding stands for any such token; `unknown` tells the words.

        Returns
        -------
        input_ids, attention_mask : Tensor of int64, shape (n, 32)
            The mask is 1 up to the end-of-text token.
        """
        from open_clip import tokenize

        numbers = tokenize([texts] if isinstance(texts, str) else list(texts), context_length=LENGTH)
        places = torch.arange(LENGTH)
        present = places <= (numbers == END).int().argmax(dim=1, keepdim=True)
        return self.rows[numbers].where(present, PADDING), present.long()

    def unknown(self, text: str) -> tuple[str, ...]:
        """The words of a text that hold a token without an embedding of its own."""
        return tuple(word for word in text.split() if (self(word)[0] == UNKNOWN).any())


def tiny_tokenizer() -> TinyTokenizer:
    """The tokenizer of the tiny CLIPSeg.

    Raises
    ------
    FileNotFoundError
        If the list of its tokens is missing.
    """
    return TinyTokenizer(kept_tokens())

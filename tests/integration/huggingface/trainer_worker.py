"""One rank of a run of Hugging Face's Trainer by its own SMP path, compared with a plain loop. Argument: a folder."""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed
from transformers.utils import is_sagemaker_mp_enabled

import smdistributed.modelparallel.torch as smp

STEPS, BATCH, LENGTH, VOCABULARY = 10, 4, 16, 64


class Recording(Trainer):
    """Keeps what each step saw and its loss, which the Trainer's own log rounds to four digits."""

    def training_step(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        loss = super().training_step(model, inputs)
        self.__dict__.setdefault("seen", []).append((inputs["input_ids"].clone(), loss.item()))
        return loss


def serial(model: GPT2LMHeadModel, batches: list[list[torch.Tensor]]) -> list[list[float]]:
    """Losses of each step, one a replica: microbatches in order, averaged over microbatches and replicas."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    count, losses = smp.state.cfg.microbatches, []
    for replicas in batches:
        optimizer.zero_grad()
        losses.append([0.0] * len(replicas))
        for replica, batch in enumerate(replicas):
            for part in batch.chunk(count):
                loss = model(input_ids=part, labels=part).loss
                (loss / count / len(replicas)).backward()
                losses[-1][replica] += loss.item() / count
        optimizer.step()
    return losses


def main() -> None:
    assert is_sagemaker_mp_enabled()
    arguments = TrainingArguments(
        output_dir=sys.argv[1],
        max_steps=STEPS,
        per_device_train_batch_size=BATCH,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        optim="adamw_torch",
        max_grad_norm=0,
        no_cuda=True,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    set_seed(3)
    sizes = {"vocab_size": VOCABULARY, "n_positions": LENGTH, "n_embd": 32, "n_layer": 4, "n_head": 2}
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = GPT2LMHeadModel(GPT2Config(**sizes, **none, use_cache=False, bos_token_id=0, eos_token_id=0))
    reference = copy.deepcopy(model)
    rows = torch.randint(0, VOCABULARY, (STEPS * BATCH * 2, LENGTH))
    trainer = Recording(model, arguments, train_dataset=[{"input_ids": r, "labels": r} for r in rows])
    trainer.train()
    assert isinstance(trainer.model_wrapped, smp.model.DistributedModel)
    assert trainer.model_wrapped.partitioned
    assert len(trainer.seen) == STEPS
    everyone = smp.allgather([batch for batch, _ in trainer.seen], smp.CommGroup.DP_GROUP)
    expected = serial(reference, [list(step) for step in zip(*everyone, strict=True)])
    for step, ((_, loss), losses) in enumerate(zip(trainer.seen, expected, strict=True)):
        right = losses[smp.dp_rank()]
        assert abs(loss - right) <= 1e-5 * abs(right), (step, loss, right)
    print(f"equal losses rank={smp.rank()}", flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()

"""One rank of Hugging Face's Trainer by its own SMP path: train, evaluate, save, resume. Argument: a folder."""

from __future__ import annotations

import copy
import sys
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments, set_seed
from transformers.utils import is_sagemaker_mp_enabled

import smdistributed.modelparallel.torch as smp

STEPS, SAVED_AT, BATCH, LENGTH, VOCABULARY, EVALUATED = 8, 4, 4, 16, 64, 16


class Recording(Trainer):
    """Keeps what each step saw and its loss, which the Trainer's own log rounds to four digits."""

    def training_step(self, model: Any, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        loss = super().training_step(model, inputs)
        self.__dict__.setdefault("seen", []).append((inputs["input_ids"].clone(), loss.item()))
        return loss


def serial(model: GPT2LMHeadModel, batches: list[list[torch.Tensor]]) -> list[list[float]]:
    """Losses of each step, one a replica: microbatches in order, averaged over microbatches and replicas."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / STEPS)
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
        schedule.step()
    return losses


def trainer_of(folder: str, seed: int, rows: torch.Tensor) -> tuple[Recording, GPT2LMHeadModel]:
    """A Trainer as a script makes it, and a copy of its model as it was."""
    arguments = TrainingArguments(
        output_dir=folder,
        max_steps=STEPS,
        per_device_train_batch_size=BATCH,
        per_device_eval_batch_size=BATCH,
        learning_rate=1e-3,
        lr_scheduler_type="linear",
        optim="adamw_torch",
        max_grad_norm=0,
        no_cuda=True,
        logging_steps=1,
        save_strategy="steps",
        save_steps=SAVED_AT,
        report_to=[],
        disable_tqdm=True,
    )
    set_seed(seed)
    sizes = {"vocab_size": VOCABULARY, "n_positions": LENGTH, "n_embd": 32, "n_layer": 4, "n_head": 2}
    none = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    model = GPT2LMHeadModel(GPT2Config(**sizes, **none, use_cache=False, bos_token_id=0, eos_token_id=0))
    smp.state.model = smp.state.optimizer = None  # one model a script; the test makes several
    samples = [{"input_ids": row, "labels": row} for row in rows]
    return Recording(
        model, arguments, train_dataset=samples, eval_dataset=samples[:EVALUATED]
    ), copy.deepcopy(model)


def close(a: float, b: float) -> bool:
    return abs(a - b) <= 1e-5 * abs(b)


def main() -> None:
    assert is_sagemaker_mp_enabled()
    folder = sys.argv[1]
    rows = torch.randint(
        0, VOCABULARY, (STEPS * BATCH * 2, LENGTH), generator=torch.Generator().manual_seed(5)
    )
    trainer, reference = trainer_of(folder, 3, rows)
    trainer.train()
    assert isinstance(trainer.model_wrapped, smp.model.DistributedModel)
    assert trainer.model_wrapped.partitioned
    assert len(trainer.seen) == STEPS
    everyone = smp.allgather([batch for batch, _ in trainer.seen], smp.CommGroup.DP_GROUP)
    expected = serial(reference, [list(step) for step in zip(*everyone, strict=True)])
    for step, ((_, loss), losses) in enumerate(zip(trainer.seen, expected, strict=True)):
        assert close(loss, losses[smp.dp_rank()]), (step, loss, losses)
    print(f"equal losses rank={smp.rank()}", flush=True)

    with torch.no_grad():
        reference.eval()
        right = sum(reference(input_ids=r[None], labels=r[None]).loss.item() for r in rows[:EVALUATED])
    evaluated = trainer.evaluate()["eval_loss"]
    assert close(evaluated, right / EVALUATED), (evaluated, right / EVALUATED)
    print(f"equal evaluation rank={smp.rank()}", flush=True)

    resumed, _ = trainer_of(folder, 99, rows)
    resumed.train(resume_from_checkpoint=f"{folder}/checkpoint-{SAVED_AT}")
    assert len(resumed.seen) == STEPS - SAVED_AT
    for (batch, loss), (whole, uninterrupted) in zip(resumed.seen, trainer.seen[SAVED_AT:], strict=True):
        assert torch.equal(batch, whole)
        assert close(loss, uninterrupted), (loss, uninterrupted)
    assert close(resumed.evaluate()["eval_loss"], evaluated)
    print(f"resumed rank={smp.rank()}", flush=True)
    smp.barrier()


if __name__ == "__main__":
    main()

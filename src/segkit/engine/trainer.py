"""The training loop."""

import math
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import NoReturn, cast

import torch

from segkit import dist
from segkit.build import (
    build_criterion,
    build_loader,
    build_mixer,
    build_optimizer,
    build_preprocessor,
    build_scheduler,
    build_segmentor,
    memory_format,
)
from segkit.checkpoint import load_weights, read_checkpoint
from segkit.config.segmentor import SegmentorConfig
from segkit.data.scan import scan_labels
from segkit.engine.amp import Precision
from segkit.engine.checkpoints import Checkpoints
from segkit.engine.diagnostics import Diagnostics
from segkit.engine.distribute import distribute
from segkit.engine.ema import Ema
from segkit.engine.evaluator import Evaluator
from segkit.engine.faults import machine_faults
from segkit.engine.finite import FiniteGuard
from segkit.engine.heartbeat import Alone, Heartbeat
from segkit.engine.log import RunLog
from segkit.engine.progress import Progress
from segkit.engine.report import write_report
from segkit.engine.resuming import notes_on, resume_source
from segkit.engine.run import RunFolder, RunResult, write_stop
from segkit.engine.seeds import seed_init, seed_step
from segkit.engine.showcase import Showcase
from segkit.engine.signals import Reason, StopSignals, stopped
from segkit.engine.starting import init_weights
from segkit.engine.state import TrainState, flat_metrics, read_scores
from segkit.engine.step import TrainModel, TrainStep
from segkit.engine.watch import Report, Watch
from segkit.inference.options import inference_options
from segkit.metrics.scores import Scores
from segkit.types import Batch


class Trainer:
    """Trains one model, alone or as one of several processes.

    Args:
        config: all options.
        folder: of the run; it exists.
        device: where to compute.
        peers: the other processes; None if there are none.

    Raises:
        SegkitError: if the data, the model or the checkpoint to go on from cannot be used; nothing is written then.
    """

    def __init__(
        self,
        config: SegmentorConfig,
        folder: RunFolder,
        device: torch.device,
        peers: Alone | Heartbeat | None = None,
    ) -> None:
        self.config = config
        self.peers = peers or Alone()
        self.folder = folder
        self.device = device
        self.is_main = dist.rank() == 0
        self.resumes_from = resume_source(config, folder)
        self.notes: list[str] = []
        self._build_data()
        self._build_model()
        self._build_records()
        self._resume()

    def _build_data(self) -> None:
        config = self.config
        self.loader = build_loader(config, "train")
        self.eval_loader = build_loader(config, "val")
        self.info = self.eval_loader.source.dataset.info
        if self.is_main and self.resumes_from is None:
            skip = config.dataset.on_error == "skip"
            report = scan_labels(self.loader.source.dataset, config.trainer.scan_samples, skip_errors=skip)
            report.require_clean()
            self.notes += [f"labels: {warning}" for warning in report.warnings]
        layout = memory_format(config, self.device)
        self.preprocess = build_preprocessor(config, layout).to(self.device)
        self.scheduler = build_scheduler(config.scheduler, self.loader.steps_per_epoch)
        self.total_steps = self.scheduler.total_steps

    def _build_model(self) -> None:
        config = self.config
        self.precision = Precision(config.amp, self.device)
        seed_init(config.trainer.seed)
        layout = memory_format(config, self.device)
        model = build_segmentor(config, training=True)
        self.model = model.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        if config.trainer.init_from is not None and self.resumes_from is None:
            source, strict = config.trainer.init_from, config.trainer.init_strict
            self.notes.append(init_weights(self.model, source, strict=strict))
        self.ema = Ema(config.ema, self.model) if config.ema.enabled else None
        self.optimizer = build_optimizer(config.scheduler.optimizer, self.model)
        network = TrainModel(self.model, build_criterion(config), self.precision).to(self.device)
        if config.trainer.compile:
            network.compile_network()
        joined = distribute(network, self.device) if dist.is_distributed() else network
        self.step = TrainStep(
            joined, self.preprocess, self.optimizer, self.precision, config.trainer, self.device, build_mixer(config)
        )

    def _build_records(self) -> None:
        config = self.config
        self.watch = Watch(self.device)
        self.signals = StopSignals(config.trainer.max_hours, config.trainer.grace_s)
        self.evaluator = Evaluator(
            self.eval_loader,
            self.preprocess,
            inference_options(config),
            num_classes=len(self.info.names),
            precision=self.precision,
            device=self.device,
        )
        self.checkpoints = Checkpoints(self.folder, config.trainer.keep_checkpoints)
        self.log = RunLog(
            self.folder,
            config,
            total_steps=self.total_steps,
            total_epochs=self.scheduler.total_epochs,
            speaks=self.is_main,
        )
        self.finite = FiniteGuard(
            config.trainer.non_finite, scales=self.precision.scales, say=self.log.say, last_good=self._last_good
        )
        self.showcase = Showcase(self.log, self.info, len(self.eval_loader.source.dataset))
        self.diagnostics = Diagnostics(self.info.names, config.dataloader, say=self.log.say)
        self.state = TrainState(
            config,
            self.info,
            self.model,
            self.ema,
            self.optimizer,
            self.precision.scaler,
            self.log.meter,
            self.loader.steps_per_epoch,
        )

    def _resume(self) -> None:
        self.progress = Progress()
        self.saved_step = -1
        self.scores: dict[str, Scores] = {}
        if self.resumes_from is not None:
            payload = read_checkpoint(self.resumes_from)
            self.progress = self.state.load(payload, self.resumes_from)
            self.scores = read_scores(payload)
            self.saved_step = self.progress.step if self.resumes_from == self.folder.last else -1
            self.notes.append(f"going on from {self.resumes_from} after step {self.progress.step}")
            self.notes += notes_on(payload, self.config)
        if self.progress.step < self.loader.steps_per_epoch:
            self.diagnostics.horizon = self.loader.steps_per_epoch
        self.began = time.perf_counter() - self.progress.time_s

    def fit(self) -> RunResult:
        """Trains to the end, evaluating and saving along the way.

        Raises:
            TrainingStopped: a signal asked to stop; the state is saved.
            TrainingError: the loss is not finite.
        """
        self.model.train()
        if self.is_main:
            self.folder.metrics.unlink(missing_ok=True)  # they say that a run is complete
            self.folder.stopped.unlink(missing_ok=True)
            self.showcase.alive()
        with self.signals, machine_faults(self._last_good), closing(self._batches()) as batches:
            self._settle()
            with self.log.open(self.progress):
                return self._train(batches)

    def _train(self, batches: Iterable[Sequence[Batch]]) -> RunResult:
        self.log.say(f"run folder: {self.folder.path}")
        self.introduce()
        if self._evaluation_due():  # the run was cut off in the middle of it
            self._evaluate()
        for parts in self.log.watch.waiting(batches):
            self._train_step(parts)
            if self._save_due():
                self._save()
            if self._evaluation_due():
                self._evaluate()
        return self._finish()

    def _settle(self) -> None:
        """Finishes what a killed run may have left undone between writing ``last`` and its further names."""
        if self.is_main:
            self.checkpoints.tidy()
        if self.is_main and self.saved_step >= 0:
            progress = self.progress
            self.checkpoints.link(
                epoch=self._ended_epoch(), best=0 < progress.best_step == progress.step == progress.evaluated_step
            )

    def _finish(self) -> RunResult:
        """The result; rank 0 leaves the report."""
        self._digest(self.watch.all())
        progress, chosen = self.progress, self.folder.best if self.folder.best.exists() else self.folder.last
        best: dict[str, float] = {}
        if progress.best_value is not None:
            best = {"value": progress.best_value, "epoch": progress.best_epoch, "step": progress.best_step}
        result = RunResult(
            self.folder.path,
            metrics=flat_metrics(self.scores),
            best=best,
            checkpoint=chosen,
            step=progress.step,
            epoch=self._epoch(progress.step - 1),
            time_s=progress.time_s,
        )
        if self.is_main:
            self.log.end_bar()
            self._report(result)
        return result

    def _report(self, result: RunResult) -> None:
        """Table, curves and pictures of the checkpoint to use; the final figures come last, as they end the run."""
        payload = read_checkpoint(result.checkpoint)
        prefix = self.showcase.prefix
        load_weights(self.model, payload["ema" if prefix else "model"], result.checkpoint)
        scores = read_scores(payload)[prefix]
        self.showcase.finished(self.progress, scores, self.evaluator, self.model)
        write_report(self.log, result, scores, self.info, monitor=self.config.trainer.monitor)

    def _batches(self) -> Generator[Sequence[Batch]]:
        """The parts of each step that is still to do."""
        self._at_data()
        stream = cast("Generator[Batch]", self.loader.stream(self.progress.step))
        with closing(stream):
            for _ in range(self.total_steps - self.progress.step):
                yield list(islice(stream, self.config.trainer.accumulation_steps))
                self._at_data()

    def _at_data(self) -> None:
        self.peers.at(f"the data of step {self.progress.step + 1}")

    def _train_step(self, parts: Sequence[Batch]) -> None:
        done = self.progress.step
        self.peers.at(f"step {done + 1}")
        self.scheduler.apply(self.optimizer, done)
        seed_step(self.config.trainer.seed, rank=dist.rank(), step=done)
        rate, told = self.scheduler.lr_at(done), self.log.due(done + 1)
        outcome = self.step(parts, position=done, epoch=self._epoch(done), learning_rate=rate, want_norm=told)
        if self.ema and not outcome.skipped:
            self.ema.update()
        self.progress = replace(self.progress, step=done + 1)
        names = [name for part in parts for name in part.names]
        self.watch.post(done + 1, outcome, stop=self.signals.reason is not None, names=names)
        if self._digest(self.watch.ready()):
            self._save()
            reasons = [reason for reason in dist.gather_objects(self.signals.reason) if reason is not None]
            self._stop(Reason(*reasons[0]))

    def _digest(self, reports: Iterable[Report]) -> bool:
        """Logs finished steps; returns whether some process was asked to stop."""
        stop = False
        for report in reports:
            stop |= report.stop
            if not self.finite.passes(report):
                continue
            record = self.log.step(report, self._epoch(report.step - 1), self.scheduler.lr_at(report.step - 1))
            self.diagnostics.step(report)
            if record is not None:
                self.diagnostics.line(record, self.precision.loss_scale)
        return stop

    def _save_due(self) -> bool:
        step, config = self.progress.step, self.config.trainer
        in_epoch = config.save_interval_steps is not None and step % config.save_interval_steps == 0
        whole = step % self.loader.steps_per_epoch == 0 and self._epochs_done() % config.save_interval_epochs == 0
        return in_epoch or whole or step == self.total_steps

    def _save(self, *, best: bool = False) -> None:
        """Writes a checkpoint of this very step."""
        self._digest(self.watch.all())  # or the means of the log would miss a step, and a bad loss would be saved
        self.finite.require_weights(self.model, self.progress.step)
        self.progress = replace(self.progress, time_s=time.perf_counter() - self.began)
        if self.is_main:
            payload = self.state.to_payload(self.progress, self.scores)
            self.checkpoints.save(payload, epoch=self._ended_epoch(), best=best)
            self.showcase.alive()
        self.saved_step = self.progress.step

    def _evaluation_due(self) -> bool:
        step, every = self.progress.step, self.config.trainer.eval_interval_epochs
        ends = step > 0 and step % self.loader.steps_per_epoch == 0 and self._epochs_done() % every == 0
        return (ends or step == self.total_steps) and self.progress.evaluated_step != step

    def _evaluate(self) -> None:
        if self.saved_step != self.progress.step:
            self._save()  # so that nothing is lost if the run is stopped or killed in the middle of it
        name = f"the evaluation after step {self.progress.step}"
        self.peers.at(name)
        began = time.perf_counter()
        models = {"": self.model} | ({"ema/": self.ema.on(self.device)} if self.ema else {})
        gallery = self.showcase.gallery()
        self.scores = self.evaluator(
            models,
            check=partial(self._leave_if_asked, name),
            meet=partial(self._meet, name),
            tell=self.log.evaluating,
            gallery=gallery,
            shown=self.showcase.prefix,
        )
        self.model.train()
        seconds = time.perf_counter() - began
        metrics = flat_metrics(self.scores)
        value = metrics[self.config.trainer.monitor]
        best = not math.isnan(value) and (self.progress.best_value is None or value > self.progress.best_value)
        self.progress = replace(self.progress, evaluated_step=self.progress.step)
        epoch, step = self._epoch(self.progress.step - 1), self.progress.step
        if best:
            self.progress = replace(self.progress, best_value=value, best_epoch=epoch, best_step=step)
        self.log.validation(self.progress, epoch, self.scores, self.info, seconds=seconds, gallery=gallery)
        self._save(best=best)
        self.showcase.evaluated(self.progress, epoch, self.scores, gallery)

    def _asked(self) -> Reason | None:
        """Why to stop here and now, this process or another."""
        return self.signals.reason or self.peers.leaving

    def _leave_if_asked(self, name: str) -> None:
        reason = self._asked()
        if reason is not None:
            self._stop(self.peers.leave(name, reason) or reason)

    def _meet(self, name: str) -> None:
        """Goes on when all have finished, or stops with all of them: no process waits for one that has left."""
        reason = self.peers.meet(name, self._asked)
        if reason is not None:
            self._stop(reason)

    def _stop(self, reason: Reason) -> NoReturn:
        """Ends the training, of which this step is saved."""
        error = stopped(reason, self.progress.step, self.folder.path)
        if self.is_main:
            write_stop(self.folder, error, step=self.progress.step)
        raise error

    def _epoch(self, done: int) -> int:
        """The pass, counted from 1, that the step after ``done`` finished ones belongs to."""
        return done // self.loader.steps_per_epoch + 1

    def _epochs_done(self) -> int:
        return self.progress.step // self.loader.steps_per_epoch

    def _ended_epoch(self) -> int | None:
        """Passes done, if the last step was the last of one."""
        return None if self.progress.step % self.loader.steps_per_epoch else self._epochs_done()

    def _last_good(self) -> str:
        if not self.folder.last.exists():
            return "there is no checkpoint yet"
        return f"last checkpoint: {self.folder.last}" + (f" (step {self.saved_step})" if self.saved_step >= 0 else "")

    def introduce(self) -> None:
        """Says what is trained on what, and what is worth knowing of it."""
        config = self.config
        count = sum(p.numel() for p in self.model.parameters())
        self.log.say(
            f"{config.head.type} on {config.backbone.type}, {count / 1e6:.2f} M parameters; "  # type: ignore[attr-defined]
            f"{len(self.loader.source.dataset)} training and {len(self.eval_loader.source.dataset)} validation images; "
            f"{self.total_steps} steps of {config.dataloader.total_batch_size} images on "
            f"{dist.world_size()} x {self.device.type}"
        )
        for note in self.notes:
            self.log.say(note)
        self.diagnostics.schedule(self.scheduler, self.optimizer)

"""Optimisers, schedules, loaders, precision, averaging, the trainer and its logs."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from segkit.config.component import Choice, component
from segkit.config.loggers import MlflowConfig, WandbConfig

Share = Annotated[float, Field(ge=0, lt=1)]
Betas = tuple[Share, Share]


@component
class ParamsRuleConfig:
    """What is different for the parameters whose name contains a pattern."""

    lr_multiplier: NonNegativeFloat = 1.0
    """Factor of the learning rate."""
    wd_multiplier: NonNegativeFloat = 1.0
    """Factor of the weight decay."""


@component
class OptimizerConfig:
    """Updates the weights; the fields are those of the class of the same name in torch.optim."""

    group: ClassVar[str] = "scheduler/optimizer"

    lr: PositiveFloat = 0.01
    """Base learning rate."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay."""
    params_rules: dict[str, ParamsRuleConfig] = Field(default_factory=dict)
    """Part of a parameter's name -> its rule; the longest part that matches wins. ``norm`` also stands for the
    parameters of every normalisation layer and ``bias`` for every bias, whatever their names."""


@component
class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent with momentum."""

    type: Literal["SGD"] = "SGD"
    momentum: Share = 0.9
    """Share of the last step kept."""
    dampening: Share = 0.0
    """Share of the gradient left out of the momentum."""
    nesterov: bool = False
    """Nesterov's form."""


@component
class AdamConfig(OptimizerConfig):
    """Adam (Kingma and Ba, 2015, arXiv:1412.6980)."""

    type: Literal["Adam"] = "Adam"
    lr: PositiveFloat = 1e-3
    """Base learning rate."""
    betas: Betas = (0.9, 0.999)
    """Decay of the two running means."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""
    amsgrad: bool = False
    """Divide by the largest second moment so far."""


@component
class AdamWConfig(OptimizerConfig):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019, arXiv:1711.05101)."""

    type: Literal["AdamW"] = "AdamW"
    lr: PositiveFloat = 1e-3
    """Base learning rate."""
    weight_decay: NonNegativeFloat = 0.01
    """Weight decay."""
    betas: Betas = (0.9, 0.999)
    """Decay of the two running means."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""
    amsgrad: bool = False
    """Divide by the largest second moment so far."""


@component
class NAdamConfig(OptimizerConfig):
    """Adam with Nesterov's momentum."""

    type: Literal["NAdam"] = "NAdam"
    lr: PositiveFloat = 2e-3
    """Base learning rate."""
    betas: Betas = (0.9, 0.999)
    """Decay of the two running means."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""
    momentum_decay: NonNegativeFloat = 4e-3
    """Decay of the momentum."""


@component
class RAdamConfig(OptimizerConfig):
    """Rectified Adam (Liu et al., 2020, arXiv:1908.03265)."""

    type: Literal["RAdam"] = "RAdam"
    lr: PositiveFloat = 1e-3
    """Base learning rate."""
    betas: Betas = (0.9, 0.999)
    """Decay of the two running means."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""


@component
class AdamaxConfig(OptimizerConfig):
    """Adam with the infinity norm."""

    type: Literal["Adamax"] = "Adamax"
    lr: PositiveFloat = 2e-3
    """Base learning rate."""
    betas: Betas = (0.9, 0.999)
    """Decay of the two running means."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""


@component
class AdadeltaConfig(OptimizerConfig):
    """Adadelta (Zeiler, 2012, arXiv:1212.5701)."""

    type: Literal["Adadelta"] = "Adadelta"
    lr: PositiveFloat = 1.0
    """Base learning rate."""
    rho: Share = 0.9
    """Decay of the running mean."""
    eps: PositiveFloat = 1e-6
    """Added to the denominator."""


@component
class AdagradConfig(OptimizerConfig):
    """Adagrad (Duchi et al., 2011)."""

    type: Literal["Adagrad"] = "Adagrad"
    lr_decay: NonNegativeFloat = 0.0
    """Decay of the learning rate."""
    initial_accumulator_value: NonNegativeFloat = 0.0
    """First sum of squared gradients."""
    eps: PositiveFloat = 1e-10
    """Added to the denominator."""


@component
class ASGDConfig(OptimizerConfig):
    """Averaged stochastic gradient descent."""

    type: Literal["ASGD"] = "ASGD"
    lambd: NonNegativeFloat = 1e-4
    """Decay term."""
    alpha: PositiveFloat = 0.75
    """Power of the step size."""
    t0: PositiveFloat = 1e6
    """Step at which averaging starts."""


@component
class RMSpropConfig(OptimizerConfig):
    """RMSprop."""

    type: Literal["RMSprop"] = "RMSprop"
    alpha: Share = 0.99
    """Decay of the running mean."""
    eps: PositiveFloat = 1e-8
    """Added to the denominator."""
    momentum: Share = 0.0
    """Share of the last step kept."""
    centered: bool = False
    """Divide by an estimate of the variance."""


@component
class RpropConfig(OptimizerConfig):
    """Resilient propagation."""

    type: Literal["Rprop"] = "Rprop"
    weight_decay: Annotated[float, Field(ge=0, le=0)] = 0.0
    """Rprop has none."""
    etas: tuple[Share, Annotated[float, Field(gt=1)]] = (0.5, 1.2)
    """Factors of the step size where the sign of the gradient changes, and where it stays."""
    step_sizes: tuple[PositiveFloat, PositiveFloat] = (1e-6, 50.0)
    """Least and greatest step size."""


Optimizer = Annotated[OptimizerConfig, Choice("scheduler/optimizer")]


@component
class WarmupConfig:
    """A gentler start."""

    type: Literal["constant", "linear", "exp"] = "linear"
    """How the factor on the learning rate rises from ``ratio`` to 1."""
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.1
    """First factor."""
    length: NonNegativeInt = 0
    """Steps that it takes, or epochs where ``by_epoch``; 0 is no warm-up."""
    by_epoch: bool = False
    """Count epochs instead of steps."""


@component
class SchedulerConfig:
    """How long to train, and the learning rate along the way."""

    group: ClassVar[str] = "scheduler"

    max_epochs: PositiveInt = 130
    """Passes over the training split."""
    max_steps: PositiveInt | None = None
    """Stop after so many optimiser steps instead; the schedule is then laid over them."""
    min_lr: NonNegativeFloat | None = None
    """Lowest learning rate; null is 1/100 of the base rate."""
    by_epoch: bool = False
    """Change the rate once an epoch instead of at each step."""
    warmup: WarmupConfig = WarmupConfig()
    """A gentler start."""
    optimizer: Optimizer = SGDConfig()
    """Updates the weights."""


@component
class PolySchedulerConfig(SchedulerConfig):
    """From the base rate to ``min_lr`` along (1 - progress) ** power (Chen et al., 2017, arXiv:1606.00915)."""

    type: Literal["PolyScheduler"] = "PolyScheduler"
    power: PositiveFloat = 0.9
    """Exponent."""


@component
class CosineSchedulerConfig(SchedulerConfig):
    """From the base rate to ``min_lr`` along half a cosine (Loshchilov and Hutter, 2017, arXiv:1608.03983)."""

    type: Literal["CosineScheduler"] = "CosineScheduler"


Scheduler = Annotated[SchedulerConfig, Choice("scheduler")]


@component
class ClassBalanceConfig:
    """Training images drawn by the classes in them, rare ones more often (Hoyer et al., 2022, arXiv:2111.14887)."""

    enabled: bool = False
    """Draw images so; all training labels are read once before the first step."""
    temperature: PositiveFloat = 0.01
    """The lower, the more the rarest classes count; 1 is nearly the same for all classes."""
    min_pixels: PositiveInt = 100
    """An image shows a class if it has as many pixels of it."""


@component
class DataloaderConfig:
    """How samples become batches."""

    total_batch_size: PositiveInt = 16
    """Training images of one optimiser step, over all processes and accumulated parts."""
    val_batch_size: PositiveInt = 1
    """Images of one evaluation batch, for each process; images of one batch must have one size."""
    num_workers: NonNegativeInt = 2
    """Loader processes, for each training process; 0 loads in the training process itself."""
    prefetch_factor: PositiveInt = 2
    """Batches that each loader process prepares ahead."""
    pin_memory: bool = True
    """Copy batches through page-locked memory when there is a GPU."""
    drop_last: bool = True
    """Leave out an epoch's last images if they fill no batch; false fills it up from the epoch's beginning."""
    class_balance: ClassBalanceConfig = ClassBalanceConfig()
    """Show images with rare classes more often, instead of every image once an epoch."""


@component
class AmpConfig:
    """Automatic mixed precision."""

    enabled: bool = False
    """Run the network in ``dtype`` where that is safe; losses stay in float32."""
    dtype: Literal["bfloat16", "float16"] = "bfloat16"
    """float16 scales the loss to keep small gradients."""
    init_scale: PositiveFloat = 65536.0
    """First factor of the loss in float16."""


@component
class EmaConfig:
    """Exponential moving average of the weights, evaluated and saved beside the model."""

    enabled: bool = False
    """Keep the average."""
    momentum: Annotated[float, Field(gt=0, le=1)] = 0.0005
    """Share of the new weights in each step."""
    device: Literal["model", "cpu"] = "model"
    """Where the average lives."""


@component
class TrainerConfig:
    """Where and how the loop runs."""

    name: str = ""
    """Name of the run; empty takes the experiment's."""
    run_dir: Path | None = None
    """Folder of the results; null is runs/<name>/<date>-<time>."""
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; auto takes the GPU if there is one."""
    devices: PositiveInt | Literal["auto"] = "auto"
    """Processes on each machine, one for each GPU; auto is every GPU, or one process on the CPU."""
    nnodes: PositiveInt = 1
    """Machines that train together; the same command is started on each of them."""
    node_rank: NonNegativeInt | None = None
    """Number of this machine among them, from 0; null takes SLURM's, or of two machines makes the one at the
    rendezvous address number 0."""
    rendezvous: str | None = None
    """Address of machine 0 as the others reach it, as in 10.0.0.1 or gpu1:29500; null takes SLURM's first node."""
    lost_after_s: PositiveFloat = 30.0
    """A machine that nothing was heard of for so long counts as lost, and the others end."""
    num_threads: NonNegativeInt = 0
    """CPU threads of each process; 0 shares the machine's cores evenly."""
    seed: NonNegativeInt = 0
    """Of the weights, the order of the data and every augmentation."""
    deterministic: bool = False
    """Use only algorithms that give the same bits each time."""
    accumulation_steps: PositiveInt = 1
    """Parts that the batch of one step is split into, to save memory."""
    clip_grad_norm: PositiveFloat | None = None
    """Scale the gradients down to this norm over all parameters; null leaves them."""
    eval_interval_epochs: PositiveInt = 10
    """Epochs between evaluations; the last epoch is always evaluated."""
    save_interval_epochs: PositiveInt = 1
    """Epochs between checkpoints."""
    save_interval_steps: PositiveInt | None = None
    """Steps between further checkpoints inside an epoch."""
    keep_checkpoints: NonNegativeInt = 1
    """Checkpoints kept beside ``last`` and ``best``."""
    monitor: str = "miou"
    """Metric that decides which checkpoint is best; ema/<metric> names the average's."""
    resume: Literal["auto", "never"] | Path = "auto"
    """auto goes on from the run folder's last checkpoint if there is one; never refuses a used folder; or a file."""
    init_from: Path | None = None
    """Checkpoint, or published weights, to start from with a new schedule; what was and was not loaded is listed."""
    init_strict: bool = False
    """Every weight of ``init_from`` must fit; otherwise those that do not start anew, but for those of the backbone."""
    non_finite: Literal["stop", "skip"] = "stop"
    """A loss that is not a number: stop, or leave the step out and count it."""
    compile: bool = False
    """Compile the model with torch.compile."""
    channels_last: bool | None = None
    """Keep images and weights in the memory order that GPUs convolve fastest; null for all but CPUs."""
    cudnn_benchmark: bool = True
    """Let cuDNN try algorithms for the sizes it meets."""
    max_hours: PositiveFloat | None = None
    """Stop after so many hours, with everything saved; the same command goes on. Each start has its own time."""
    grace_s: PositiveFloat = 120.0
    """Seconds that the training may take to finish its step and save it once a signal asks it to stop."""
    timeout_s: PositiveFloat = 1800.0
    """A process that waits longer for the others gives up."""
    max_restarts: NonNegativeInt = 0
    """Times that the processes are started anew from the last checkpoint after a failure."""
    scan_samples: NonNegativeInt = 32
    """Training labels to look through before the first step; 0 for none."""
    dry_run: bool = False
    """Build everything, take a step and evaluate a batch, tell time and memory, and leave nothing behind."""
    debug: Literal["overfit_batch"] | None = None
    """overfit_batch trains on one batch alone, tells whether it can be learnt, and leaves nothing behind."""


@component
class LoggerConfig:
    """What is written while training."""

    log_interval_steps: PositiveInt = 50
    """Steps between lines."""
    progress: bool = True
    """A live bar on a terminal."""
    tensorboard: bool = True
    """Write TensorBoard's event files."""
    csv: bool = True
    """Write train.csv and val.csv, for spreadsheets."""
    num_overlays: NonNegativeInt = 8
    """Validation images, always the same, drawn as image, label and prediction at each evaluation."""
    num_ranked: NonNegativeInt = 4
    """Worst and as many best validation images, by their own mean IoU, in the report; 0 for none."""
    report: bool = True
    """Write the run's page, index.html, at each evaluation."""
    wandb: WandbConfig = WandbConfig()
    """Weights & Biases."""
    mlflow: MlflowConfig = MlflowConfig()
    """MLflow."""
